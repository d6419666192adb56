"""A store that keeps every picture that was ever drawn, under the hash of what it depends on."""

from __future__ import annotations

import fcntl
import io
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image, PngImagePlugin

from components.files import put, scratch
from components.imagining.recipes import RECIPE, address_of, recipe_in


class Store:
    """Pictures by address: ``ab/abcd….png``, each with its recipe inside.

    Several processes, and clones that share the folder, may read and write at the same time. A
    picture appears whole or not at all; one that a power cut or a bad disk damaged is as if absent.
    """

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or Path(os.environ.get("EIDOLON_STORE") or ".eidolon/imagined")
        self._scratch: Path | None = None

    def path(self, address: str) -> Path:
        """Where the picture of ``address`` lies, or would."""
        return self.root / address[:2] / f"{address}.png"

    def get(self, address: str) -> bytes | None:
        """The PNG of ``address``, or nothing when it is absent or damaged."""
        try:
            data = self.path(address).read_bytes()
        except FileNotFoundError:
            return None
        return data if _is_sound(data, address) else None

    def put(self, recipe: str, image: Image.Image) -> None:
        """Keep ``image`` under the address of its ``recipe``."""
        text = PngImagePlugin.PngInfo()
        text.add_itxt(RECIPE, recipe)
        buffer = io.BytesIO()
        image.save(buffer, "PNG", pnginfo=text)
        self._write(address_of(recipe), buffer.getvalue())

    def adopt(self, address: str, file: Path) -> bool:
        """Keep a copy of ``file`` if it is the picture of ``address``; tell whether it was."""
        try:
            data = file.read_bytes()
        except OSError:
            return False
        fits = _is_sound(data, address)
        if fits:
            self._write(address, data)
        return fits

    @contextmanager
    def claiming(self, addresses: Iterable[str]) -> Iterator[None]:
        """Hold ``addresses`` within this block. Whoever else claims one of them waits until the
        block ends or this process dies, and is told so.

        A claim is a lock of one byte of an empty file. There may be many thousands of claims, so
        each cannot be a lock file of its own. Such locks hold on network file systems, too.
        """
        with (self.root / ".claims").open("w") as claims:
            # in order, so that none wait in a ring
            for place in sorted(int(at[:15], 16) for at in addresses):
                try:
                    fcntl.lockf(claims, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
                except (BlockingIOError, PermissionError):  # either means that it is held (POSIX)
                    print("waiting for another process that draws the same", file=sys.stderr)
                    fcntl.lockf(claims, fcntl.LOCK_EX, 1, place)
            yield

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Write within this block, which removes what killed writers left."""
        with scratch(self.root) as place:
            self._scratch = place
            try:
                yield
            finally:
                self._scratch = None

    def _write(self, address: str, data: bytes) -> None:
        if self._scratch is None:
            with self.writing():
                self._write(address, data)
        else:  # not flushed to the disk: what a power cut tears is drawn again
            put(data, self.path(address), self._scratch)


def _is_sound(data: bytes, wanted: str) -> bool:
    """Whether ``data`` is a whole PNG that was drawn from the recipe of the address ``wanted``."""
    recipe = recipe_in(data)
    return recipe is not None and address_of(recipe) == wanted
