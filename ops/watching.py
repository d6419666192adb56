"""Tells Airflow when the endpoint does not serve the champion.

The alias `champion` may be moved in MLflow's pages or by its API. A webhook could be lost, and is
sent by a server only. So Airflow's triggerer asks every few seconds.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

SECONDS = 10.0
AGAIN = 120.0
"""Seconds until the same version is announced once more: Airflow may pass over an event that comes
during a run of the DAG, and the run may have failed."""

log = logging.getLogger(__name__)


class ChampionMoved(BaseEventTrigger):
    """Announces the champion's version whenever the endpoint does not serve it."""

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """As Airflow stores it."""
        return "ops.watching.ChampionMoved", {}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Ask again and again. A registry that is away is no reason to end."""
        announced: dict[str, float] = {}
        while True:
            try:
                version = await asyncio.to_thread(not_served)
            except Exception as error:  # of a registry, a disk, a network: the next look may do
                log.warning("cannot tell whether the champion is served: %s", error)
                version = None
            now = time.monotonic()
            if version is None:
                announced = {}
            elif now - announced.get(version, -AGAIN) >= AGAIN:
                announced = {version: now}
                yield TriggerEvent({"version": version})
            await asyncio.sleep(SECONDS)


def not_served() -> str | None:
    """The champion's version if the endpoint does not serve it, or ``None``."""
    from components.lifecycle import registry
    from ops import swap

    version, served = registry.version_of(registry.CHAMPION), swap.served()
    return None if served is not None and str(served["version"]) == version else version
