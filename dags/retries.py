"""How often a failed task is tried again: the same in every DAG."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

RETRIES: dict[str, Any] = {
    "retries": 2,
    "retry_delay": timedelta(seconds=15),
    "retry_exponential_backoff": 2.0,
    "max_retry_delay": timedelta(minutes=10),
}
"""Default arguments of a DAG. A remote or a registry that is down may be back in a minute."""
