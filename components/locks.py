"""Locks between processes. A lock ends with its process, even if that is killed.

They are flock(2) locks, taken by `filelock`. On NFS, Linux keeps them on the server, so they hold
between machines. That requires a lock file that is open for writing (flock(2), "NFS details",
https://man7.org/linux/man-pages/man2/flock.2.html). The mount options `nolock` and `local_lock`
limit them to one machine. `filelock.SoftFileLock`, a marker file, works without flock, but it would
outlive a process that was killed on another machine.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from components.errors import EidolonError

_UNSUPPORTED = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)


class BusyError(Exception):
    """Another process holds the lock."""


class NoLocksError(EidolonError):
    """The file system has no locks."""


@contextmanager
def held(file: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold the lock ``file`` inside this block. Makes its folder if needed. Both stay afterwards.

    Raises :class:`BusyError` when another process holds it and ``wait`` is false. Raises
    :class:`NoLocksError` when the file system has no locks.
    """
    lock = FileLock(file, timeout=-1 if wait else 0, fallback_to_soft=False)
    try:
        lock.acquire()
    except Timeout:
        raise BusyError(f"another process holds {file}") from None
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
        raise NoLocksError(
            f"{file.parent} is on a file system without locks ({error.strerror}): use another one,"
            " or mount it with locks"
        ) from None
    try:
        yield
    finally:
        lock.release()
