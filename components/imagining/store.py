"""A store of every picture that was ever drawn, addressed by the hash of its recipe."""

from __future__ import annotations

import fcntl
import os
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

from PIL import Image, PngImagePlugin

from components.files import ManyFiles
from components.images.encoding import encode
from components.imagining.recipes import RECIPE, address_of, recipe_in


class Store:
    """Pictures by address: ``ab/abcd….png``, each with its recipe inside.

    Several processes, and several clones that share the folder, may read and write at the same
    time. A picture appears complete or not at all. One that a power cut or a bad disk damaged
    counts as absent.
    """

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or Path(os.environ.get("EIDOLON_STORE") or ".eidolon/imagined")
        self._files = ManyFiles(self.root)

    def path(self, address: str) -> Path:
        """The path of the picture of ``address``, whether it exists or not."""
        return self.root / address[:2] / f"{address}.png"

    def get(self, address: str) -> bytes | None:
        """The PNG of ``address``, or None if it is absent or damaged. Notes that it was asked for,
        as its time of access: `eidolon prune` removes what nothing has asked for in a while."""
        try:
            data = self.path(address).read_bytes()
        except FileNotFoundError:
            return None
        with suppress(OSError):  # it may belong to another user, or be gone
            written = self.path(address).stat().st_mtime_ns
            os.utime(self.path(address), ns=(time.time_ns(), written))
        return data if _is_sound(data, address) else None

    def put(self, recipe: str, image: Image.Image) -> None:
        """Store ``image`` under the address of its ``recipe``."""
        text = PngImagePlugin.PngInfo()
        text.add_itxt(RECIPE, recipe)
        self._write(address_of(recipe), encode(image, "PNG", pnginfo=text))

    def adopt(self, address: str, file: Path) -> bool:
        """Store a copy of ``file`` if it is the picture of ``address``; returns whether it is."""
        try:
            data = file.read_bytes()
        except OSError:
            return False
        return self.take(address, data)

    def take(self, address: str, data: bytes) -> bool:
        """Store ``data`` if it is the undamaged picture of ``address``; returns whether it is."""
        fits = _is_sound(data, address)
        if fits:
            self._write(address, data)
        return fits

    @contextmanager
    def claiming(self, addresses: Iterable[str]) -> Iterator[None]:
        """Claim ``addresses`` within this block, so that no other process draws them.

        A process that claims one of them too says so, and waits until the block ends or this
        process dies. A claim locks one byte of an empty file. There may be many thousands of
        claims, too many for a lock file each. Such locks work on network file systems too.
        """
        with (self.root / ".claims").open("w") as claims:
            # always in ascending order, which rules out a deadlock
            for place in sorted(int(at[:15], 16) for at in addresses):
                try:
                    fcntl.lockf(claims, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
                except (BlockingIOError, PermissionError):  # POSIX: another process holds it
                    print("waiting for another process that draws the same", file=sys.stderr)
                    fcntl.lockf(claims, fcntl.LOCK_EX, 1, place)
            yield

    def writing(self) -> AbstractContextManager[None]:
        """Write within this block, which first removes what killed writers left behind."""
        return self._files.writing()

    def _write(self, address: str, data: bytes) -> None:
        # not flushed to the disk: a picture that a power cut damages is drawn again
        self._files.write(self.path(address), data)


def _is_sound(data: bytes, wanted: str) -> bool:
    """Whether ``data`` is an undamaged PNG with the recipe of the address ``wanted``."""
    recipe = recipe_in(data)
    return recipe is not None and address_of(recipe) == wanted
