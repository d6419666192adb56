"""Reads and decodes picture files in threads, ahead of what uses them.

Pillow decodes and scales, and PyTorch computes, without Python's lock. So threads decode side by
side, and processes would only add what starting them and copying pixels between them costs.
"""

from __future__ import annotations

import hashlib
import warnings
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from components.errors import EidolonError
from components.images.decoding import MAX_PIXELS, decode
from components.threads import cpus

_TOGETHER = (
    4  # files that a thread takes at once: a tiny picture is decoded faster than handed over
)
_MOST_THREADS = 8  # each may hold a whole picture before it is made smaller


class Reading(NamedTuple):
    """A file that was read: the hash of its content, in hex, and its picture or what is wrong."""

    sha256: str
    image: Image.Image | None
    error: EidolonError | None


def read(
    files: Sequence[Path], side: int | None = None, max_pixels: int = MAX_PIXELS
) -> Iterator[Reading]:
    """Yield what is in each of ``files``, in their order. ``side`` and ``max_pixels`` are those of
    :func:`components.images.decoding.decode`. The hash of a file that cannot be read is empty.

    There is a thread for each CPU but one, and at least one. Beside what they decode, two groups
    more than there are threads wait in memory: of one picture in full, or of a few small ones.
    """
    threads = max(1, min(_MOST_THREADS, cpus() - 1))
    together = 1 if side is None else _TOGETHER
    groups = [files[i : i + together] for i in range(0, len(files), together)]
    waiting: deque[Future[list[Reading]]] = deque()
    # decoding changes how warnings are shown, which threads share: afterwards that is as before
    with warnings.catch_warnings(), ThreadPoolExecutor(threads) as pool:
        warnings.simplefilter("ignore")
        try:
            for group in groups:
                waiting.append(pool.submit(_all, group, side, max_pixels))
                if len(waiting) > threads + 1:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _all(files: Sequence[Path], side: int | None, max_pixels: int) -> list[Reading]:
    return [_one(file, side, max_pixels) for file in files]


def _one(file: Path, side: int | None, max_pixels: int) -> Reading:
    digest = ""
    try:
        try:
            data = file.read_bytes()
        except OSError:
            return Reading(digest, decode(file, side=side, max_pixels=max_pixels), None)
        digest = hashlib.sha256(data).hexdigest()
        image = decode(data, str(file), side=side, max_pixels=max_pixels)
    except EidolonError as error:
        return Reading(digest, None, error)
    return Reading(digest, image, None)
