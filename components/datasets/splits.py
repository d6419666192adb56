"""Reads zero-shot splits that come as three text files with class names.

Reed et al. (CVPR 2016, github.com/reedscot/cvpr2016) and Xian et al. (CVPR 2017, "proposed splits",
xlsa17.zip) publish theirs in this form. Users can write such files for their own trees: one class
per line, with the name that the dataset gives it.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection
from pathlib import Path

from components.datasets.adapter import Split
from components.errors import EidolonError

FILES: dict[str, Split] = {
    "trainclasses.txt": "train",
    "valclasses.txt": "validation",
    "testclasses.txt": "unseen",
}


def read(folder: Path, classes: Collection[str]) -> dict[str, Split]:
    """The split of each of ``classes``, as the lists in ``folder`` say.

    Raises :class:`EidolonError` for a missing or empty list, an unknown class, and a class that is
    in two lists or in none.
    """
    found: dict[str, Split] = {}
    known = {unicodedata.normalize("NFC", name): name for name in classes}
    for file, split in FILES.items():
        path = folder / file
        try:
            names = path.read_text().split("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise EidolonError(
                f"{path} cannot be read ({error}): set dataset.splits to a folder with"
                f" {', '.join(FILES)}, one class per line"
            ) from None
        listed = [name.strip() for name in names if name.strip()]
        if not listed:
            raise EidolonError(f"{path} lists no class: add at least one")
        for given in listed:
            # macOS decomposes the letters of file names, editors do not
            name = known.get(unicodedata.normalize("NFC", given))
            if name is None:
                raise EidolonError(
                    f"{path} lists {given!r}, which the dataset does not have: write class names"
                    f" like {min(classes)!r}"
                )
            if name in found:
                raise EidolonError(f"{path} lists {name!r} a second time: remove one of the two")
            found[name] = split
    rest = sorted(set(classes) - set(found))
    if rest:
        raise EidolonError(f"{folder} has no split for {rest[0]!r}: add it to one of the lists")
    return found
