"""params.yaml: every wrong value is named, and no unknown key is accepted."""

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


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("generator.images_per_category", 0),
        ("generator.steps", "many"),
        ("generator.size", 33),
        ("generator.prompt", "a photo"),
        ("generator.category_prompts", {"red star": ""}),
        ("generator.shards", []),
        ("generator.shards", [1, 2]),
        ("generator.colour", "red"),
        ("generator.revision", "main"),
        ("generator.batch", 0),
        ("encoders.clip_revision", "71153311"),
        ("dataset.adapter", "imagenet"),
        ("dataset.gallery_per_category", 1.0),
        ("dataset.training_per_category", 0),
        ("encoders.text_templates", []),
        ("encoders.text_templates", ["{} and {}"]),
        ("train.learning_rate", -1),
        ("train.batch", 1),
        ("evaluate.bootstrap", 10**9),
        ("validate.mostly", 1.5),
        ("train.fusion_weight_step", 0.03),
        ("encoders.memory_share", 0),
        ("serve.timeout_seconds", 0),
        ("surprise", 1),
    ],
)
def test_a_wrong_value_is_named(tmp_path: Path, name: str, value: object) -> None:
    with pytest.raises(EidolonError, match=name.replace(".", r"\.")):
        config.load(write(tmp_path, {name: value}))


def test_an_unknown_key_is_called_unknown(tmp_path: Path) -> None:
    with pytest.raises(EidolonError, match=r"generator\.colour: is unknown, `eidolon params`"):
        config.load(write(tmp_path, {"generator.colour": "red"}))


def test_a_service_outside_of_a_bento_has_the_settings_of_the_base() -> None:
    """They are the only defaults that stand in code beside a profile."""
    base = config.load(ROOT / "profiles" / "embedded.yaml")
    assert base.serve == config.Serve()
    assert base.generator.memory_share == base.encoders.memory_share == config.MEMORY_SHARE


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


def test_a_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    paths = {"dataset.adapter": "folder", "dataset.source": "~/photos", "dataset.splits": "~/lists"}
    paths["dataset.descriptions"] = "~/texts.json"
    found = config.load(write(tmp_path, paths)).dataset
    assert (found.source, found.splits) == (Path("/home/me/photos"), Path("/home/me/lists"))
    assert found.descriptions == Path("/home/me/texts.json")


def test_a_missing_or_broken_file_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(EidolonError, match=r"params\.yaml is missing"):
        config.load(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text("a: [")
    with pytest.raises(EidolonError, match="not valid YAML"):
        config.load(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text("")
    with pytest.raises(EidolonError, match="the file"):
        config.load(tmp_path / "params.yaml")
