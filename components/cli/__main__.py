"""The command `eidolon`: all verbs in one application, with each error printed as one sentence."""

from __future__ import annotations

import typer

from components.cli import authors, capacity, data, models, search, stages, tuning
from components.errors import EidolonError, TransientError, one_sentence

_WRONG_PATH = (
    FileExistsError,
    FileNotFoundError,
    IsADirectoryError,
    NotADirectoryError,
    PermissionError,
)


app = typer.Typer(
    help="Text-to-image search through imagined pictures.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(stages.verbs)
app.add_typer(data.verbs)
app.add_typer(models.verbs)
app.add_typer(tuning.verbs)
app.add_typer(capacity.verbs)
app.add_typer(search.verbs)
app.add_typer(authors.verbs)


def main() -> None:
    """Run the command line.

    An error is one sentence on stderr. The exit status is 2 for bad input, and 75 for an error that
    may disappear in another attempt, such as a full disk.
    """
    with one_sentence():
        try:
            app()
        except OSError as error:
            where = f" {error.filename}" if error.filename else ""
            kind = EidolonError if isinstance(error, _WRONG_PATH) else TransientError
            raise kind(f"{error.strerror or error}{where}") from None


if __name__ == "__main__":
    main()
