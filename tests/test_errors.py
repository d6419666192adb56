"""Errors: which are worth another try, and that no message shows a password."""

from __future__ import annotations

import errno
import os
import shutil

import pytest

from components.errors import TRY_AGAIN, EidolonError, TransientError, failure, one_sentence
from components.variables import masked


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql+psycopg2://me:a/b:c@h:5432/db", "postgresql+psycopg2://me:***@h:5432/db"),
        ("at https://me:p@ss@h/x: no", "at https://me:***@h/x: no"),
        ("redis://:secret@h", "redis://:***@h"),
        ("postgresql:///db?user=me&password=x&a=1", "postgresql:///db?user=me&password=***&a=1"),
        ("http://127.0.0.1:5000/#/runs/1", "http://127.0.0.1:5000/#/runs/1"),
        ("sqlite:////home/me@work/mlflow.db", "sqlite:////home/me@work/mlflow.db"),
        ("mail me@work: now", "mail me@work: now"),
    ],
)
def test_a_password_in_an_address_is_not_shown(text: str, shown: str) -> None:
    assert masked(text) == str(EidolonError(text)) == str(TransientError(text)) == shown
    assert masked(shown) == shown


@pytest.mark.parametrize(
    ("lines", "status", "kind", "sentence"),
    [
        (["error: m is gone", "ERROR: failed to run: x, exited with 2"], 2, EidolonError, "m is g"),
        (["error: the hub is out of reach"], 75, TransientError, "the hub is out of reach"),
        (["Traceback", "KeyError: 'a'"], 1, TransientError, "KeyError: 'a'"),
        (["Killed"], -9, TransientError, "Killed"),
        ([], -9, TransientError, "no output"),
    ],
)
def test_only_bad_input_is_not_tried_again(
    lines: list[str], status: int, kind: type[Exception], sentence: str
) -> None:
    error = failure(lines, status)
    assert type(error) is kind
    assert sentence in str(error)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), TRY_AGAIN),
        (shutil.Error([("a", "b", "[Errno 28] No space left on device: 'b'")]), TRY_AGAIN),
        (OSError(errno.EACCES, "Permission denied"), None),
    ],
)
def test_a_full_disk_is_one_sentence(
    error: OSError, status: int | None, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit if status else OSError) as ended, one_sentence():
        raise error
    if isinstance(ended.value, SystemExit):
        assert ended.value.code == status
        told = "error: No space left on device: free some space, then try again\n"
        assert capsys.readouterr().err == told
