"""A store of the features of pictures and texts, addressed by what they are features of.

.eidolon/features/clip-0f3a…/about.json          the encoder and its preparation
.eidolon/features/clip-0f3a…/….safetensors       segments: rows of features by the hash of the input

A row is found by the SHA-256 of a picture's file, or of a text. So nothing is opened to learn
whether it is there.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

from components.features.segments import Keys, Segments, writing
from components.features.sharing import SharedSegments
from components.files import write_json
from components.objects import shared
from components.paths import HOME

Address = Mapping[str, str]
"""Everything that a row depends on beside its picture or text: the encoder and its preparation."""


class Encoder(Protocol):
    """What makes a row of numbers of a picture, alike whatever other pictures there are."""

    kind: str

    @property
    def address(self) -> dict[str, str]:
        """On what a row depends, beside the pixels."""

    @property
    def batch(self) -> int:
        """How many pictures are best encoded at once."""

    @property
    def side(self) -> int | None:
        """The longest side, in pixels, that it needs of a picture; None: the picture in full."""

    def images(self, images: Sequence[Image.Image]) -> npt.NDArray[Any]:
        """The rows (n, ...) of n pictures."""


class FeatureStore:
    """Rows of features, on a shelf for each encoder and preparation.

    Several processes, and several clones that share the folder, may read and write at the same
    time, and any of them may be killed. A row appears complete or not at all; one that a bad disk
    damaged counts as absent. Deleting the folder costs time and nothing else.
    """

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or Path(os.environ.get("EIDOLON_FEATURES") or HOME / "features")

    def shelf(self, kind: str, address: Address) -> Segments:
        """The rows of the encoder and preparation ``address``, with those that machines share.
        ``kind`` begins its folder's name."""
        folder = self.root / f"{kind}-{_hash(address)}"
        with writing(self.root):
            if not (folder / _ABOUT).is_file():
                write_json(folder / _ABOUT, address)
        objects = shared()
        return Segments(folder) if objects is None else SharedSegments(folder, objects, address)

    def pictures(self, encoder: Encoder, side: int | None) -> Segments:
        """The rows of pictures by ``encoder``, scaled to at most ``side`` pixels; None: in full."""
        of = {"of": PICTURES, "side": str(side or "full")}
        return self.shelf(encoder.kind, encoder.address | of)

    def side(self, encoder: Encoder) -> int | None:
        """The side that ``encoder`` needs of a picture. It is asked once, since it may have to load
        a model to answer."""
        file = self.root / "sides" / f"{_hash(encoder.address)}.json"
        try:
            side: int | None = json.loads(file.read_text())
        except (OSError, ValueError):
            side = encoder.side
            with writing(self.root):
                write_json(file, side)
        return side

    def shelves(self) -> Iterator[tuple[Address, Segments]]:
        """All shelves that there are, each with its address."""
        for file in sorted(self.root.glob(f"*/{_ABOUT}")):
            yield json.loads(file.read_text()), Segments(file.parent)

    def size(self) -> int:
        """Bytes that the store takes on disk."""
        return sum(shelf.size() for _, shelf in self.shelves())

    def keep(self, pictures: Keys, encoders: set[str], *, dry: bool = False) -> int:
        """Remove the rows of other pictures than ``pictures``, and those of other encoders than
        ``encoders``, which are fingerprints. Returns the bytes that this frees; with ``dry`` they
        stay.

        Rows of texts are small, and stay as long as their encoder. So does what needs no encoder.
        """
        freed = 0
        for address, shelf in self.shelves():
            if address.get("encoder", "") not in {"", *encoders}:
                freed += shelf.remove(dry=dry)
            elif address["of"] == PICTURES:
                freed += shelf.keep(pictures, dry=dry)
        return freed


PICTURES, TEXTS = "pictures", "texts"
"""What rows may be of: the value ``of`` of an address."""

_ABOUT = "about.json"


def _hash(address: Address) -> str:
    return hashlib.sha256(json.dumps(address, sort_keys=True).encode()).hexdigest()[:16]


def keys(digests: npt.ArrayLike) -> Keys:
    """SHA-256 hashes in hex, N of them, as keys (N, 32). An empty text becomes zeros, which no
    hash is."""
    given = np.asarray(digests, dtype="U64")
    padded = np.where(given == "", "0" * 64, given)
    return np.frombuffer(bytes.fromhex("".join(padded.tolist())), np.uint8).reshape(-1, 32)


def of_texts(texts: list[str]) -> Keys:
    """The keys (N, 32) of N texts."""
    whole = b"".join(hashlib.sha256(text.encode()).digest() for text in texts)
    return np.frombuffer(whole, np.uint8).reshape(-1, 32)
