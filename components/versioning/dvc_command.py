"""DVC's command line with an exit status that says whether another attempt may help.

Usage: `python -m components.versioning.dvc_command repro train`.

DVC exits with status 255 for most failures. But it logs the exception behind each of them, and the
exception's class distinguishes a wrong dvc.yaml from an unreachable remote. So this module runs
`dvc.cli.main` and listens to its log. Like all commands here, it
exits with :data:`components.errors.EXIT_CODE` for bad input, and else with
:data:`components.errors.TRY_AGAIN`.
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
    ImportError,  # the package for a remote's scheme is missing
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
    # the files that these name
    DependencyDoesNotExistError,
    MissingDataSource,
    OutputDoesNotExistError,
    FileNotFoundError,
    NotADirectoryError,
    IsADirectoryError,
    PermissionError,
)
"""Failures that another attempt cannot overcome. Others may pass: a lock, a full disk, a remote
that is down, or one that does not have another clone's push yet. (To DVC, an HTTP remote that is
down looks like one that lacks a file.)"""

S3 = ("botocore.exceptions", "aiobotocore.httpsession")
NO_KEYS = {"NoCredentialsError", "PartialCredentialsError"}
LOGGERS = ("dvc", "dvc_data", "dvc_objects")
_EXITED = re.compile(r"exited with (-?\d+)")


class Failures(logging.Handler):
    """Collects the exceptions that are logged, in their order."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.found: list[BaseException] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the exception of ``record``, if it has one."""
        if record.exc_info and record.exc_info[1]:
            self.found.append(record.exc_info[1])


def main(arguments: Sequence[str]) -> int:
    """Run `dvc ARGUMENTS` and return the exit status. Waits for DVC's lock.

    Raises :class:`EidolonError` or :class:`TransientError` on failure. If the command of a stage
    failed with one of our statuses, it has already printed its error, and that status is returned.
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
    # dvc-s3, which may not be installed, brings botocore
    of_s3 = {type(cause).__name__ for cause in causes if type(cause).__module__ in S3}
    no_keys = bool(of_s3 & NO_KEYS)
    bad = no_keys or any(isinstance(cause, BAD_INPUT) for cause in causes)
    if no_keys or (of_s3 and any(isinstance(cause, PermissionError) for cause in causes)):
        why += ": correct AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    elif of_s3 and not bad:
        why += ": see that the server of S3 runs, and that AWS_ENDPOINT_URL_S3 is its address"
    raise (EidolonError if bad else TransientError)(f"`dvc {arguments[0]}` failed: {why}")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """``error`` and the errors that it was explicitly raised from.

    Implicit contexts do not count, because DVC looks in its cache, fails, and then asks the remote.
    """
    while error is not None:
        yield error
        error = error.__cause__


def _status(error: StageCmdFailedError) -> int | None:
    """The exit status of a stage's command."""
    found = _EXITED.search(str(error))
    return int(found[1]) if found else None


def _sentence(error: BaseException) -> str:
    """The message of ``error`` in one line, without passwords."""
    lines = [line.strip() for line in masked(str(error)).splitlines() if line.strip()]
    return " ".join(lines)[:300] or type(error).__name__


if __name__ == "__main__":
    with one_sentence():
        sys.exit(main(sys.argv[1:]))
