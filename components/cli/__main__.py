"""The command `eidolon`: all verbs in one application, and every error as one sentence."""

from __future__ import annotations

import typer

from components.cli import authors, data, models, stages
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
for group in (stages, data, models, authors):
    app.add_typer(group.verbs)


def main() -> None:
    """Run the command line. Bad input is one sentence on stderr and exit status 2; what another
    attempt may cure, such as a full disk, one with exit status 75."""
    with one_sentence():
        try:
            app()
        except OSError as error:
            where = f" {error.filename}" if error.filename else ""
            kind = EidolonError if isinstance(error, _WRONG_PATH) else TransientError
            raise kind(f"{error.strerror or error}{where}") from None


if __name__ == "__main__":
    main()
