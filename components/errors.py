"""The one kind of error a user meets: a sentence that names what is wrong and the remedy."""

from __future__ import annotations


class EidolonError(Exception):
    """Bad input, a missing or damaged file, an absurd parameter.

    The command line prints it without a traceback and exits with :data:`EXIT_CODE`; Airflow fails
    the task without a retry, since trying again would not help.
    """


EXIT_CODE = 2
"""Exit status of a command that was given bad input."""
