"""The kinds of query that name one category: its name, a description of it, or both.

The paper compares these three (Khan et al., arXiv 2509.00177). A description says what a category
looks like in other words than its name.
"""

from __future__ import annotations

from typing import Literal

Kind = Literal["class", "description", "both"]

CLASS: Kind = "class"
DESCRIPTION: Kind = "description"
BOTH: Kind = "both"
KINDS: tuple[Kind, ...] = (CLASS, DESCRIPTION, BOTH)
DRAWN: tuple[Kind, ...] = (CLASS, DESCRIPTION)
"""The kinds that pictures are imagined for; the kind `both` takes half of the pictures of each."""
