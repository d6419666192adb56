"""params.yaml: every wrong value is named, and nothing is silently accepted."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from components import config
from components.config import profiles
from components.errors import EXIT_CODE, EidolonError
from tests.clones import clean_environment
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


def test_a_tilde_is_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    paths = {"dataset.adapter": "folder", "dataset.source": "~/photos", "dataset.splits": "~/lists"}
    found = config.load(write(tmp_path, paths)).dataset
    assert (found.source, found.splits) == (Path("/home/me/photos"), Path("/home/me/lists"))


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
    profiles.use("embedded")
    assert (tmp_path / "params.yaml").read_text() == shipped
    with pytest.raises(EidolonError, match=r"unknown profile 'no'; profiles/ has: embedded"):
        profiles.use("no")
    (tmp_path / "profiles" / "broken.yaml").write_text("profile: broken\n")
    with pytest.raises(EidolonError):
        profiles.use("broken")
    assert (tmp_path / "params.yaml").read_text() == shipped  # a broken profile changes nothing


def test_use_does_not_lose_an_edited_params_yaml(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "profiles", "profiles")
    params = tmp_path / "params.yaml"
    shipped = {path.stem: path.read_text() for path in Path("profiles").glob("*.yaml")}
    for name in shipped:  # from one profile to the next, nothing is lost
        profiles.use(name)
    edited = yaml.safe_load(shipped["cub200-sdxl-turbo"])
    edited["train"]["epochs"] += 1
    del edited["serve"]["golden_queries"]
    params.write_text(yaml.safe_dump(edited))
    message = r"profiles/cub200-sdxl-turbo\.yaml \(train\.epochs, serve\.golden_queries\)"
    for name in ("embedded", "cub200-sdxl-turbo"):
        with pytest.raises(EidolonError, match=message):
            profiles.use(name)
    for text, what in (
        (shipped["embedded"] + "# mine\n", "comments or layout"),
        ("a: [", "its ch"),
    ):
        params.write_text(text)
        with pytest.raises(EidolonError, match=what):
            profiles.use("embedded")
        assert params.read_text() == text
    profiles.use("embedded", committed="a: [")  # git has it
    assert params.read_text() == shipped["embedded"]
    params.write_text("a: [")
    profiles.use("embedded", force=True)
    assert params.read_text() == shipped["embedded"]


def test_the_command_use_asks_git_what_would_be_lost(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "profiles", tmp_path / "profiles")
    params = tmp_path / "params.yaml"

    def command(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            words, cwd=tmp_path, env=clean_environment(), capture_output=True, text=True
        )

    eidolon = (sys.executable, "-m", "components.cli", "use", "embedded")
    params.write_text("# mine\n")
    refused = command(*eidolon)
    assert refused.returncode == EXIT_CODE and "give --force" in refused.stderr
    author = ("-c", "user.name=toy", "-c", "user.email=toy@localhost")
    for words in (("init", "-q"), ("add", "."), ("commit", "-qm", "mine")):
        command("git", *author, *words)
    assert command(*eidolon).returncode == 0
    params.write_text("# mine, too\n")
    assert command(*eidolon).returncode == EXIT_CODE
    assert command(*eidolon, "--force").returncode == 0
    assert params.read_text() == (ROOT / "profiles" / "embedded.yaml").read_text()
