"""The errors that users see: one sentence that says what is wrong and what to do about it."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from components.variables import masked


class _ShownError(Exception):
    """An error without passwords in its addresses, because logs, pages and MLflow show it."""

    def __str__(self) -> str:
        return masked(super().__str__())


class EidolonError(_ShownError):
    """Bad input, a missing or damaged file, or an invalid parameter.

    The command line prints it without a traceback and exits with :data:`EXIT_CODE`. Airflow fails
    the task without a retry, because trying again would not help.
    """


class QueryError(EidolonError):
    """A query is invalid, and the caller must change it."""


class NoRoomError(EidolonError):
    """The memory does not have room for a single item, although others use little of it.

    The parameters ask for too much. A service that raises this cannot answer any query.
    """


class TransientError(_ShownError):
    """A failure that another attempt may overcome, such as an unreachable remote.

    The command line prints it in the same way and exits with :data:`TRY_AGAIN`. Airflow retries the
    task.
    """


EXIT_CODE = 2
"""Exit status of a command after bad input."""

TRY_AGAIN = 75
"""Exit status of a command that may succeed if run again: EX_TEMPFAIL of sysexits.h."""


@contextmanager
def one_sentence() -> Iterator[None]:
    """Print an error as one sentence on stderr and exit with its status.

    Every command line runs inside this block. It handles :class:`EidolonError`,
    :class:`TransientError` and a full disk; :func:`failure` turns the output back into an error.
    """
    try:
        yield
    except (EidolonError, TransientError) as error:
        print(f"{_PREFIX}{error}", file=sys.stderr)
        sys.exit(EXIT_CODE if isinstance(error, EidolonError) else TRY_AGAIN)
    except OSError as error:
        why = next((why for why in map(os.strerror, _FULL) if why in str(error)), None)
        if why is None:
            raise
        print(f"{_PREFIX}{why}: free some space, then try again", file=sys.stderr)
        sys.exit(TRY_AGAIN)


def failure(lines: Sequence[str], status: int) -> Exception:
    """The error of a command that ran in :func:`one_sentence`.

    ``lines`` is its output and ``status`` its exit status. A command that crashed or was killed
    gives a :class:`TransientError`.
    """
    sentences = [line.removeprefix(_PREFIX) for line in lines if line.startswith(_PREFIX)]
    why = (sentences or list(lines) or [f"exit status {status}, no output"])[-1]
    return EidolonError(why) if status == EXIT_CODE else TransientError(why)


_PREFIX = "error: "

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""A full disk, a full quota, and a file above a limit. `shutil.copytree` gives only their texts."""
