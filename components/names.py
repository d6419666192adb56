"""Normalises names of categories and texts of queries, and makes folder names and prompts of them.

People write the same name in many ways: with composed or decomposed letters (as in file names on
macOS), full-width letters, another case, underscores, or invisible characters from a copied text.
All code that compares names, or turns one into a folder or a prompt, uses this module.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable

from components.errors import EidolonError

PLACE = "{}"
"""The place of a name in a template."""

MAX_TEXT = 300
"""Characters of a text that is searched with, without those that make no difference."""

_MAX_FOLDER = 100  # bytes of the readable part of a folder's name; file systems allow 255
_INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0000-\U000e0fff]"
)
"""Invisible characters outside Unicode's category Cf (format): the rest of
Default_Ignorable_Code_Point, such as the variation selectors of emoji."""


def plain(text: str) -> str:
    """``text`` without invisible differences.

    Compatible characters have one form (Unicode's NFKC). Invisible characters are removed. White
    space and characters that cannot be printed become single spaces.
    """
    composed = unicodedata.normalize("NFKC", _without_invisible(text))
    # NFKC can produce invisible characters, and removing them can let their neighbours compose
    again = unicodedata.normalize("NFKC", _without_invisible(composed))
    return " ".join("".join(c if c.isprintable() else " " for c in again).split())


def clean(name: str) -> str:
    """A category's name as it is stored.

    It is :func:`plain`, with spaces for underscores and slashes, and without dots at its ends. The
    result may be empty.
    """
    return " ".join(re.sub(r"[_/\\]", " ", plain(name)).split()).strip(". ")


def fold(name: str) -> str:
    """A key to compare names and queries by: those with equal keys mean the same category."""
    return clean(name).casefold()


def is_text(name: str) -> bool:
    """Whether a file name is UTF-8. Python represents other bytes as lone surrogates."""
    return not any("\ud800" <= c <= "\udfff" for c in name)


def check_distinct(categories: Iterable[str]) -> None:
    """Raise :class:`EidolonError` when two of ``categories`` mean the same one."""
    known: dict[str, str] = {}
    for name in categories:
        other = known.setdefault(fold(name), name)
        if other != name:
            raise EidolonError(
                f"the categories {other!r} and {name!r} have the same name:"
                " rename or merge their folders"
            )


def folder(category: str) -> str:
    """The name of the folder for a category's pictures, at most 109 bytes.

    It has only letters, digits, ``_`` and ``-``, so it is safe on every file system, in a URL and
    on a command line. Spaces become underscores. If that is not enough to make the name safe, eight
    hex digits of its hash are added, so that ``c+`` and ``c#`` have different folders.
    """
    wanted = category.replace(" ", "_")
    safe = re.sub(r"^-|[^\w-]", "_", wanted)
    short = safe.encode()[:_MAX_FOLDER].decode(errors="ignore")
    if short == wanted:
        return short
    return f"{short}-{hashlib.sha256(category.encode()).hexdigest()[:8]}"


def query_text(query: str) -> str:
    """The text that encoders and the generator get for a query that is not a known category."""
    return plain(query).lower()


def fill(template: str, name: str) -> str:
    """``template`` with ``name`` instead of :data:`PLACE`. All other braces stay as they are."""
    return template.replace(PLACE, name)


def _without_invisible(text: str) -> str:
    visible = _INVISIBLE.sub("", text)
    return "".join(c for c in visible if unicodedata.category(c) != "Cf")
