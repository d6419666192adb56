"""Tells Airflow when the endpoint does not serve the champion, and people when a challenger was
withdrawn from its trial.

The alias `champion` may be moved in MLflow's pages or by its API. A webhook could be lost, and is
sent by a server only. So Airflow's triggerer asks every few seconds. It may know the address of the
webhook for people, which the proxy that withdraws a challenger must not.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
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
            await _looked("whether a challenger was withdrawn", tell_withdrawn)
            version = await _looked("whether the champion is served", not_served)
            now = time.monotonic()
            if version is None:
                announced = {}
            elif now - announced.get(version, -AGAIN) >= AGAIN:
                announced = {version: now}
                yield TriggerEvent({"version": version})
            await asyncio.sleep(SECONDS)


async def _looked(what: str, look: Callable[[], str | None]) -> str | None:
    try:
        return await asyncio.to_thread(look)
    except Exception as error:  # of a registry, a disk, a network: the next look may do
        log.warning("cannot tell %s: %s", what, error)
        return None


def tell_withdrawn() -> None:
    """Tell people that the challenger on trial was withdrawn, if it was and they do not know."""
    from ops import canary

    canary.tell(log.info)


def not_served() -> str | None:
    """The champion's version if the endpoint does not serve it, or ``None``."""
    from components.lifecycle import registry
    from ops import swap

    version, served = registry.version_of(registry.CHAMPION), swap.served()
    return None if served is not None and str(served["version"]) == version else version
