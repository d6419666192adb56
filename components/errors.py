"""The errors that a user meets: one sentence that names what is wrong and the remedy."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from components.variables import masked


class _ShownError(Exception):
    """Shown without the passwords of addresses: it goes to logs, pages and MLflow."""

    def __str__(self) -> str:
        return masked(super().__str__())


class EidolonError(_ShownError):
    """Bad input, a missing or damaged file, an absurd parameter.

    The command line prints it without a traceback and exits with :data:`EXIT_CODE`; Airflow fails
    the task without a retry, since trying again would not help.
    """


class QueryError(EidolonError):
    """A query that cannot be searched for: its caller must change it."""


class NoRoomError(EidolonError):
    """The memory does not hold even one item, though nobody else uses much of it. The parameters
    ask for too much; a service that meets this is out of service, whatever the query."""


class TransientError(_ShownError):
    """What another attempt may cure, such as a remote out of reach.

    The command line prints it in the same way and exits with :data:`TRY_AGAIN`; Airflow tries the
    task again.
    """


EXIT_CODE = 2
"""Exit status of a command that was given bad input."""

TRY_AGAIN = 75
"""Exit status of a command that may succeed when it is run again: EX_TEMPFAIL of sysexits.h."""


@contextmanager
def one_sentence() -> Iterator[None]:
    """What every command line runs in: an :class:`EidolonError` or a :class:`TransientError` is one
    sentence on stderr and an exit status of its own; :func:`told` reads it again."""
    try:
        yield
    except (EidolonError, TransientError) as error:
        print(f"{_TOLD}{error}", file=sys.stderr)
        sys.exit(EXIT_CODE if isinstance(error, EidolonError) else TRY_AGAIN)


def told(lines: Sequence[str], status: int) -> Exception:
    """What a command that ran in :func:`one_sentence` failed with, by what it printed and its exit
    status. One that crashed or was killed may succeed when it is tried again."""
    sentences = [line.removeprefix(_TOLD) for line in lines if line.startswith(_TOLD)]
    why = (sentences or list(lines) or [f"exit status {status}, no output"])[-1]
    return EidolonError(why) if status == EXIT_CODE else TransientError(why)


_TOLD = "error: "
