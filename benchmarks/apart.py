"""A Bento of the bundle that `make run` left, built and served apart from everything else."""

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
    serve: config.Serve, change: Callable[[Path], None] | None = None
) -> Iterator[str]:
    """Yield the address of the service. Its state lies in a folder that goes when the block ends.

    ``change`` may change the code of the Bento, in the folder that it is given. Raises
    :class:`EidolonError` without a bundle.
    """
    if not BUNDLE.is_dir():
        raise EidolonError(f"{BUNDLE} is missing: run `make run`")
    with tempfile.TemporaryDirectory(prefix="eidolon-bench-") as place:
        os.environ |= {"EIDOLON_HOME": place, "BENTOML_HOME": f"{place}/bentoml"}
        from bento import homes

        homes.settle()
        from bento.server import served
        from bento.store import build

        found, _, _ = build(BUNDLE, 1, serve)
        if change is not None:
            change(Path(found.path_of("src")))
        folder = Path(place) / "served"
        folder.mkdir()
        with served(str(found.tag), folder, timeout=300) as url:
            yield url
