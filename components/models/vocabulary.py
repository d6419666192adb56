"""Finds words that a text encoder was not trained on, by its tokenizer alone.

Such words would give pictures and results of something else. No weights are loaded.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer

from components.errors import EidolonError


class Vocabulary:
    """The words of a text encoder. A word is unknown when the tokenizer splits it into pieces of
    fewer than two letters on average.

    A tokenizer has whole words, or large parts of them, for what its model was trained on. Of the
    102 flower names of Oxford-102, this finds none with OpenAI's CLIP, and 99 with the embedded
    models. Symbols such as emoji count as letters, and punctuation and digits do not. A single
    letter is unknown when the tokenizer has only parts of it, as of a script that it never saw.
    """

    def __init__(self, file: Path) -> None:
        """``file`` is a tokenizer.json. Raises :class:`EidolonError` when it is damaged."""
        try:
            self._tokenizer = Tokenizer.from_file(str(file))
        except Exception as error:  # the library has no class of its own for this
            raise EidolonError(f"{file} is damaged ({error}): get the model again") from None
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()

    def unknown(self, text: str) -> list[str]:
        """The words of ``text`` that are unknown, in their order."""
        return [word for word in text.split() if not self._knows(word)]

    def _knows(self, word: str) -> bool:
        letters = sum(character.isalpha() for character in word)
        symbols = sum(unicodedata.category(character) == "So" for character in word)
        pieces = self._pieces(word)
        if symbols:
            return letters + 2 * symbols >= 2 * pieces
        if letters < 2:
            return all(
                self._pieces(one) == 1 for one in word if one.isalpha() and not one.isascii()
            )
        return letters >= 2 * pieces

    def _pieces(self, word: str) -> int:
        return len(self._tokenizer.encode(word.lower(), add_special_tokens=False).ids)


def out_of_vocabulary(file: Path, texts: Sequence[str]) -> list[str]:
    """Those of ``texts`` that contain a word outside the vocabulary of ``file``, a tokenizer.json.

    Raises :class:`EidolonError` for a damaged file.
    """
    vocabulary = Vocabulary(file)
    return [text for text in texts if vocabulary.unknown(text)]
