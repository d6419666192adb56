"""The errors that a user meets: one sentence that names what is wrong and the remedy."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


class EidolonError(Exception):
    """Bad input, a missing or damaged file, an absurd parameter.

    The command line prints it without a traceback and exits with :data:`EXIT_CODE`; Airflow fails
    the task without a retry, since trying again would not help.
    """


class TransientError(Exception):
    """What another attempt may cure, such as a remote out of reach: to a person one sentence like
    any other, but Airflow tries the task again."""


EXIT_CODE = 2
"""Exit status of a command that was given bad input."""


@contextmanager
def one_sentence() -> Iterator[None]:
    """What every command line runs in: an :class:`EidolonError` or a :class:`TransientError` is one
    sentence on stderr and exit status :data:`EXIT_CODE`."""
    try:
        yield
    except (EidolonError, TransientError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(EXIT_CODE)
