"""The names that the owners of pictures know them by, so that search results can show them."""

from __future__ import annotations

from pathlib import Path

from components.collection import catalog
from components.datasets.adapter import Picture


class OwnerNames:
    """Owners' names for the pictures of a dataset.

    ``source`` is the folder of dataset.source, if there is one. Raises :class:`EidolonError` when
    the collection is damaged.
    """

    def __init__(self, source: Path | None) -> None:
        self._source = source
        rows = catalog.read()
        self._ingested = dict(zip(catalog.paths_of(rows), rows["file"], strict=True))

    def of(self, picture: Picture) -> str:
        """The owner's name for ``picture``; an empty string for a drawn one.

        An ingested picture keeps the name that it was ingested with. Any other file has its path
        relative to the source.
        """
        if not isinstance(picture, Path):
            return ""
        ingested = self._ingested.get(str(picture))
        if ingested is not None:
            return ingested
        if self._source is not None and picture.is_relative_to(self._source):
            picture = picture.relative_to(self._source)
        return catalog.printable(picture.as_posix())
