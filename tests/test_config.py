"""params.yaml: every wrong value is named, and nothing is silently accepted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from components import config
from components.errors import EidolonError
from tests.toy import ROOT


def write(path: Path, change: dict[str, Any]) -> Path:
    value = yaml.safe_load((ROOT / "profiles" / "embedded.yaml").read_text())
    for dotted, new in change.items():
        section, _, key = dotted.rpartition(".")
        (value[section] if section else value)[key] = new
    file = path / "params.yaml"
    file.write_text(yaml.safe_dump(value))
    return file


def test_every_profile_is_valid_and_named_after_its_file() -> None:
    profiles = sorted((ROOT / "profiles").glob("*.yaml"))
    assert profiles
    assert [config.load(p).profile for p in profiles] == [p.stem for p in profiles]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("generator.images_per_category", 0),
        ("generator.steps", "many"),
        ("generator.size", 33),
        ("generator.prompt", "a photo"),
        ("generator.prompts", {"red star": ""}),
        ("generator.shards", []),
        ("generator.shards", [1, 2]),
        ("generator.colour", "red"),
        ("generator.revision", "main"),
        ("generator.batch", 0),
        ("encoders.clip_revision", "71153311"),
        ("dataset.adapter", "imagenet"),
        ("encoders.prompts", []),
        ("encoders.prompts", ["{} and {}"]),
        ("train.learning_rate", -1),
        ("train.batch", 1),
        ("evaluate.bootstrap", 10**9),
        ("validation.mostly", 1.5),
        ("surprise", 1),
    ],
)
def test_a_wrong_value_is_named(tmp_path: Path, name: str, value: object) -> None:
    with pytest.raises(EidolonError, match=name.replace(".", r"\.")):
        config.load(write(tmp_path, {name: value}))


def test_a_model_is_pinned_or_lies_where_the_stages_follow_it(tmp_path: Path) -> None:
    with pytest.raises(
        EidolonError, match=r"encoders\.vision 'elsewhere/dino' is neither a folder"
    ):
        config.load(write(tmp_path, {"encoders.vision": "elsewhere/dino"}))
    with pytest.raises(EidolonError, match=r"git ls-remote https://huggingface\.co/openai/clip"):
        config.load(write(tmp_path, {"encoders.clip": "openai/clip"}))
    pinned = {"encoders.clip": "openai/clip", "encoders.clip_revision": "0123456789" * 4}
    assert config.load(write(tmp_path, pinned)).encoders.clip == "openai/clip"
    elsewhere = {"models": "elsewhere", "encoders.vision": "elsewhere/dino"}
    with pytest.raises(EidolonError, match=r"generator\.model 'zoo/models/generator'"):
        config.load(write(tmp_path, elsewhere))


def test_a_missing_or_broken_file_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(EidolonError, match=r"params\.yaml is missing"):
        config.load(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text("a: [")
    with pytest.raises(EidolonError, match="not valid YAML"):
        config.load(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text("")
    with pytest.raises(EidolonError, match="the file"):
        config.load(tmp_path / "params.yaml")


def test_use_replaces_params_and_refuses_the_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "profiles").mkdir()
    shipped = (ROOT / "profiles" / "embedded.yaml").read_text()
    (tmp_path / "profiles" / "embedded.yaml").write_text(shipped)
    config.use("embedded")
    assert (tmp_path / "params.yaml").read_text() == shipped
    with pytest.raises(EidolonError, match=r"unknown profile 'no'; profiles/ has: embedded"):
        config.use("no")
    (tmp_path / "profiles" / "broken.yaml").write_text("profile: broken\n")
    with pytest.raises(EidolonError):
        config.use("broken")
    assert (tmp_path / "params.yaml").read_text() == shipped  # a broken profile changes nothing
