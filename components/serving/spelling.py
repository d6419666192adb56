"""Suggests what a person may have meant by a word that is nearly one of the gallery's own.

A misspelt word is lost for the text encoder and the generator alike. The words that matter most are
those of the categories' names, so a word that nearly is one of these is worth a question.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from components import names

SHORTEST = 3  # letters of a word that is looked at
LONGER = 2  # letters by which a word and the one that is meant may differ in length
ALIKE = 0.75  # the ratio of difflib.SequenceMatcher, at least


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
        if len(word) < SHORTEST or word in self._words:
            return None
        lengths = range(len(word) - LONGER, len(word) + LONGER + 1)
        near = [other for length in lengths for other in self._by_length.get(length, ())]
        found = get_close_matches(word, near, n=1, cutoff=ALIKE)
        return found[0] if found else None
