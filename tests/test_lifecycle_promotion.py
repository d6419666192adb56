"""The alias `champion`: compare and set, by hand with a reason, back, and its history."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from components.errors import EidolonError
from components.lifecycle import history, promotion, registry, trial
from components.lifecycle.promotion import SupersededError

GATE = {"by": "the gate", "reason": "better"}


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database that is migrated once, and copied for each test."""
    place = tmp_path_factory.mktemp("registry") / "mlflow.db"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{place}")
        registry.client().create_registered_model(registry.MODEL)
    return place


@pytest.fixture
def client(database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    """A registry with three versions, of which the gate let 1 and 3 pass."""
    (tmp_path / "mlflow.db").write_bytes(database.read_bytes())
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.chdir(tmp_path)
    client = registry.client()
    for number in (1, 2, 3):
        client.create_model_version(registry.MODEL, source=f"/nowhere/{number}")
        registry.tag(str(number), registry.VERDICT, "refused" if number == 2 else "passed")
    registry.tag("2", "verdict_reason", "worse than version 1")
    return client


def aliases() -> dict[str, str | None]:
    return {name: registry.version_of(name) for name in (registry.CHAMPION, registry.PREVIOUS)}


def moves() -> list[tuple[str, str, str]]:
    return [(move.how, move.version, move.before) for move in history.moves()]


def test_a_promotion_is_recorded_once(client: MlflowClient) -> None:
    promotion.promote("1", None, **GATE)
    promotion.promote("1", None, **GATE)  # a task that is tried again
    promotion.promote("3", "1", **GATE)
    assert aliases() == {"champion": "3", "previous": "1"}
    assert moves() == [("promoted", "3", "1"), ("promoted", "1", "")]
    (latest, _) = history.moves()
    assert (latest.by, latest.reason) == ("the gate", "better")


def test_a_process_that_was_killed_after_the_move_is_recorded(client: MlflowClient) -> None:
    promotion.promote("1", None, **GATE)
    registry.set_alias(registry.CHAMPION, "3")
    promotion.promote("3", "1", **GATE)
    assert moves() == [("promoted", "3", "1"), ("promoted", "1", "")]


def test_who_was_judged_against_another_champion_is_not_promoted(client: MlflowClient) -> None:
    """A person rolls back while a run checks its Bento."""
    promotion.promote("1", None, **GATE)
    promotion.promote("3", "1", **GATE)
    promotion.roll_back()
    with pytest.raises(SupersededError, match="judged against version 3, and version 1 is"):
        promotion.promote("2", "3", **GATE)
    with pytest.raises(SupersededError, match="judged against no champion"):
        promotion.promote("2", None, **GATE)
    assert aliases() == {"champion": "1", "previous": "3"}
    assert moves()[0] == ("rolled back", "1", "3")


def test_one_that_did_not_pass_needs_a_reason(client: MlflowClient) -> None:
    promotion.promote("1", None, **GATE)
    with pytest.raises(EidolonError, match=r"did not pass the gate \(worse than version 1\): give"):
        promotion.promote_by_hand("2")
    with pytest.raises(EidolonError, match="give --reason"):
        promotion.promote_by_hand("2", "  ")
    assert moves() == [("promoted", "1", "")]
    promotion.promote_by_hand("2", "a customer waits for it")
    latest = history.moves(1)[0]
    assert (latest.version, latest.reason) == ("2", "a customer waits for it")
    assert latest.by == promotion.person()
    with pytest.raises(EidolonError, match="has no version '9'"):
        promotion.promote_by_hand("9", "why not")


def test_a_roll_back_marks_what_it_replaces_until_that_is_promoted(client: MlflowClient) -> None:
    promotion.promote("1", None, **GATE)
    promotion.promote("3", "1", **GATE)
    promotion.roll_back(reason="users complain")
    assert registry.registered("3").tags[registry.ROLLED_BACK] == "for 1: users complain"
    with pytest.raises(EidolonError, match="version 3, the champion before, was itself rolled"):
        promotion.roll_back()
    promotion.promote_by_hand("3")
    assert registry.ROLLED_BACK not in registry.registered("3").tags
    assert aliases() == {"champion": "3", "previous": "1"}


def test_there_may_be_nothing_to_go_back_to(client: MlflowClient) -> None:
    with pytest.raises(EidolonError, match="no version was the champion before"):
        promotion.roll_back()
    promotion.promote("1", None, **GATE)
    with pytest.raises(EidolonError, match="name one with --to"):
        promotion.roll_back()


def test_what_cannot_be_deployed_is_put_back_unless_somebody_was_faster(
    client: MlflowClient,
) -> None:
    promotion.promote("1", None, **GATE)
    promotion.promote("3", "1", **GATE)
    assert promotion.put_back("3", "1", by="deploy", reason="its encoder is broken")
    assert aliases()["champion"] == "1"
    assert not promotion.put_back("3", "2", by="deploy", reason="again")
    assert moves()[0] == ("put back", "1", "3")
    assert promotion.put_back("1", None, by="deploy", reason="nothing was deployed")
    assert aliases()["champion"] is None


def test_what_was_put_back_leaves_the_aliases_as_they_were(client: MlflowClient) -> None:
    """Two versions in turn cannot be deployed, and both lead by the gate."""
    for number in ("1", "2", "3"):
        registry.tag(number, registry.LEADS, "true")
        registry.tag(number, registry.VERDICT, "passed")
    client.create_model_version(registry.MODEL, source="/nowhere/4")
    promotion.promote("1", None, **GATE)
    promotion.promote("2", "1", **GATE)
    for failed in ("3", "4"):
        promotion.promote(failed, "2", **GATE)
        assert registry.version_of(registry.BEST) == failed
        assert promotion.put_back(failed, "2", by="deploy", reason="no memory")
        assert aliases() == {"champion": "2", "previous": "1"}
        assert registry.version_of(registry.BEST) == "2"
        mark = registry.registered(failed).tags[registry.ROLLED_BACK]
        assert mark == "it could not be deployed: no memory"  # so no retraining promotes it
    assert promotion.roll_back().version == "1"


def test_a_refused_version_needs_a_reason_under_a_newer_champion_too(client: MlflowClient) -> None:
    promotion.promote("3", None, **GATE)
    with pytest.raises(EidolonError, match="did not pass the gate"):
        promotion.promote_by_hand("2")
    assert aliases()["champion"] == "3"
    promotion.promote_by_hand("2", "a customer waits for it")
    promotion.promote_by_hand("3")
    promotion.roll_back()  # it was the champion before, so nobody need say again why
    assert aliases() == {"champion": "2", "previous": "3"}


def test_a_process_that_was_killed_at_the_champion_loses_no_best(
    client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    promotion.promote("1", None, **GATE)
    registry.tag("3", registry.LEADS, "true")
    move = registry.set_alias

    def killed_after(alias: str, version: str) -> None:
        move(alias, version)
        if alias == registry.CHAMPION:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(registry, "set_alias", killed_after)
        with pytest.raises(KeyboardInterrupt):
            promotion.promote("3", "1", **GATE)
    promotion.promote("3", "1", **GATE)
    assert registry.version_of(registry.BEST) == "3"
    assert moves()[0] == ("promoted", "3", "1")


def test_going_back_in_mlflow_itself_marks_what_was_replaced(client: MlflowClient) -> None:
    promotion.promote("1", None, **GATE)
    promotion.promote("3", "1", **GATE)
    registry.set_alias(registry.CHAMPION, "1")
    promotion.note_found("1", "3")
    reason = "for 1: the alias was moved in MLflow"
    assert registry.registered("3").tags[registry.ROLLED_BACK] == reason
    registry.set_alias(registry.CHAMPION, "3")
    promotion.note_found("3", "1")
    assert registry.ROLLED_BACK not in registry.registered("3").tags


def test_a_move_in_mlflow_itself_is_noted_once(client: MlflowClient) -> None:
    promotion.promote("1", None, **GATE)
    promotion.note_found("1", None)
    registry.set_alias(registry.CHAMPION, "2")
    promotion.note_found("2", "1")
    promotion.note_found("2", "1")
    assert moves() == [("found", "2", "1"), ("promoted", "1", "")]
    assert aliases() == {"champion": "2", "previous": "1"}


def seen_on_trial(compared: int) -> dict[str, Any]:
    """What a trial has shown."""
    shares = {"errors": 0.0, "degraded": 0.25, "confidence": 0.8}
    side = shares | {"p50_ms": 3.2, "p95_ms": 9.0}
    return {
        "compared": compared,
        "overlap": 0.94,
        "withdrawn": "1 < 2",
        "champion": side,
        "challenger": side | {"p95_ms": None},
        "feedback": {"champion": {}, "challenger": {"right": 3}},
    }


def test_a_trial_is_kept_as_a_sentence_with_figures_and_on_the_verdicts_page(
    client: MlflowClient, tmp_path: Path
) -> None:
    run = client.create_run(client.create_experiment("trials", (tmp_path / "a").as_uri())).info
    made = client.create_model_version(registry.MODEL, source="/nowhere", run_id=run.run_id)
    version = str(made.version)
    trial.keep(version, seen_on_trial(7))  # no gate has judged it: there is no page
    found = registry.registered(version)
    assert found.tags[registry.TRIAL] == (
        "7 searches beside the champion, 94% of the first hits the same; withdrawn: 1 < 2"
    )
    with pytest.raises(registry.MissingArtifactError):
        registry.artifacts(found, trial.PAGE)

    client.log_text(run.run_id, "<html><p>Passed.</p>\n</html>\n", trial.PAGE)
    for compared in (120, 121):
        trial.keep(version, seen_on_trial(compared))
    page = registry.artifacts(found, trial.PAGE)[trial.PAGE]
    assert page.startswith("<html><p>Passed.</p>\n<section") and page.endswith("</html>\n")
    assert page.count("<section") == 1 and "121 searches" in page and "1 &lt; 2" in page
    assert "<td class=n>9</td><td class=n></td>" in page and "3 right, 0 wrong" in page
    assert '"compared": 121' in registry.artifacts(found, trial.FIGURES)[trial.FIGURES]


def test_a_deleted_champion_is_no_champion(client: MlflowClient) -> None:
    promotion.promote("1", None, **GATE)
    promotion.promote("3", "1", **GATE)
    client.delete_model_version(registry.MODEL, "3")
    assert aliases() == {"champion": None, "previous": "1"}
    promotion.roll_back()
    assert aliases()["champion"] == "1"


def test_the_best_is_what_the_gate_or_a_person_says(client: MlflowClient) -> None:
    registry.tag("1", registry.LEADS, "true")
    promotion.promote("1", None, **GATE)
    promotion.promote("3", "1", **GATE)  # no worse, and not the best
    assert registry.version_of(registry.BEST) == "1"
    promotion.promote_by_hand("2", "it must be")
    assert registry.version_of(registry.BEST) == "1"  # going back to an older one changes nothing
    client.delete_registered_model_alias(registry.MODEL, registry.CHAMPION)
    promotion.promote_by_hand("2", "it must be")
    assert registry.version_of(registry.BEST) == "2"
