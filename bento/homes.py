"""Where releases live: $EIDOLON_HOME for the pointer, $BENTOML_HOME for Bentos and models."""

from __future__ import annotations

import os
from pathlib import Path


def eidolon_home() -> Path:
    """$EIDOLON_HOME, by default `.eidolon` in the working directory."""
    return Path(os.environ.get("EIDOLON_HOME", ".eidolon")).resolve()


def settle() -> None:
    """Fix the homes as absolute paths, for this process and those that it starts.

    To be called before bentoml is imported, which reads its home once.
    """
    home = eidolon_home()
    store = Path(os.environ.get("BENTOML_HOME", home / "bentoml")).resolve()
    store.mkdir(parents=True, exist_ok=True)
    os.environ["EIDOLON_HOME"], os.environ["BENTOML_HOME"] = str(home), str(store)
    os.environ["BENTOML_DO_NOT_TRACK"] = "True"
