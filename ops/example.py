"""Print one example answer of a bundle as JSON. It runs in a process of its own, since it loads a
model.

python -m ops.example [K]
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import Any

from components import config
from components.paths import BUNDLE
from components.serving.loading import load
from components.serving.retriever import How, Retriever


def example(k: int) -> dict[str, Any]:
    """The first unseen category as a query, or one kept for the gate, and its ``k`` best hits."""
    bundle = load(BUNDLE)
    retriever = Retriever(bundle, config.load().encoders)
    asked = retriever.ask(
        bundle.categories.query("split in ('unseen', 'gate')")["category"].iloc[0]
    )
    ranking = retriever.rank(asked, bundle.aggregated[asked.row], How(k=k))
    return {"text": asked.query, "hits": [asdict(hit) for hit in ranking.hits]}


if __name__ == "__main__":
    print(json.dumps(example(int(sys.argv[1]) if len(sys.argv) > 1 else 5)))
