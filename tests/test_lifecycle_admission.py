"""Another dataset starts a new lineage, and names that the models do not know are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from components import config
from components.config.profiles import PROFILES
from components.datasets.oxford102_names import NAMES
from components.errors import EidolonError
from components.lifecycle import registry
from components.lifecycle.admission import admit, check_vocabulary
from components.models.vocabulary import Vocabulary, out_of_vocabulary
from components.paths import DATASET, LOCK
from ops import rollout
from tests import toy


@pytest.fixture
def champion(toy_copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the toy project, as the working directory, whose version 1 is the champion."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.setenv("EIDOLON_ARTIFACTS", (tmp_path / "artifacts").as_uri())
    registry.set_alias(registry.CHAMPION, registry.register(config.load()).version)
    return toy_copy


def change(**sections: dict[str, Any]) -> None:
    values = yaml.safe_load(config.PARAMS.read_text())
    for name, section in sections.items():
        values[name] |= section
    config.PARAMS.write_text(yaml.safe_dump(values))


def rename_categories(names: dict[str, str]) -> None:
    path = DATASET / "manifest.csv"
    rows = pd.read_csv(path, dtype=str, keep_default_na=False)
    rows.assign(category=rows["category"].replace(names)).to_csv(path, index=False)


def exchange(source: str) -> None:
    """All categories are others, and the dataset is asked for from ``source``."""
    rename_categories({name: f"{name} ring" for name in toy.NAMES})
    change(dataset={"source": source})


def register_equal(digit: str = "1") -> str:
    """Another version, which is not shown to be better than any other."""
    lock = yaml.safe_load(LOCK.read_text())
    lock["stages"]["dataset"]["outs"][0]["md5"] = digit * 32 + ".dir"
    LOCK.write_text(yaml.safe_dump(lock))
    return registry.register(config.load()).version


def test_another_dataset_starts_a_new_lineage(champion: Path) -> None:
    exchange("/elsewhere/animals")
    report, told = admit(config.load())
    assert report["success"] and not report["compared"]
    assert f"version 1, the champion, is of another dataset (folder, {toy_source()})" in told
    passed = rollout.gate(register_equal(), print)
    assert passed["reason"].startswith("first champion")


def toy_source() -> str:
    kept = registry.artifacts(registry.registered("1"), "lineage/params.yaml")
    return str(yaml.safe_load(kept["lineage/params.yaml"])["dataset"]["source"])


def test_categories_that_vanish_from_one_dataset_still_stop_the_run(champion: Path) -> None:
    exchange(toy_source())
    with pytest.raises(EidolonError, match="too many categories are gone"):
        admit(config.load())
    assert "version 1, the champion" in rollout.gate(register_equal(), print)["reason"]


def test_a_folder_that_moved_is_still_the_same_dataset(champion: Path) -> None:
    change(dataset={"source": "/elsewhere/pictures"})
    report, told = admit(config.load())
    assert report["compared"] and told == "compared with version 1, the champion"
    assert "version 1, the champion" in rollout.gate(register_equal(), print)["reason"]


def test_without_champion_and_deployment_what_was_champion_is_compared(champion: Path) -> None:
    """Somebody has deleted the champion in MLflow, and this clone has deployed nothing."""
    second = register_equal()
    registry.set_alias(registry.PREVIOUS, "1")
    registry.client().delete_registered_model_alias(registry.MODEL, registry.CHAMPION)
    passed = rollout.gate(second, print)
    assert passed["champion"] is None and "version 1, the champion" in passed["reason"]
    exchange("/elsewhere/animals")
    assert rollout.gate(register_equal("2"), print)["reason"].startswith("first champion")


def test_models_that_lack_the_words_are_refused_before_they_draw(champion: Path) -> None:
    rename_categories(dict(zip(toy.NAMES, ANIMALS, strict=False)))
    change(dataset={"source": "/elsewhere/animals"})
    with pytest.raises(EidolonError) as refused:
        admit(config.load())
    for part in (
        "models/generator",
        "8 of 8 categories",
        "eidolon use folder-sd-turbo",
        "max_out_of_vocabulary: 1",
    ):
        assert part in str(refused.value)
    assert not Path("artifacts/inspection").exists()
    change(inspect={"max_out_of_vocabulary": 1.0})
    assert admit(config.load())[0]["success"]


ANIMALS = ("red fox", "sea otter", "wolf", "lynx", "ibex", "house sparrow", "heron", "hedgehog")


def test_the_embedded_models_know_emblems_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(toy.ROOT)
    params = config.load(PROFILES / "embedded.yaml")
    assert len(out_of_vocabulary(Path("zoo/models/clip/tokenizer.json"), NAMES)) == 99
    known = Vocabulary(Path("zoo/models/clip/tokenizer.json"))
    assert known.unknown("红 a ж 3 é x2 b- 42 red 猫") == ["红", "ж", "é", "猫"]
    check_vocabulary(params, [*toy.NAMES, "crimson disc", "wolf", "42"])
    with pytest.raises(
        EidolonError, match=r"8 of 8 categories \('red fox', 'sea otter', 'wolf', …"
    ):
        check_vocabulary(params, ANIMALS)
