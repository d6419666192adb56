"""A Bento of a bundle, built and served apart from everything else."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from components import config
from components.errors import EidolonError
from components.paths import BUNDLE


@contextmanager
def served_apart(
    serve: config.Serve,
    change: Callable[[Path], None] | None = None,
    bundle: Path = BUNDLE,
) -> Iterator[str]:
    """Yield the address of the service. Its state lies in a folder that goes when the block ends.

    ``change`` may change the code of the Bento, in the folder that it is given. ``bundle`` is what
    it serves, by default the one that `make run` left. Raises :class:`EidolonError` without it.
    """
    if not bundle.is_dir():
        raise EidolonError(f"{bundle} is missing: run `make run`")
    with tempfile.TemporaryDirectory(prefix="eidolon-bench-") as place:
        os.environ |= {"EIDOLON_HOME": place, "BENTOML_HOME": f"{place}/bentoml"}
        from bento import homes

        homes.settle()
        from bento.server import served
        from bento.store import build

        found, _, _ = build(bundle, 1, serve)
        if change is not None:
            change(Path(found.path_of("src")))
        folder = Path(place) / "served"
        folder.mkdir()
        with served(str(found.tag), folder, timeout=300) as url:
            yield url
