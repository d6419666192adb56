"""Versions of the data: two clones, one DVC remote, one registry."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import chdir
from pathlib import Path

import pandas as pd
import pytest
import yaml

from components import config, files, paths
from components.collection import catalog, versions
from components.collection.ingest import ingest
from components.datasets import source
from components.errors import EidolonError
from components.files import read_json, write_text
from components.lifecycle import differences, registry, restore
from components.paths import COLLECTED, COLLECTION, DATASET, LOCK, OUTBOX
from components.serving import bundle
from components.versioning import dvc, git, lock
from ops import rollout
from tests.clones import Clone
from tests.ingesting import KNOWN, NEW, tree

KEPT_IN_GIT = [".gitignore", "source.json"]
COMMAND = Path(sys.executable).with_name("eidolon")


def use_remote(remote: Path) -> None:
    dvc.run("remote", "modify", "--local", "storage", "url", str(remote))


def register() -> str:
    """Version the dataset that is here and register it, as the tasks of `retrain` do."""
    dvc.run("repro", "dataset")
    bundle.bundle(config.load())
    found = rollout.register("a run", print)
    assert found["created"]
    return str(found["version"])


@pytest.fixture(scope="module")
def origin(built_toy: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A clone that registered version 1, ingested five pictures, and registered version 2."""
    home = tmp_path_factory.mktemp("versions")
    clone = Clone(home / "origin")
    for folder in ("artifacts", "data"):
        shutil.copytree(built_toy / folder, clone.root / folder)
    shutil.rmtree(clone.root / DATASET)
    with pytest.MonkeyPatch.context() as patch, chdir(clone.root):
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{home}/mlflow.db")
        patch.setenv("EIDOLON_ARTIFACTS", (home / "mlartifacts").as_uri())
        patch.setenv("DVC_NO_ANALYTICS", "true")
        use_remote(home / "remote")
        assert register() == "1"
        ingest(tree(home / "new", {NEW: 4, KNOWN: 1}), config.load().ingest)
        saved = versions.save_collection(print)
        assert saved is not None
        assert (saved.pictures, saved.categories, saved.added) == (5, 2, 5)
        assert register() == "2"
        yield clone.root


