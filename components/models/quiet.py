"""Keeps the progress bars and the advice of transformers out of what a person sees.

Our own code shows progress and words its errors. diffusers imports parts of transformers that print
advice, so this must be called before it is imported.
"""

from __future__ import annotations

from functools import cache

from transformers.utils import logging as transformers_logging


@cache
def quiet() -> None:
    """Let transformers print errors only, and no progress."""
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
