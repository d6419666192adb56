"""Zero-shot splits that others have published, as lists of classes in three text files.

Reed et al. (CVPR 2016, github.com/reedscot/cvpr2016) and Xian et al. (CVPR 2017, "proposed splits",
xlsa17.zip) give theirs this way, and so can anyone for a tree of their own: one class in a line,
named as the dataset names it.
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
    """The split of each of ``classes`` by the lists in ``folder``.

    Raises :class:`EidolonError` for a missing or empty list, an unknown class, a class in two lists
    or in none.
    """
    found: dict[str, Split] = {}
    known = {unicodedata.normalize("NFC", name): name for name in classes}
    for file, split in FILES.items():
        path = folder / file
        try:
            names = path.read_text().split("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise EidolonError(
                f"{path} cannot be read ({error}): dataset.splits names a folder with"
                f" {', '.join(FILES)}, one class in a line"
            ) from None
        listed = [name.strip() for name in names if name.strip()]
        if not listed:
            raise EidolonError(f"{path} lists no class: each split needs at least one")
        for given in listed:
            # a Mac decomposes the letters of a file's name, an editor does not
            name = known.get(unicodedata.normalize("NFC", given))
            if name is None:
                raise EidolonError(
                    f"{path} lists {given!r}, which the dataset does not have: write classes as"
                    f" {min(classes)!r}"
                )
            if name in found:
                raise EidolonError(f"{path} lists {name!r} a second time: each class has one split")
            found[name] = split
    rest = sorted(set(classes) - set(found))
    if rest:
        raise EidolonError(f"{folder} has no split for {rest[0]!r}: add it to one of the lists")
    return found
