"""The addresses of pages of MLflow and the endpoint, for Airflow's pages and for messages. What is
only a file has none: a browser opens no file from a page of a server."""

from __future__ import annotations

import os

from components.variables import masked
from ops.environment import ports

MODEL = "models/eidolon"
"""The registered model's place in MLflow's pages."""


def mlflow(place: str) -> str:
    """The address of ``place`` in MLflow's pages."""
    uri = os.environ.get("MLFLOW_TRACKING_URI", "")
    server = uri if uri.startswith("http") else f"http://127.0.0.1:{ports(os.environ).mlflow}"
    return f"{masked(server).rstrip('/')}/#/{place}"


def version(number: str) -> str:
    """The address of the model's version ``number`` in MLflow's pages."""
    return f"{mlflow(MODEL)}/versions/{number}"


def endpoint() -> str:
    """The address of the endpoint on this machine."""
    return f"http://127.0.0.1:{ports(os.environ).endpoint}"
