"""Profiles become params.yaml, whose edits are not lost; every parameter is described."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from components import config
from components.config import listing, profiles
from components.errors import EXIT_CODE, EidolonError
from tests.clones import clean_environment
from tests.toy import ROOT


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder with the profiles, as the working directory."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "profiles", "profiles")
    return tmp_path


def shipped(profile: str) -> str:
    return listing.params_text(profiles.values(profile))


def command(place: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words, cwd=place, env=clean_environment(), capture_output=True, text=True, check=False
    )


def eidolon(place: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return command(place, sys.executable, "-m", "components.cli", *words)


def test_the_params_yaml_that_ships_is_the_base(place: Path) -> None:
    assert (ROOT / "params.yaml").read_text() == shipped(profiles.BASE)


def test_the_base_has_every_value() -> None:
    base = yaml.safe_load((ROOT / "profiles" / f"{profiles.BASE}.yaml").read_text())
    there = {f"{s}.{k}" if isinstance(v, dict) else s for s, v in base.items() for k in keys(v)}
    assert there == {entry.name for entry in listing.entries()}


def keys(value: object) -> list[str]:
    return list(value) if isinstance(value, dict) else [""]


def test_every_parameter_is_described_in_one_sentence() -> None:
    for entry in listing.entries():
        assert entry.description.endswith(".") and len(entry.description) <= 160, entry.name
    assert all(text for section, (text, _) in listing.sections().items() if section)


def test_every_profile_is_valid_and_named_after_its_file(place: Path) -> None:
    assert profiles.BASE in profiles.names()
    assert [profiles.load(name).profile for name in profiles.names()] == profiles.names()


def test_another_profile_holds_only_what_differs_from_the_base(place: Path) -> None:
    base = profiles.values(profiles.BASE)
    for name in set(profiles.names()) - {profiles.BASE}:
        for section, over in yaml.safe_load(Path(f"profiles/{name}.yaml").read_text()).items():
            for key, value in over.items():
                same = [base[section][key], type(base[section][key])] == [value, type(value)]
                assert not same, f"{name}: {section}.{key}"


def test_a_rendered_profile_reads_as_its_values(place: Path) -> None:
    long = {f"category {i}": f"a photo of {'the ' * i}{{}}: ☂ '#'" for i in range(1, 9)}
    (place / "profiles" / "mine.yaml").write_text(
        yaml.safe_dump({"generator": {"category_prompts": long}, "dataset": {"source": "~/on"}})
    )
    for name in profiles.names():
        text = shipped(name)
        assert yaml.safe_load(text) == profiles.values(name)
        assert all(len(line) <= 100 for line in text.splitlines() if line.lstrip()[:1] == "#")
    assert "\n    category 1: a photo of" in shipped("mine").replace("'a", "a")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("colours: {red: 1}", r"profiles/mine\.yaml: colours: is unknown"),
        ("generator: {colour: red}", r"profiles/mine\.yaml: generator\.colour: is unknown"),
        ("generator: {steps: many}", r"profiles/mine\.yaml: generator\.steps: "),
        ("generator: 5", r"profiles/mine\.yaml: generator: "),
        ("[generator]", r"profiles/mine\.yaml has no sections"),
        ("a: [", r"profiles/mine\.yaml is not valid YAML"),
    ],
)
def test_what_is_wrong_with_a_profile_is_one_error(place: Path, text: str, reason: str) -> None:
    profiles.use(profiles.BASE)
    (place / "profiles" / "mine.yaml").write_text(text)
    with pytest.raises(EidolonError, match=reason):
        profiles.use("mine")
    assert Path("params.yaml").read_text() == shipped(profiles.BASE)
    profiles.use(profiles.BASE)  # a broken profile is in nobody's way
    with pytest.raises(EidolonError, match=r"unknown profile 'no'; profiles/ has: cub200-.*mine"):
        profiles.use("no")


def test_a_kept_params_yaml_is_a_profile(place: Path) -> None:
    profiles.use("folder-sd-turbo")
    text = Path("params.yaml").read_text().replace("epochs: 60", "epochs: 70")
    (place / "profiles" / "mine.yaml").write_text(text)
    assert profiles.use("mine").train.epochs == 70
    assert config.load().profile == "mine"
    assert config.load().generator.model == "stabilityai/sd-turbo"


def test_use_does_not_lose_an_edited_params_yaml(place: Path) -> None:
    params = place / "params.yaml"
    for name in profiles.names():  # from one profile to the next, nothing is lost
        profiles.use(name)
        assert params.read_text() == shipped(name)
    edited = profiles.values("cub200-sdxl-turbo")
    edited["train"]["epochs"] += 1
    del edited["serve"]["golden_queries"]
    params.write_text(yaml.safe_dump(edited))
    message = r"the profile cub200-sdxl-turbo \(train\.epochs, serve\.golden_queries\)"
    for name in ("embedded", "cub200-sdxl-turbo"):
        with pytest.raises(EidolonError, match=message):
            profiles.use(name)
    base = shipped("embedded")
    for text, what in ((base + "# mine\n", "comments or layout"), ("a: [", "its ch")):
        params.write_text(text)
        with pytest.raises(EidolonError, match=what):
            profiles.use("embedded")
        assert params.read_text() == text
    profiles.use("embedded", committed="a: [")  # git has it
    assert params.read_text() == base
    params.write_text("a: [")
    profiles.use("embedded", force=True)
    assert params.read_text() == base


def test_the_command_use_asks_git_what_would_be_lost(place: Path) -> None:
    params = place / "params.yaml"
    params.write_text("# mine\n")
    refused = eidolon(place, "use", "embedded")
    assert refused.returncode == EXIT_CODE and "give --force" in refused.stderr
    author = ("-c", "user.name=toy", "-c", "user.email=toy@localhost")
    for words in (("init", "-q"), ("add", "."), ("commit", "-qm", "mine")):
        command(place, "git", *author, *words)
    assert eidolon(place, "use", "embedded").returncode == 0
    params.write_text("# mine, too\n")
    assert eidolon(place, "use", "embedded").returncode == EXIT_CODE
    assert eidolon(place, "use", "embedded", "--force").returncode == 0
    assert params.read_text() == shipped("embedded")


def test_the_command_params_shows_what_was_changed(place: Path) -> None:
    profiles.use("embedded")
    assert "is the profile embedded as it is" in eidolon(place, "params", "--changed").stdout
    assert "generator.guidance" in eidolon(place, "params").stdout
    text = (place / "params.yaml").read_text().replace("epochs: 60", "epochs: 70")
    (place / "params.yaml").write_text(text)
    shown = eidolon(place, "params", "--changed").stdout
    assert "train.epochs" in shown and "70" in shown and "generator" not in shown
    (place / "params.yaml").write_text(text.replace("profile: embedded", "profile: mine"))
    refused = eidolon(place, "params", "--changed")
    assert refused.returncode == EXIT_CODE and "unknown profile 'mine'" in refused.stderr
