"""The files that the dataset has, kept by content, so that only what is new is written.

Most of a large dataset stays when pictures are added. But DVC removes all of it before the stage
runs. To write a file again takes longer than to link it. DVC and `inspect` would also read it
again, because they know files by their inodes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from contextlib import suppress
from pathlib import Path

from components.file_hashes import FileHashes
from components.paths import KNOWN


class Written:
    """Files by content in the folder `dataset` beside ``known``, which keeps their hashes. Each has
    a second name in the dataset, so it takes no space of its own.

    The folder may be deleted at any time. A file that was changed is not used.
    """

    def __init__(self, known: Path = KNOWN) -> None:
        self._root, self._hashes = known.with_name("dataset"), FileHashes(known, own=True)
        self._used: set[str] = set()

    def expect(self, digests: Iterable[str]) -> None:
        """Read at once what is known of the files with these hashes, which are linked next."""
        self._hashes.expect([self._path(digest) for digest in digests])

    def link(self, digest: str, file: Path) -> bool:
        """Make ``file`` a link to the file with the SHA-256 ``digest``. Returns False where there
        is none, where another picture of the dataset has it, or where no link can be made."""
        kept = self._path(digest)
        with suppress(OSError):
            if digest not in self._used and self._hashes.sha256(kept) == digest:
                file.hardlink_to(kept)
                self._used.add(digest)
                return True
        return False

    def keep(self, digest: str, file: Path, place: Path) -> None:
        """Keep the new ``file`` with the SHA-256 ``digest``, which will be at ``place``."""
        self._hashes.wrote(place, file, digest)
        if digest in self._used:
            return
        kept = self._path(digest)
        with suppress(OSError):  # another file system, or one without links
            if not kept.parent.is_dir():
                kept.parent.mkdir(parents=True)
            kept.unlink(missing_ok=True)
            kept.hardlink_to(file)
            self._hashes.wrote(kept, kept, digest)
            self._used.add(digest)

    def forget(self, digests: Iterable[str]) -> None:
        """Remove the files with these hashes."""
        for digest in digests:
            self._path(digest).unlink(missing_ok=True)

    def only(self, digests: Collection[str]) -> None:
        """Remove the files with other hashes."""
        for kept in self._root.glob("??/*"):
            if kept.name not in digests:
                kept.unlink(missing_ok=True)

    def save(self) -> None:
        """Keep the hashes for the next time."""
        self._hashes.save()

    def _path(self, digest: str) -> Path:
        return self._root / digest[:2] / digest
