"""The DAG `deploy`: the endpoint follows the alias `champion`.

It starts when the champion moves: by `retrain` or `approve`, by `eidolon promote` or `eidolon
rollback`, or by hand in MLflow. The Bento of exactly that version is built and asked golden
queries. Then it is started beside the live one, and the endpoint's pointer moves. On a failure the
endpoint goes on serving what it serves, and the alias moves back to that.

Airflow parses this file again and again, so it imports nothing heavy.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import TriggerRule, chain, dag, task
from assets import CHAMPION
from perform import perform, tell_failed, why_failed
from policy import DEFAULTS, deadline, documented
from tasks import Given, check

from ops import rollout

DOC = """### The endpoint follows the champion
Whenever the alias `champion` moves, whoever moved it, and when the endpoint does not serve it.

* **build** skipped: the champion is served already.
* **switch** moves the endpoint without losing a request. The Bento before stays loaded, so
  `eidolon rollback` takes seconds.
* **put_back** ran: the version could not be deployed. The endpoint serves what it served, the alias
  names that again, and `eidolon history` says why."""


@task
def build() -> dict[str, Any]:
    """Build the Bento of the champion. Skipped when the endpoint serves it already."""
    return perform(rollout.follow)


@task
def switch(built: Given) -> dict[str, Any]:
    """Start the Bento beside the live one, and move the endpoint's pointer to it."""
    return perform(lambda log: rollout.switch(built, log))


@task(trigger_rule=TriggerRule.ONE_FAILED)
def put_back(built: Given) -> None:
    """After a failure: let the alias name what is deployed, and say why."""
    perform(lambda log: rollout.put_back((built or {}).get("version"), why_failed(), log))


@dag(
    schedule=[CHAMPION],
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=False,
    on_failure_callback=tell_failed,
    default_args=DEFAULTS | {"execution_timeout": timedelta(minutes=30)},
    deadline=deadline("deploy"),
    doc_md=documented(DOC),
    tags=["eidolon"],
)
def deploy() -> None:
    """Bring the champion to the endpoint, without dropping a request."""
    built = build()
    checked, switched = check(built), switch(built)
    chain(built, checked, switched)
    chain([checked, switched], put_back(built))


deploy()
