"""Whether a model was trained on the words that it is asked about. Light: loads no weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer

from components.errors import EidolonError


def spelled(file: Path, texts: Sequence[str]) -> list[str]:
    """Those of ``texts`` with a word that the tokenizer of ``file``, a tokenizer.json, breaks into
    pieces of less than two letters on average.

    A tokenizer has whole words, or large parts of them, for what its model was trained on: of the
    102 flowers of Oxford-102 OpenAI's CLIP spells out none, the embedded models 99. Raises
    :class:`EidolonError` for a damaged file.
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
