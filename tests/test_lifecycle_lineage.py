"""Lineage: from an answer, or a version, back to everything behind it."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from components import config
from components.errors import TRY_AGAIN, EidolonError
from components.lifecycle import lineage, registry
from components.paths import AGGREGATOR, BUNDLE
from tests.clones import free_ports
from tests.searching import Searching

COMMAND = Path(sys.executable).with_name("eidolon")


@pytest.fixture(scope="module")
def registered(
    built_toy: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[registry.Version]:
    """The toy's bundle in a registry of its own."""
    home = tmp_path_factory.mktemp("mlflow")
    with pytest.MonkeyPatch.context() as patch, chdir(built_toy):
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{home}/mlflow.db")
        patch.setenv("EIDOLON_ARTIFACTS", (home / "artifacts").as_uri())
        yield registry.register(config.load())


@pytest.fixture(scope="module")
def searching(registered: registry.Version) -> Searching:
    return Searching(BUNDLE, config.load())


def eidolon(*words: str, given: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run([COMMAND, *words], input=given, capture_output=True, text=True)


def test_a_version_leads_to_run_data_models_and_code(registered: registry.Version) -> None:
    found = lineage.trace(registered.version)
    info = json.loads((BUNDLE / "bundle.json").read_text())
    rows = (Path("data/dataset") / "manifest.csv").read_text().splitlines()[1:]
    assert found["bundle"]["version"] == 1 and found["bundle"]["aliases"] == ["challenger"]
    assert found["run"]["run_id"] == registered.run_id
    lock = Path("dvc.lock").read_bytes()
    assert found["dvc_lock"]["sha256"] == hashlib.sha256(lock).hexdigest()
    assert found["dataset"]["dvc"] == yaml.safe_load(lock)["stages"]["dataset"]["outs"][0]["md5"]
    assert found["dataset"]["pictures"] == len(rows)
    assert found["models"] == info["models"]
    assert f"generator@{found['generator']['revision']}" == info["models"]["generator"]
    accepted = pd.read_csv("data/accepted/manifest.csv")
    assert found["imagined"]["pictures"] == len(accepted)
    for drawn in found["imagined"]["categories"]:
        of = accepted[accepted["category"] == drawn["category"]]
        of = of[of["prompt"] == drawn["prompt"]]
        assert drawn["seeds"] == of["seed"].tolist()
    assert lineage.trace("challenger") == found
    assert found["generator"]["prompt"] == config.load().generator.prompt
    assert tuple(found["encoders"]["text_templates"]) == config.load().encoders.text_templates
    assert found["validation"] == info["validation"]
    assert found["code"] == {"commit": "unknown", "dirty": "unknown"}  # the toy has no git


@pytest.mark.parametrize("query", ["Blue  striped STAR", "Red plain star", "a purple zebra"])
def test_an_answer_leads_to_the_prompts_and_seeds_of_its_pictures(
    searching: Searching, query: str
) -> None:
    given = searching(query)
    found = lineage.of_answer(lineage.read_answer(json.dumps(given)))
    pictures = found["answer"]["imagined"]
    assert [picture["seed"] for picture in pictures] == given["seeds"]
    generator = config.load().generator
    words = " ".join(query.lower().split())
    assert {picture["prompt"] for picture in pictures} == {generator.prompt_for(words)}
    for picture, shown in zip(pictures, given["imagined"], strict=True):
        if given["known"]:
            path = shown["picture"].removeprefix("images/imagined/").partition("?")[0]
            drawn = (Path("data/accepted") / path).read_bytes()
            assert picture["sha256"] == hashlib.sha256(drawn).hexdigest()
        else:
            assert picture["sha256"] == ""
    assert found["bundle"]["version"] == 1


def test_an_older_bundle_is_traced_as_far_as_it_can_be_read(
    searching: Searching, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its generator section has names of fields that this release does not know."""
    artifacts = registry.artifacts

    def older(version: registry.Registered, *paths: str) -> dict[str, str]:
        kept = artifacts(version, *paths)
        info = json.loads(kept["bundle/bundle.json"]) | {"format": 3}
        info["generator"]["pictures"] = info["generator"].pop("images_per_category")
        return kept | {"bundle/bundle.json": json.dumps(info)}

    monkeypatch.setattr(registry, "artifacts", older)
    version = lineage.trace("1")
    assert version["generator"]["pictures"] and version["imagined"]["pictures"]
    bundle = {"version": 1, "digest": version["bundle"]["digest"][:12]}
    known = searching("red plain star") | {"bundle": bundle}
    found = lineage.of_answer(lineage.read_answer(json.dumps(known)))
    assert [picture["seed"] for picture in found["answer"]["imagined"]] == known["seeds"]
    imagined = searching("a purple zebra") | {"bundle": bundle}
    told = "version 1 has a bundle of format 3, .* check out its commit unknown"
    with pytest.raises(EidolonError, match=told):
        lineage.of_answer(lineage.read_answer(json.dumps(imagined)))


def test_the_latest_metrics_of_a_run_are_those_that_ship(registered: registry.Version) -> None:
    info = json.loads((BUNDLE / "bundle.json").read_text())
    trained = json.loads((AGGREGATOR / "train.json").read_text())
    found = registry.client().get_run(registered.run_id).data.metrics
    assert found["lambda"] == info["lambda"]
    assert {name: found[name] for name in trained} == trained
    assert found["map.fused.unseen.mean"] == info["metrics"]["map"]["fused"]["unseen"]["mean"]
    last = pd.read_csv(AGGREGATOR / "history.csv").iloc[-1]
    assert found["train.validation_map"] == last["validation_map"]


def test_a_registry_out_of_reach_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    at = f"127.0.0.1:{free_ports(1)[0]}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:s3cr3t@{at}")
    assert registry.tracking_uri() == f"http://me:***@{at}"  # as lineage shows it
    for words in (("data", "log"), ("lineage", "1"), ("data", "restore", "champion")):
        found = eidolon(*words)
        assert (found.returncode, found.stdout) == (TRY_AGAIN, "")
        assert "cannot be reached" in found.stderr and "Traceback" not in found.stderr
        assert f"http://me:***@{at}" in found.stderr and "s3cr3t" not in found.stderr


def test_the_command_prints_every_step(searching: Searching, tmp_path: Path) -> None:
    given = json.dumps(searching("red plain star"))
    (tmp_path / "answer.json").write_text(given)
    one = eidolon("lineage", str(tmp_path / "answer.json"), "--json")
    two = eidolon("lineage", "-", "--json", given=given)
    assert one.returncode == two.returncode == 0, one.stderr + two.stderr
    assert json.loads(one.stdout) == json.loads(two.stdout)
    shown = eidolon("lineage", "1")
    steps = (
        "imagined",
        "bundle",
        "run",
        "dvc lock",
        "dataset",
        "generator",
        "encoders",
        "validation",
        "code",
    )
    assert all(f"\n{step}" in f"\n{shown.stdout}" for step in steps)
    assert json.loads(one.stdout)["dataset"]["dvc"] in shown.stdout


def test_an_unknown_version_or_answer_is_one_sentence(searching: Searching, tmp_path: Path) -> None:
    given = searching("red plain star")
    changed: dict[str, dict[str, Any]] = {
        "seeds are not those of": given | {"seeds": [1]},
        "seeds are not those of 'red": given | {"seeds": []},
        "'a zebra' for a category": given | {"query": "a zebra", "seeds": []},
        "'red plain star' for no category": given | {"known": False},
        "should match pattern": given | {"bundle": {"version": 1, "digest": "0"}},
        "is not version 1": given | {"bundle": {"version": 1, "digest": "0" * 12}},
        "has no version '7'": given | {"bundle": {"version": 7, "digest": "0" * 12}},
        "no answer of POST /search": {"query": "red plain star"},
    }
    for sentence, value in changed.items():
        (tmp_path / "answer.json").write_text(json.dumps(value))
        with pytest.raises(EidolonError, match=sentence):
            lineage.trace(str(tmp_path / "answer.json"))
    for subject, sentence in {"99": "has no version '99'", "gone": "neither a version"}.items():
        found = eidolon("lineage", subject)
        assert (found.returncode, found.stdout) == (2, "")
        assert found.stderr.startswith("error: ") and sentence in found.stderr
        assert "Traceback" not in found.stderr
