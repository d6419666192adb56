"""Tells people what happened, by the webhook in ``EIDOLON_WEBHOOK``.

The address is a secret: whoever has it can write into the channel. It comes from the environment,
and no log, file or error shows more of it than its host.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Mapping
from typing import Any

import httpx

from ops.stage import Log

VARIABLE = "EIDOLON_WEBHOOK"
TIMEOUT = 10.0  # seconds for a webhook to answer


def tell(text: str, facts: Mapping[str, Any], log: Log) -> None:
    """Send ``text`` and ``facts`` as JSON, if there is a webhook. One that fails is logged, and
    fails nothing."""
    url = os.environ.get(VARIABLE, "")
    if not url:
        return
    try:
        answer = httpx.post(url, json={"text": text, **facts}, timeout=TIMEOUT)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:  # its words may have the URL
        log(f"the webhook ({VARIABLE}) was not told: {type(error).__name__}")
        return
    if answer.is_success:
        log(f"the webhook at {answer.url.host} was told")
    else:
        log(f"the webhook at {answer.url.host} was not told: status {answer.status_code}")


async def late(*, dag: str, hours: float, **_: Any) -> None:
    """Tell that a run of ``dag`` has missed its deadline. Airflow's triggerer calls it."""
    text = f"Eidolon: a run of the DAG {dag} is not done after {hours:g} hours: look at Airflow"
    log = logging.getLogger(__name__)
    log.warning(text)
    await asyncio.to_thread(tell, text, {"dag": dag, "hours": hours}, log.info)
