"""DVC's command line, whose exit status says what its failure means: `python -m
components.versioning.dvc_command repro train`.

DVC gives most failures the status 255 and words them for people. But it logs the exception behind
each one, and the classes of those tell a wrong dvc.yaml from a remote that is down. So this runs
`dvc.cli.main`, listens to its log, and ends as every command here does:
:data:`components.errors.EXIT_CODE` for bad input, :data:`components.errors.TRY_AGAIN` for the rest.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterator, Sequence

from dvc.cli import main as dvc
from dvc.config import ConfigError
from dvc.dependency.base import DependencyDoesNotExistError
from dvc.dependency.param import BadParamFileError, MissingParamsError, MissingParamsFile
from dvc.exceptions import (
    CyclicGraphError,
    InvalidArgumentError,
    NoOutputOrStageError,
    NotDvcRepoError,
    OutputDuplicationError,
    OverlappingOutputPathsError,
)
from dvc.output import OutputDoesNotExistError
from dvc.parsing import EntryNotFound, ResolveError
from dvc.stage.exceptions import (
    MissingDataSource,
    StageCmdFailedError,
    StageFileDoesNotExistError,
    StageNotFound,
)
from dvc.utils.serialize import ParseError
from dvc.utils.strictyaml import YAMLValidationError
from dvc_objects.fs.errors import AuthError, RemoteMissingDepsError
from dvc_objects.fs.errors import ConfigError as RemoteConfigError

from components.errors import EXIT_CODE, TRY_AGAIN, EidolonError, TransientError, one_sentence
from components.variables import masked

BAD_INPUT = (
    # the repository and its settings
    NotDvcRepoError,
    ConfigError,
    RemoteConfigError,
    AuthError,
    RemoteMissingDepsError,
    ImportError,  # of the package that a remote's scheme needs
    InvalidArgumentError,
    # dvc.yaml, dvc.lock and params.yaml
    ParseError,
    YAMLValidationError,
    ResolveError,
    EntryNotFound,
    StageNotFound,
    StageFileDoesNotExistError,
    NoOutputOrStageError,
    CyclicGraphError,
    OutputDuplicationError,
    OverlappingOutputPathsError,
    BadParamFileError,
    MissingParamsError,
    MissingParamsFile,
    # the files that they name
    DependencyDoesNotExistError,
    MissingDataSource,
    OutputDoesNotExistError,
    FileNotFoundError,
    NotADirectoryError,
    IsADirectoryError,
    PermissionError,
)
"""What another attempt cannot cure. Anything else may go away: a lock that is held, a full disk, a
remote that is down or has not yet got what another clone pushes. (An HTTP remote that is down looks
to DVC like one that lacks a file.)"""

LOGGERS = ("dvc", "dvc_data", "dvc_objects")
_EXITED = re.compile(r"exited with (-?\d+)")


class Failures(logging.Handler):
    """The exceptions that are logged, in their order."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.found: list[BaseException] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the exception of ``record``, if it has one."""
        if record.exc_info and record.exc_info[1]:
            self.found.append(record.exc_info[1])


def main(arguments: Sequence[str]) -> int:
    """Run `dvc ARGUMENTS`, waiting for its lock; the exit status.

    Raises :class:`EidolonError` or :class:`TransientError`, but for a stage's command that has said
    itself what was wrong and ended with its status.
    """
    failures = Failures()
    for name in LOGGERS:
        logging.getLogger(name).addHandler(failures)
    code = int(dvc(["--wait-for-lock", *arguments]))
    if code == 0:
        return 0
    causes = [cause for failure in failures.found for cause in _causes(failure)]
    status = next((_status(c) for c in causes if isinstance(c, StageCmdFailedError)), None)
    if status in (EXIT_CODE, TRY_AGAIN):
        return status
    why = ": ".join(dict.fromkeys(_sentence(cause) for cause in causes)) or f"exit status {code}"
    bad = any(isinstance(cause, BAD_INPUT) for cause in causes)
    raise (EidolonError if bad else TransientError)(f"`dvc {arguments[0]}` failed: {why}")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """``error`` and what it was raised from. What it was only raised beside does not count: DVC
    looks in its cache, finds nothing, and then asks the remote."""
    while error is not None:
        yield error
        error = error.__cause__


def _status(error: StageCmdFailedError) -> int | None:
    found = _EXITED.search(str(error))
    return int(found[1]) if found else None


def _sentence(error: BaseException) -> str:
    lines = [line.strip() for line in masked(str(error)).splitlines() if line.strip()]
    return " ".join(lines)[:300] or type(error).__name__


if __name__ == "__main__":
    with one_sentence():
        sys.exit(main(sys.argv[1:]))
