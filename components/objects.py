"""Objects by key, in a folder or in a bucket of S3: what machines share that share no disk.

One machine keeps its state in files. Where `EIDOLON_OBJECTS` names a place, the stores, the records
of runs and the pointer keep theirs there too, through this one interface. An object appears
complete or not at all. Keys are parts joined by `/`; a part does not begin with a dot.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

from components.errors import EidolonError, TransientError
from components.files import file_aside, scratch

VARIABLE = "EIDOLON_OBJECTS"


class Objects(Protocol):
    """Objects by key. Any number of threads and processes may use one place at the same time.

    Every method raises :class:`TransientError` when the place cannot be reached, and
    :class:`EidolonError` when it refuses the keys of access or does not exist.
    """

    url: str

    def read(self, key: str) -> bytes | None:
        """The object, or None where there is none."""

    def write(self, key: str, data: bytes) -> None:
        """Write the object, in the place of one that may be there."""

    def write_once(self, key: str, data: bytes) -> bool:
        """Write the object where there is none. Returns whether ``data`` is what is there now."""

    def exists(self, key: str) -> bool:
        """Whether there is an object."""

    def keys(self, prefix: str = "", after: str = "") -> list[str]:
        """The keys that begin with ``prefix`` and come after the key ``after``, ascending."""

    def delete(self, key: str) -> None:
        """Remove the object, if there is one."""


def shared() -> Objects | None:
    """The place that `EIDOLON_OBJECTS` names; None where it is not set.

    Raises what :func:`opened` raises.
    """
    if not (url := os.environ.get(VARIABLE)):
        return None
    given = tuple(sorted(item for item in os.environ.items() if item[0].startswith("AWS_")))
    return _kept(url, given, os.getpid())


@lru_cache(maxsize=1)
def _kept(url: str, variables: tuple[tuple[str, str], ...], process: int) -> Objects:
    """The place ``url`` with these ``variables``: opening it takes long, and a child of ``process``
    must not share its connections."""
    return opened(url)


def opened(url: str, variable: str = VARIABLE, *, patient: bool = True) -> Objects:
    """The place ``url``: a folder (`/path` or `file:///path`) or `s3://bucket/prefix`.

    ``variable`` is where the user gave it, for errors. ``patient`` is for work that nobody waits
    for: else S3 is given up after about 12 seconds, and not only after more than a minute.

    S3 is reached by the usual variables of AWS: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY,
    AWS_REGION, and AWS_ENDPOINT_URL_S3 for a server other than Amazon's. Nothing is asked of it
    yet. Raises :class:`EidolonError` for any other address.
    """
    parts = urlsplit(url)
    if parts.scheme in ("", "file") and not parts.netloc and parts.path:
        return _Folder(Path(unquote(parts.path) if parts.scheme else url), variable)
    if parts.scheme == "s3" and re.fullmatch(r"[a-z0-9][a-z0-9.-]+", parts.netloc):
        return _Bucket(parts.netloc, parts.path.strip("/"), variable, patient=patient)
    raise EidolonError(
        f"{url} is no place for objects: give a folder, or s3://BUCKET/PREFIX, in {variable}"
    )


class _ExpectedError(Exception):
    """An answer of S3 that tells of no fault."""


class _Folder:
    """Objects as the files of a folder."""

    def __init__(self, root: Path, variable: str) -> None:
        self.url, self._root, self._variable = root.absolute().as_uri(), root, variable

    def read(self, key: str) -> bytes | None:
        try:
            with self._errors():
                return self._at(key).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def write(self, key: str, data: bytes) -> None:
        with self._errors(), file_aside(self._at(key)) as aside:
            aside.write_bytes(data)

    def write_once(self, key: str, data: bytes) -> bool:
        target = self._at(key)
        with self._errors(), scratch(target.parent) as place:
            with (place / target.name).open("wb") as aside:
                aside.write(data)
                aside.flush()
                os.fsync(aside.fileno())
            with suppress(FileExistsError):
                target.hardlink_to(place / target.name)
        return self.read(key) == data

    def exists(self, key: str) -> bool:
        return self._at(key).is_file()

    def keys(self, prefix: str = "", after: str = "") -> list[str]:
        found = []
        for folder, names, files in os.walk(self._root / prefix.rpartition("/")[0]):
            names[:] = [name for name in names if not name.startswith(".")]
            within = Path(folder).relative_to(self._root)
            found += [(within / name).as_posix() for name in files if not name.startswith(".")]
        return sorted(key for key in found if key.startswith(prefix) and key > after)

    def delete(self, key: str) -> None:
        with self._errors(), suppress(FileNotFoundError, NotADirectoryError):
            self._at(key).unlink()

    def _at(self, key: str) -> Path:
        return self._root / _checked(key)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Raise a folder's refusal as ours."""
        try:
            yield
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
                raise
            raise EidolonError(
                f"{self.url} cannot be used ({error.strerror}): make it readable and writable, or"
                f" set {self._variable} to another place"
            ) from None


