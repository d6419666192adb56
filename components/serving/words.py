"""The words of a query: checked, and without what they exclude."""

from __future__ import annotations

from collections.abc import Container

from components import names
from components.errors import QueryError
from components.serving.exclusion import parted


def words_of(text: str, what: str) -> str:
    """What the models get for ``text``. Raises :class:`QueryError` for one that is empty or too
    long."""
    words = names.query_text(text)
    if not words or len(words) > names.MAX_TEXT:
        raise QueryError(f"a {what} has 1 to {names.MAX_TEXT} characters")
    return words


def split(query: str, known: Container[str]) -> tuple[str, str | None]:
    """What ``query`` asks for and what it excludes, if anything.

    A name of the ``known`` categories, which are folded, excludes nothing. Nor does a text that is
    too long: it is not looked at.
    """
    plain = names.plain(query)
    if names.fold(query) in known or len(plain) > names.MAX_TEXT:
        return query, None
    return parted(plain)
