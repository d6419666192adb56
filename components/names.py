"""Names of categories and texts of queries: when two are the same, and what is safe to write.

People type one name in many ways: composed or decomposed letters (a Mac's file names are
decomposed), full-width letters, other cases, underscores, invisible characters that came along with
a copied text. Whatever compares names, or makes a folder or a prompt of one, does it here.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable

from components.errors import EidolonError

PLACE = "{}"
"""The place of a name in a template."""

_MAX_FOLDER = 100  # bytes of a readable folder's name; file systems take 255
_INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0000-\U000e0fff]"
)
"""Characters that show nothing and are no format characters (category Cf) by themselves: the rest
of Unicode's Default_Ignorable_Code_Point, such as the selectors of an emoji's style."""


def plain(text: str) -> str:
    """``text`` without differences that nobody sees: compatible characters in one form (Unicode's
    NFKC), no invisible ones, and single spaces for white space and what cannot be printed."""
    composed = unicodedata.normalize("NFKC", _without_invisible(text))
    # NFKC can make invisible characters of others, and neighbours that compose of what they parted
    again = unicodedata.normalize("NFKC", _without_invisible(composed))
    return " ".join("".join(c if c.isprintable() else " " for c in again).split())


def clean(name: str) -> str:
    """A category's name as it is stored: :func:`plain`, without underscores, slashes and dots at
    its ends. Empty when nothing is left of it."""
    return " ".join(re.sub(r"[_/\\]", " ", plain(name)).split()).strip(". ")


def fold(name: str) -> str:
    """What is equal for two names, or for a name and a query, that mean the same category."""
    return clean(name).casefold()


def is_text(name: str) -> bool:
    """Whether a file's name is UTF-8. Python reads other bytes of it as lone surrogates."""
    return not any("\ud800" <= c <= "\udfff" for c in name)


def distinct(categories: Iterable[str]) -> None:
    """Raise :class:`EidolonError` when two of ``categories`` mean the same one."""
    known: dict[str, str] = {}
    for name in categories:
        other = known.setdefault(fold(name), name)
        if other != name:
            raise EidolonError(
                f"the categories {other!r} and {name!r} have one name: rename or join their folders"
            )


def folder(category: str) -> str:
    """The name of the folder of a category's pictures: letters, digits, ``_`` and ``-``, at most
    109 bytes.

    It is the name with underscores for spaces where that is safe on every file system, in a URL
    and on a command line. Any other name gets eight digits of its hash, so that ``c+`` and ``c#``
    have two folders.
    """
    wanted = category.replace(" ", "_")
    safe = re.sub(r"^-|[^\w-]", "_", wanted)
    short = safe.encode()[:_MAX_FOLDER].decode(errors="ignore")
    if short == wanted:
        return short
    return f"{short}-{hashlib.sha256(category.encode()).hexdigest()[:8]}"


def words(query: str) -> str:
    """What encoders and generator are given for a query that is no category."""
    return plain(query).lower()


def fill(template: str, name: str) -> str:
    """``template`` with ``name`` in its :data:`PLACE`. Other braces, and those of the name, stay as
    they are."""
    return template.replace(PLACE, name)


def _without_invisible(text: str) -> str:
    visible = _INVISIBLE.sub("", text)
    return "".join(c for c in visible if unicodedata.category(c) != "Cf")