class _Bucket:
    """Objects below a prefix of a bucket of S3."""

    def __init__(self, bucket: str, prefix: str, variable: str, *, patient: bool) -> None:
        self.url, self._variable = f"s3://{bucket}/{prefix}".rstrip("/"), variable
        self._bucket, self._prefix = bucket, f"{prefix}/" if prefix else ""
        with self._errors():
            self._s3 = _client(patient)

    def read(self, key: str) -> bytes | None:
        try:
            with self._errors("NoSuchKey"):
                data: bytes = self._s3.get_object(**self._at(key))["Body"].read()
                return data
        except _ExpectedError:
            return None

    def write(self, key: str, data: bytes) -> None:
        with self._errors():
            self._s3.put_object(**self._at(key), Body=data)

    def write_once(self, key: str, data: bytes) -> bool:
        # a repeated request finds what the first one wrote, so the answer alone decides nothing
        try:
            with self._errors("PreconditionFailed"):
                self._s3.put_object(**self._at(key), Body=data, IfNoneMatch="*")
        except _ExpectedError:
            return self.read(key) == data
        return True

    def exists(self, key: str) -> bool:
        try:
            with self._errors("404"):
                self._s3.head_object(**self._at(key))
        except _ExpectedError:
            return False
        return True

    def keys(self, prefix: str = "", after: str = "") -> list[str]:
        asked = {"Bucket": self._bucket, "Prefix": self._prefix + prefix}
        if after:
            asked["StartAfter"] = self._prefix + after
        found: list[str] = []
        with self._errors():
            for page in self._s3.get_paginator("list_objects_v2").paginate(**asked):
                found += [o["Key"].removeprefix(self._prefix) for o in page.get("Contents", ())]
        return sorted(key for key in found if key > after)

    def delete(self, key: str) -> None:
        with self._errors():
            self._s3.delete_object(**self._at(key))

    def _at(self, key: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": self._prefix + _checked(key)}

    @contextmanager
    def _errors(self, *expected: str) -> Iterator[None]:
        """Raise the errors of S3 as ours, and one with an ``expected`` code as such."""
        from botocore.exceptions import (
            BotoCoreError,
            ClientError,
            NoCredentialsError,
            PartialCredentialsError,
        )

        try:
            yield
        except (NoCredentialsError, PartialCredentialsError):
            raise EidolonError(
                f"there are no keys for {self.url}: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            ) from None
        except ClientError as error:
            code = error.response["Error"]["Code"]
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            if code in expected:
                raise _ExpectedError from None
            if code == "NoSuchBucket":
                raise EidolonError(
                    f"{self.url} does not exist: create the bucket {self._bucket}, or correct"
                    f" {self._variable}"
                ) from None
            if status in (401, 403):
                raise EidolonError(
                    f"{self.url} refuses the keys of access: correct AWS_ACCESS_KEY_ID and"
                    " AWS_SECRET_ACCESS_KEY, or let their owner read and write there"
                ) from None
            raise TransientError(f"{self.url} answered {code} ({status}): try again") from None
        except BotoCoreError as error:
            raise TransientError(
                f"{self.url} cannot be reached ({type(error).__name__}): see that its server runs"
                " and that AWS_ENDPOINT_URL_S3 is its address, then try again"
            ) from None


def _client(patient: bool) -> Any:
    """A client of S3, which threads may share."""
    import boto3
    from botocore.config import Config

    environment = os.environ
    other = environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL")
    settings = Config(
        connect_timeout=3,
        read_timeout=20 if patient else 5,
        retries={"mode": "standard", "total_max_attempts": 4 if patient else 2},
        max_pool_connections=16,
        # a server of one's own seldom has a name for each bucket
        s3={"addressing_style": "path" if other else "auto"},
    )
    region = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or "us-east-1"
    return boto3.session.Session().client("s3", region_name=region, config=settings)


def _checked(key: str) -> str:
    """``key``. Raises :class:`ValueError` where it is no key."""
    if not all(part and not part.startswith(".") for part in key.split("/")):
        raise ValueError(f"{key!r} is no key of an object")
    return key