@pytest.fixture
def other(origin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Another clone, without data and without what was ingested, as the working directory."""
    root = tmp_path / "other"
    subprocess.run(["git", "clone", "-q", str(origin), str(root)], check=True)
    monkeypatch.chdir(root)
    use_remote(origin.parent / "remote")
    return root


def of(origin: Path, version: str) -> tuple[pd.DataFrame, str]:
    """The dataset's manifest and DVC hash that version 1 or 2 was registered with."""
    kept = registry.artifacts(registry.registered(version), "dvc.lock", "lineage/dataset.csv")
    (origin.parent / "kept.csv").write_text(kept["lineage/dataset.csv"])
    lock = yaml.safe_load(kept["dvc.lock"])
    return pd.read_csv(origin.parent / "kept.csv"), lock["stages"]["dataset"]["outs"][0]["md5"]


def check_restored(origin: Path, version: str) -> None:
    expected, digest = of(origin, version)
    pd.testing.assert_frame_equal(pd.read_csv(DATASET / "manifest.csv"), expected)
    assert all((DATASET / path).is_file() for path in expected["path"])
    assert lock.dataset_hash() == digest
    assert "up to date" in dvc.run("status", "dataset")


def test_any_version_is_restored_on_another_clone(origin: Path, other: Path) -> None:
    assert not DATASET.exists() and not catalog.files()
    assert restore.restore("2", print) == of(origin, "2")[1]
    check_restored(origin, "2")
    assert len(catalog.files()) == 5
    restore.restore("1", print)
    check_restored(origin, "1")
    assert not catalog.files() and not paths.POINTER.exists()
    restore.restore("2", print)
    check_restored(origin, "2")
    assert (
        LOCK.read_bytes() == (origin / LOCK).read_bytes()
    )  # so it is recognised as the same version
    assert registry.is_registered()


def test_a_clone_without_the_pictures_keeps_the_record_and_fetches_the_manifest(
    origin: Path, other: Path
) -> None:
    git = ["git", "-c", "user.name=toy", "-c", "user.email=toy@localhost"]
    shutil.copy(origin / paths.POINTER, paths.POINTER)
    shutil.copy(origin / paths.SOURCE, paths.SOURCE)
    subprocess.run([*git, "add", "-A", "collection"], check=True)
    before = paths.SOURCE.read_text()
    source.source(config.load().dataset)
    assert paths.SOURCE.read_text() == before and source.has_collection()
    with pytest.raises(EidolonError, match=r"manifest\.csv is missing: run `dvc pull"):
        catalog.read()
    versions.fetch_manifest()
    assert len(catalog.read()) == 5
    with pytest.raises(EidolonError, match=r"pictures/.* is missing: run `dvc pull"):
        catalog.files()
    versions.prepare(print)
    assert len(catalog.files()) == 5


def test_files_that_no_version_holds_are_not_overwritten(origin: Path, other: Path) -> None:
    restore.restore("2", print)
    picture = DATASET / pd.read_csv(DATASET / "manifest.csv")["path"][0]
    picture.write_bytes(b"mine")
    with pytest.raises(EidolonError, match=r"data/dataset.* would be lost"):
        restore.restore("1", print)
    assert picture.read_bytes() == b"mine" and len(catalog.files()) == 5
    restore.restore("1", print, force=True)
    check_restored(origin, "1")

    ingest(tree(other / "more", {NEW: 2}), config.load().ingest)
    with pytest.raises(EidolonError, match=r"collection/\S+ would be lost"):
        restore.restore("2", print)
    dvc.run("add", str(COLLECTION / "pictures"))
    before = COLLECTED.read_bytes()
    with pytest.raises(EidolonError, match=r"collection/pictures\.dvc would be lost"):
        restore.restore("2", print)
    assert COLLECTED.read_bytes() == before
    git = ["git", "-c", "user.name=toy", "-c", "user.email=toy@localhost"]
    subprocess.run([*git, "add", "-A", "collection"], check=True)
    subprocess.run([*git, "commit", "-qm", "ingested"], check=True)
    restore.restore("2", print)
    check_restored(origin, "2")


def test_a_remote_that_lacks_the_version_changes_nothing(origin: Path, other: Path) -> None:
    use_remote(other.parent / "empty")
    before = files.text_of(LOCK)
    with pytest.raises(EidolonError, match=r"do not hold \w+\.dir.*`dvc push`"):
        restore.restore("2", print)
    assert files.text_of(LOCK) == before and not DATASET.exists()
    assert sorted(p.name for p in COLLECTION.iterdir()) == [
        ".gitignore",
        "removed.csv",
        "source.json",
    ]
    with pytest.raises(EidolonError, match="has no version '9'"):
        restore.restore("9", print)


def test_versions_are_listed_and_compared(origin: Path) -> None:
    found = differences.diff("1", "2")
    assert (found.categories_added, found.categories_removed, found.moved) == ([NEW], [], [])
    assert found.changed == [KNOWN]
    assert len(found.pictures_added) == 5 and found.pictures_removed.empty
    assert found.pictures_kept == len(of(origin, "1")[0])
    assert differences.diff("challenger", "working").lines() == differences.diff("2", "2").lines()
    back = differences.diff("2", "1")
    assert back.categories_removed == [NEW] and len(back.pictures_removed) == 5

    shown = subprocess.run([COMMAND, "data", "diff", "1", "2"], capture_output=True, text=True)
    assert f"1 categories added: {NEW}" in shown.stdout and "5 pictures added" in shown.stdout
    listed = subprocess.run([COMMAND, "data", "log"], capture_output=True, text=True).stdout
    for version in registry.versions():
        assert version.tags["dataset"][:10] in listed
        assert version.tags["collection"][:10] in listed
        assert len(version.tags["commit"]) == 40 and version.tags["commit"][:7] in listed
        assert version.tags["dirty"] == "false"
        assert int(version.tags["pictures"]) == len(of(origin, version.version)[0])
    wrong = subprocess.run([COMMAND, "data", "restore", "9"], capture_output=True, text=True)
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "has no version '9'" in wrong.stderr and "Traceback" not in wrong.stderr


def test_the_command_versions_what_it_adds_and_pushes_it(origin: Path, other: Path) -> None:
    source = tree(other.parent / "more", {NEW: 4})

    def add() -> subprocess.CompletedProcess[str]:
        return subprocess.run([COMMAND, "ingest", str(source)], capture_output=True, text=True)

    done = add()  # the dataset is missing here, so it is made first
    assert done.returncode == 0, done.stderr
    assert f"1 new categories ({NEW})" in done.stdout
    digest = lock.collection_hash(files.text_of(paths.POINTER))
    assert f"version {digest} of the collection" in done.stdout
    pushed = origin.parent / "remote" / "files" / "md5" / digest[:2] / digest[2:]
    assert pushed.is_file()
    catalog.mark_announced(catalog.unannounced()[-1])
    state = {p: p.read_bytes() for p in COLLECTION.rglob("*") if p.is_file()}
    (source / "x").mkdir()
    (source / "x" / "bad.png").write_text("none")
    again = add()
    assert again.returncode == 0 and "nothing new" in again.stdout
    assert {p: p.read_bytes() for p in COLLECTION.rglob("*") if p.is_file()} == state
    assert not OUTBOX.read_text()
    shutil.rmtree(source / NEW.replace(" ", "_"))
    unfit = add()
    assert unfit.returncode == 2 and "can be added: 0 of 1 files added" in unfit.stderr


def test_a_restore_that_was_killed_is_completed_by_another(origin: Path, other: Path) -> None:
    restore.restore("2", print)
    rows, count = files.text_of(COLLECTED), len(list(DATASET.rglob("*.png")))
    moments: list[tuple[str, Callable[[], object]]] = [
        ("1", lambda: list(COLLECTION.glob("restoring-*"))),
        ("1", lambda: files.text_of(COLLECTED) != rows),
        ("2", paths.RESTORING.exists),
        ("1", lambda: len(list(DATASET.rglob("*.png"))) != count),
    ]
    for version, reached in moments:
        command: list[str | Path] = [COMMAND, "data", "restore", version]
        with subprocess.Popen(command, start_new_session=True) as process:
            while process.poll() is None and not reached():
                time.sleep(0.001)
            os.killpg(process.pid, signal.SIGKILL)
        restore.restore(version, print)
        check_restored(origin, version)
        assert not paths.RESTORING.exists() and not list(COLLECTION.glob("restoring-*"))
    write_text(paths.RESTORING, "2")
    ingest(tree(other / "more", {NEW: 9}), config.load().ingest)
    with pytest.raises(EidolonError, match="would be lost"):  # it is no longer that version
        restore.restore("2", print)


def test_a_version_of_an_older_release_is_restored(origin: Path, other: Path) -> None:
    """The manifest was in git, and in MLflow beside the version."""
    with chdir(origin):
        rows, older = COLLECTED.read_text(), COLLECTION / COLLECTED.name
        COLLECTED.rename(older)
        dvc.run("add", str(paths.PICTURES))
        assert len(catalog.files()) == 5
        source.source(config.load().dataset, record := other / "source.json")
        assert read_json(record, "")["collection"]["pictures"] == 5
        dvc.push([str(paths.POINTER)], print)
        two = registry.registered("2")
        kept = registry.artifacts(two, "dvc.lock", "lineage")
        kept |= {"lineage/collection.csv": rows}
        kept |= {"lineage/pictures.dvc": paths.POINTER.read_text()}
        older.rename(COLLECTED)
        dvc.run("add", str(paths.PICTURES))
    client = registry.client()
    run = client.create_run(client.get_run(two.run_id).info.experiment_id).info.run_id
    for name, text in kept.items():
        client.log_text(run, text, name)
    made = client.create_model_version(registry.MODEL, f"runs:/{run}", run)
    restore.restore(str(made.version), print)
    client.delete_model_version(registry.MODEL, str(made.version))
    check = (COLLECTED.read_text(), len(catalog.files()), dvc.unsaved())
    assert check == (rows, 5, [])


def test_what_identifies_a_version(built_toy: Path, tmp_path: Path) -> None:
    """All files but the pages of validation and shards that no longer exist."""

    def identity(shards: int, docs: str, cmd: str = "") -> str:
        def pinned(path: str, md5: str) -> list[dict[str, str]]:
            return [{"path": path, "md5": md5}, {"path": "kept", "md5": "0"}]

        stages = {f"imagine@{i}": {"cmd": cmd, "outs": pinned("o", "0")} for i in range(shards)}
        stages["generate"] = {"cmd": "", "deps": pinned("data/shards", str(shards))}
        stages["validate"] = {"cmd": "", "outs": pinned("artifacts/validation", docs)}
        (tmp_path / "dvc.lock").write_text(yaml.safe_dump({"stages": stages}))
        return lock.digest(tmp_path / "dvc.lock")

    with chdir(built_toy):  # of two shards
        assert identity(2, "a") == identity(5, "b")
        assert identity(1, "a") != identity(2, "a") != identity(2, "a", "other")


def test_without_a_remote_one_line_says_so(other: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dvc.run("remote", "default", "--unset")
    dvc.push(["dataset"], print)
    assert "no DVC remote is configured" in capsys.readouterr().out


def test_code_that_differs_from_its_commit_is_dirty(other: Path) -> None:
    head = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True).stdout
    assert git.code() == git.Code(head.strip(), "false")
    Path("params.yaml").write_text(Path("params.yaml").read_text() + "# kept with each version\n")
    assert git.code().dirty == "false"
    file = Path("components/lifecycle/gate.py")
    file.write_text(file.read_text() + "# changed\n")
    assert git.code() == git.Code(head.strip(), "true")
