"""Descriptions of categories: texts that say what a category looks like, beside any adapter.

They come in one of the forms in which they are published:

* a JSON object, ``{"painted bunting": ["a small bird with a blue head", …]}``: each category with a
  list of texts, or with one text. Menon and Vondrick (ICLR 2023, arXiv 2210.07183) publish theirs
  so, and others that a language model wrote.
* a CSV with the columns category and text, a row for each text.
* a folder with a folder for each category, which holds text files with a description in each line.
  Reed et al. (CVPR 2016, github.com/reedscot/cvpr2016) publish the ten captions for each picture of
  CUB-200 and Oxford-102 so, in the folder ``text_c10``.

A category may be called by its name, by the name of its folder in CUB-200
(``001.Black_footed_Albatross``), or by its number in Oxford-102 (``class_00001``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pandas as pd

from components import config, names, tables
from components.datasets import cub200, emblem_words, oxford102, oxford102_names
from components.datasets.emblems import Emblem
from components.descriptions import COLUMNS, grouped
from components.errors import EidolonError
from components.progress import note

MAX_TEXT = 1000  # characters; what a text encoder cannot read is cut by that
_REMEDY = "correct dataset.descriptions in params.yaml, or set it to null"
_NUMBERED = re.compile(r"^\d{3}\.")  # as CUB-200 numbers its folders


def described(categories: Sequence[str], params: config.Dataset) -> pd.DataFrame:
    """The descriptions of ``categories``: a row (category, text) for each, at most
    ``descriptions_per_category`` of one category, spread evenly over those that there are.

    Raises :class:`EidolonError` when the file that ``params`` names is missing or damaged, or
    describes none of the categories.
    """
    if params.descriptions is None:
        return pd.DataFrame(columns=list(COLUMNS))
    given: Mapping[str, Sequence[str]]
    if params.descriptions == "own":
        given = {name: _of_emblem(name) for name in categories}
    else:
        given = _matched(categories, read(params.descriptions), params.descriptions)
    most = params.descriptions_per_category
    rows = [(name, text) for name in categories for text in _spread(given.get(name, ()), most)]
    some = sum(bool(given.get(name)) for name in categories)
    note(f"dataset: {len(rows)} descriptions, of {some} of {len(categories)} categories")
    return pd.DataFrame(rows, columns=list(COLUMNS))


def read(path: Path) -> dict[str, list[str]]:
    """The texts in ``path`` by the category that they give, in one of the forms above.

    Raises :class:`EidolonError` when it is missing, damaged, or has none.
    """
    try:
        if path.is_dir():
            found = dict(_of_folder(path))
        elif path.suffix.lower() == ".json":
            found = _of_json(path)
        else:
            found = grouped(tables.read(path, COLUMNS, _REMEDY))
    except (OSError, ValueError) as error:
        raise EidolonError(f"{path} has no descriptions ({error}): {_REMEDY}") from None
    cleaned = {name: _cleaned(texts) for name, texts in found.items()}
    kept = {name: texts for name, texts in cleaned.items() if texts}
    if not kept:
        raise EidolonError(f"{path} has no descriptions: {_REMEDY}")
    return kept


def _of_json(path: Path) -> dict[str, list[str]]:
    content = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, Mapping):
        raise ValueError("it is no JSON object of categories")
    found = {}
    for name, texts in content.items():
        listed = [texts] if isinstance(texts, str) else texts
        if not isinstance(listed, list) or not all(isinstance(text, str) for text in listed):
            raise ValueError(f"{name!r} has neither a text nor a list of texts")
        found[str(name)] = listed
    return found


def _of_folder(path: Path) -> Iterator[tuple[str, list[str]]]:
    for folder in sorted(p for p in path.iterdir() if p.is_dir()):
        files = sorted(folder.glob("*.txt"))
        lines = [file.read_text(encoding="utf-8").splitlines() for file in files]
        yield folder.name, [line for texts in lines for line in texts]


def _cleaned(texts: Sequence[str]) -> list[str]:
    """Each text once, without invisible differences, and no longer than :data:`MAX_TEXT`."""
    plain = (names.plain(text)[:MAX_TEXT].strip() for text in texts)
    return list(dict.fromkeys(text for text in plain if text))


def _matched(
    categories: Sequence[str], given: Mapping[str, list[str]], path: Path
) -> dict[str, list[str]]:
    known = {names.fold(name): name for name in categories}
    found: dict[str, list[str]] = {}
    for name, texts in given.items():
        if category := next((known[key] for key in _keys(name) if key in known), None):
            found.setdefault(category, []).extend(texts)
    if not found:
        raise EidolonError(
            f"{path} describes none of the dataset's categories: it has {min(given)!r}, and the"
            f" dataset {min(categories)!r}; {_REMEDY}"
        )
    if strangers := len(given) - len(found):
        note(f"dataset: {path} also describes {strangers} categories that the dataset lacks")
    return found


def _keys(name: str) -> Iterator[str]:
    """What ``name`` may mean, as keys to compare names by."""
    yield names.fold(name)
    yield names.fold(name.replace("-", " "))
    if _NUMBERED.match(name):
        yield names.fold(cub200.readable(name))
    for number, flower in enumerate(oxford102_names.NAMES, 1):
        if name == oxford102.key(number):
            yield names.fold(flower)


def _of_emblem(name: str) -> Sequence[str]:
    try:
        emblem = Emblem.parse(name)
    except ValueError:  # an ingested category
        return ()
    return emblem_words.descriptions(emblem.colour, emblem.pattern, emblem.shape)


def _spread(texts: Sequence[str], most: int) -> list[str]:
    """At most ``most`` of ``texts``, at equal distances."""
    count = min(most, len(texts))
    return [texts[i * len(texts) // count] for i in range(count)]
