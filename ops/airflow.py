"""A client of Airflow's REST API, for runs on the scheduler of `make up`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx

from components.errors import EidolonError, TransientError
from ops.environment import environment, ports


class Airflow:
    """The API server of `make up`, with its user admin."""

    def __init__(self) -> None:
        env = environment()
        file = Path(env["AIRFLOW_HOME"]) / "simple_auth_manager_passwords.json.generated"
        try:
            password = json.loads(file.read_text().splitlines()[-1])["admin"]
        except (OSError, ValueError, KeyError, IndexError):
            raise EidolonError(f"{file} holds no password of admin: is Airflow running?") from None
        self._url = f"http://127.0.0.1:{ports(env).airflow}"
        self._client = httpx.Client(base_url=self._url, timeout=30, trust_env=False)
        login = {"username": "admin", "password": password}
        token = self._ask("POST", "/auth/token", login).json()["access_token"]
        self._client.headers["Authorization"] = f"Bearer {token}"

    def knows(self, dag: str) -> bool:
        """Whether the DAG processor has read ``dag``."""
        return not self._ask("GET", f"/api/v2/dags/{dag}", missing=True).is_error

    def trigger(self, dag: str, run: str) -> None:
        """Start the run ``run`` of ``dag``."""
        asked: dict[str, Any] = {"dag_run_id": run, "logical_date": None, "conf": {}}
        self._ask("POST", f"/api/v2/dags/{dag}/dagRuns", asked)

    def state(self, dag: str, run: str) -> str:
        """The state of a run: queued, running, success or failed."""
        return str(self._ask("GET", f"/api/v2/dags/{dag}/dagRuns/{run}").json()["state"])

    def _ask(
        self, method: str, path: str, body: Any = None, *, missing: bool = False
    ) -> httpx.Response:
        """Raises :class:`TransientError` when Airflow does not answer or fails, and
        :class:`EidolonError` when it refuses; but ``missing`` allows the status 404."""
        try:
            answer = self._client.request(method, path, json=body)
        except httpx.TransportError as error:
            raise TransientError(f"Airflow at {self._url} does not answer ({error})") from None
        if answer.is_server_error:
            raise TransientError(f"Airflow fails at {method} {path}: {answer.text}")
        if answer.is_error and not (missing and answer.status_code == 404):
            raise EidolonError(f"Airflow refuses {method} {path}: {answer.text}")
        return answer
