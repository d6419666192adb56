"""Suggests what a person may have meant by a word that is nearly one of the gallery's own.

A misspelt word is lost for the text encoder and the generator alike. The words that matter most are
those of the categories' names, so a word that is one slip away from such a word is worth a
question.
"""

from __future__ import annotations

from collections.abc import Iterable

from components import names

PUNCTUATION = ".,;:!?()"  # that may stand at a word
SHORTEST = 4  # letters of a word that is looked at: shorter ones are too often a word of their own


class Spelling:
    """The words of the categories' names."""

    def __init__(self, categories: Iterable[str]) -> None:
        found = {word for name in categories for word in names.fold(name).split()}
        self._words = frozenset(found)
        self._by_length: dict[int, list[str]] = {}
        for word in sorted(found):
            self._by_length.setdefault(len(word), []).append(word)

    def suggest(self, text: str) -> str | None:
        """``text`` with the words that were probably meant, or ``None`` when none is nearly a word
        of a category's name."""
        given = names.fold(text).split()
        meant = [self._nearest(word) or word for word in given]
        return None if meant == given else " ".join(meant)

    def _nearest(self, word: str) -> str | None:
        bare = word.strip(PUNCTUATION)
        if len(bare) < SHORTEST or bare in self._words:
            return None
        lengths = range(len(bare) - 1, len(bare) + 2)
        near = (other for length in lengths for other in self._by_length.get(length, ()))
        found = next((other for other in near if one_slip(bare, other)), None)
        return None if found is None else word.replace(bare, found)


def one_slip(one: str, other: str) -> bool:
    """Whether one slip of the hand makes one word of the other: a letter that is missing, too much
    or wrong, or two neighbours in the wrong order (Damerau, CACM 1964)."""
    short, long = sorted((one, other), key=len)
    at = next((i for i, (a, b) in enumerate(zip(short, long, strict=False)) if a != b), len(short))
    if len(short) < len(long):
        return short[at:] == long[at + 1 :]
    swapped = long[at + 1 : at + 2] + long[at : at + 1] + long[at + 2 :]
    return one != other and (short[at + 1 :] == long[at + 1 :] or short[at:] == swapped)
