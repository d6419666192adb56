"""The DAG `approve`: a person decides about a version that passed the gate (`gate.approval`).

It has a run for each such version. A run that waits takes no worker and blocks no other run. Whom
nobody answers within `gate.approval_hours` is refused, and the champion stays.

Airflow parses this file again and again, so it imports nothing heavy.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import chain, dag, get_current_context, task
from assets import CHAMPION, PASSED
from perform import perform, tell_failed
from policy import DEFAULTS, approval, documented
from tasks import Given, build, check

from ops import rollout

DOC = """### A person decides about a version that passed the gate
Only with `gate.approval: true` in params.yaml. Read the verdict, then answer **ask** under
*Required Actions*. Without an answer in `gate.approval_hours` the version is refused, and the
champion stays. `eidolon promote N` approves it from the command line.

* **passed** skipped: a newer version has become the challenger.
* **promote** skipped: a newer version has passed the gate meanwhile.
* **promote** failed: somebody moved the champion meanwhile. A new run of `retrain` judges the
  version again."""


@task
def passed() -> dict[str, Any]:
    """The gate's result on the version."""
    context = get_current_context()
    events = context["triggering_asset_events"][PASSED]
    return perform(lambda log: rollout.waiting([event.extra for event in events], log))


@task(outlets=[CHAMPION])
def promote(passed: Given, built: Given, answer: Given, *, outlet_events: Any = None) -> None:
    """Move the alias `champion` to the version, unless somebody else moved it meanwhile."""
    user = (answer or {}).get("responded_by_user") or {}
    by = user.get("name") or "an approver"
    perform(lambda log: rollout.promote(built["version"], passed, log, by=by))
    outlet_events[CHAMPION].extra = {"version": built["version"], "bento": built["tag"]}


@dag(
    schedule=[PASSED],
    catchup=False,
    max_active_runs=16,
    is_paused_upon_creation=False,
    on_failure_callback=tell_failed,
    default_args=DEFAULTS | {"execution_timeout": timedelta(minutes=30)},
    doc_md=documented(DOC),
    tags=["eidolon"],
)
def approve() -> None:
    """Ask a person about a version that passed the gate, and promote it."""
    patience = approval() or timedelta(hours=24)
    version = passed()
    asked = ApprovalOperator(
        task_id="ask",
        subject="Shall version {{ ti.xcom_pull('passed')['version'] }} become the champion?",
        body="{{ ti.xcom_pull('passed')['body'] }}",
        doc_md="Waits for a person's answer, under *Required Actions*. No answer is a refusal.",
        defaults="Reject",
        response_timeout=patience,
        execution_timeout=patience + timedelta(hours=1),
        retries=0,
    )
    built = build(version)
    chain(version, asked, built, check(built), promote(version, built, asked.output))


approve()
