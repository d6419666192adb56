"""Where releases lie: the pointer in $EIDOLON_HOME, Bentos and models in $BENTOML_HOME."""

from __future__ import annotations

import os
from pathlib import Path


def eidolon_home() -> Path:
    """$EIDOLON_HOME, by default `.eidolon` in the working directory."""
    return Path(os.environ.get("EIDOLON_HOME", ".eidolon")).resolve()


def checked(tag: str, home: Path | None = None) -> Path:
    """The record that the Bento ``tag`` passed its check. Its content never changes under its tag,
    so it need not be checked again."""
    return (home or eidolon_home()) / "checked" / f"{tag.replace(':', '-')}.json"


def settle() -> None:
    """Make the homes absolute paths, for this process and those that it starts.

    Call it before bentoml is imported: bentoml reads its home once, on import.
    """
    home = eidolon_home()
    store = Path(os.environ.get("BENTOML_HOME", home / "bentoml")).resolve()
    store.mkdir(parents=True, exist_ok=True)
    os.environ["EIDOLON_HOME"], os.environ["BENTOML_HOME"] = str(home), str(store)
    os.environ.setdefault("EIDOLON_THUMBNAILS", str(home / "thumbnails"))  # of every place
    os.environ["BENTOML_DO_NOT_TRACK"] = "True"
