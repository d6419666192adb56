"""A real S3-compatible server for tests: SeaweedFS, on the loopback interface."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from components.ports import free_port
from components.processes import end, family

BUCKET = "eidolon"
_OFF = ("-webdav=false", "-admin.ui=false", "-s3.port.iceberg=0", "-s3.port.lance=0")
_PORTS = ("master", "volume", "filer", "admin")


class Server:
    """A server that keeps its objects in ``folder`` while it is stopped."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.access, self.secret = folder, "tests", secrets.token_hex(16)
        self.port, self._ports = free_port(), [free_port() for _ in _PORTS]
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        keys = [{"accessKey": self.access, "secretKey": self.secret}]
        actions = ["Admin", "Read", "Write", "List", "Tagging"]
        identity = {"name": "tests", "credentials": keys, "actions": actions}
        (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))

    @property
    def variables(self) -> dict[str, str]:
        """What a process needs to reach it."""
        return {
            "AWS_ACCESS_KEY_ID": self.access,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{self.port}",
            "AWS_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def start(self) -> None:
        """Start it, and wait until it answers."""
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError, ClientError

        log = (self.folder / "log").open("ab")
        self._process = subprocess.Popen(
            [
                *(str(Path(sys.executable).parent / "weed"), "-logtostderr", "mini"),
                *("-dir", str(self.folder / "data"), "-ip", "127.0.0.1", "-ip.bind", "127.0.0.1"),
                *("-s3.port", str(self.port), "-s3.config", str(self.folder / "s3.json")),
                *(f"-{of}.port={port}" for of, port in zip(_PORTS, self._ports, strict=True)),
                *("-bucket", BUCKET, "-master.telemetry=false", *_OFF),
            ],
            stdout=log,
            stderr=log,
            cwd=self.folder,
            env={"PATH": os.environ["PATH"], "HOME": str(self.folder)},
        )
        client = boto3.client(
            "s3",
            endpoint_url=self.variables["AWS_ENDPOINT_URL_S3"],
            aws_access_key_id=self.access,
            aws_secret_access_key=self.secret,
            region_name="us-east-1",
            config=Config(retries={"total_max_attempts": 1}, connect_timeout=1, read_timeout=5),
        )
        until = time.monotonic() + 60
        while True:
            try:
                client.put_object(Bucket=BUCKET, Key="ready", Body=b"")
                client.delete_object(Bucket=BUCKET, Key="ready")
                return
            except (BotoCoreError, ClientError):
                if time.monotonic() > until or self._process.poll() is not None:
                    raise AssertionError((self.folder / "log").read_text()[-3000:]) from None
                time.sleep(0.1)

    def kill(self) -> None:
        """Kill it, as a power cut would."""
        if self._process:
            for process in family(self._process.pid):
                process.send_signal(signal.SIGKILL)
            self._process.wait()

    def stop(self) -> None:
        """End it."""
        if self._process:
            end(family(self._process.pid))
            self._process.wait()


@contextmanager
def server(folder: Path) -> Iterator[Server]:
    """A running server for this block."""
    made = Server(folder)
    try:
        made.start()
        yield made
    finally:
        made.stop()
