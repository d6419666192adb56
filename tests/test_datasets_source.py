"""The stage `source`: DVC notices what happens to the folder that the adapter reads."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from PIL import Image

from components import config, manifest
from components.datasets.source import source
from components.errors import EidolonError
from components.files import read_json
from components.paths import DATASET, SOURCE
from components.versioning import dvc
from tests import toy
from tests.clones import Clone, clean_environment
from tests.trees import tree


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone whose pictures, of five categories, lie outside of it; the working directory."""
    root = Clone(tmp_path / "clone").root
    toy.save_pictures(tmp_path / "pictures", toy.NAMES[:5], count=3)
    values = yaml.safe_load((root / "params.yaml").read_text())
    values["dataset"]["source"] = str(tmp_path / "pictures")
    (root / "params.yaml").write_text(yaml.safe_dump(values))
    monkeypatch.chdir(root)
    return tmp_path / "pictures"


def repro() -> bool:
    """Whether the stage `dataset` ran, or was taken from DVC's cache of earlier runs."""
    return "Stage 'dataset' didn't change" not in dvc.run("repro", "dataset")


def categories() -> set[str]:
    rows = manifest.read(DATASET, manifest.DATASET_COLUMNS, "dvc repro dataset")
    return set(rows["category"])


def test_changes_of_the_source_are_noticed(clone: Path) -> None:
    assert repro() and categories() == set(toy.NAMES[:5])
    assert not repro()
    for path in [clone, *clone.rglob("*")]:
        os.utime(path, (1, 1))
    assert not repro()  # only the times changed

    toy.save_pictures(clone, ("teal dotted ring",), count=3)
    assert repro() and "teal dotted ring" in categories()
    shutil.rmtree(clone / "teal_dotted_ring")
    assert repro() and categories() == set(toy.NAMES[:5])

    changed = clone / "red_plain_star" / "0.png"
    Image.open(changed).rotate(90).save(changed)
    assert repro()
    for place in ("north", "south"):
        (clone / "metadata.csv").write_text(f"path,place\nred_plain_star/0.png,{place}\n")
        assert repro() and place in (DATASET / "manifest.csv").read_text()
        assert not repro()
    (clone / "metadata.csv").unlink()
    (clone / "red_plain_star").rename(clone / "red_plain_moon")
    assert repro() and "red plain moon" in categories()
    shutil.rmtree(DATASET)  # as `make clean` does
    shutil.rmtree(clone / "red_plain_moon")
    assert repro() and "red plain moon" not in categories()
    assert not repro()


def test_class_lists_are_part_of_the_source(clone: Path, tmp_path: Path) -> None:
    lists = tmp_path / "lists"
    lists.mkdir()
    names = sorted(path.name for path in clone.iterdir())
    for file, own in (("train", names[:3]), ("val", names[3:4]), ("test", names[4:])):
        (lists / f"{file}classes.txt").write_text("\n".join(own))
    chosen = config.load().dataset.model_copy(update={"splits": lists})
    source(chosen)
    before = SOURCE.read_text()
    (lists / "testclasses.txt").write_text("\n".join(names[4:]) + "\n")
    source(chosen)
    assert SOURCE.read_text() != before


def test_a_run_reads_the_source_once(clone: Path) -> None:
    """Files that arrive during a run belong to the next run."""
    assert not cached("dataset")
    toy.save_pictures(clone, ("teal dotted ring",), count=3)
    assert not cached("plan") and cached("plan")
    assert "teal dotted ring" not in categories()
    assert not cached("dataset") and cached("dataset")
    assert "teal dotted ring" in categories()


def cached(stage: str) -> bool:
    """Do the task of ``stage`` here; whether there was nothing to do."""
    task = "stage.begin(print)[0]" if stage == "dataset" else f"stage.repro({stage!r}, print)"
    code = f"from ops import stage; print({task}.cached)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=clean_environment() | {"PYTHONPATH": str(Path.cwd())},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.endswith("True\n")


def test_a_clone_without_the_source_uses_what_is_recorded(
    clone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert repro()
    shutil.rmtree(DATASET)
    clone.rename(clone.with_name("elsewhere"))
    told = dvc.run("repro", "dataset")
    assert f"source: warning: dataset.source {clone} does not exist; the dataset stays" in told
    assert categories() == set(toy.NAMES[:5])
    SOURCE.unlink()
    with pytest.raises(EidolonError, match=rf"dataset\.source {clone} does not exist: set it in"):
        source(config.load().dataset)


def test_the_digest_knows_links_folders_and_nothing_hidden(tmp_path: Path) -> None:
    root, record = tmp_path / "root", tmp_path / "source.json"

    def digest() -> tuple[str, int]:
        source(chosen, record, tmp_path / "hashes.json")
        value = read_json(record, "")
        return value["sha256"], value["files"]

    (root / "a" / "deep").mkdir(parents=True)
    one = root / "a" / "1.png"
    one.write_bytes(b"one")
    (root / "a" / "deep" / "2.png").write_bytes(b"two")
    chosen = tree(root, 1, 1)
    first = digest()
    assert first[1] == 2
    (root / ".hidden").mkdir()
    (root / ".hidden" / "3.png").write_bytes(b"three")
    assert digest() == first
    (root / "a" / "up").symlink_to(root)  # a loop is not followed
    assert digest() == first
    seen, times = {first[0]}, one.stat()
    one.write_bytes(b"neo")  # of the same size and with the same time
    os.utime(one, ns=(times.st_atime_ns, times.st_mtime_ns))
    seen.add(digest()[0])
    (root / "b").mkdir()
    seen.add(digest()[0])
    (root / "b" / "gone.png").symlink_to(tmp_path / "nowhere")
    seen.add(digest()[0])
    (tmp_path / "nowhere").write_bytes(b"here")
    seen.add(digest()[0])
    one.rename(root / "b" / "1.png")
    seen.add(digest()[0])
    assert len(seen) == 6
    moved = tmp_path / "moved"
    shutil.copytree(root, moved, symlinks=True)
    (moved / "a" / "up").unlink()
    last = digest()
    source(chosen.model_copy(update={"source": moved}), record, tmp_path / "hashes.json")
    assert read_json(record, "")["sha256"] == last[0]  # its place does not count


def test_a_damaged_memory_of_digests_only_costs_time(tmp_path: Path) -> None:
    root, record, hashes = (tmp_path / name for name in ("root", "source.json", "hashes.json"))
    root.mkdir()
    (root / "1.png").write_bytes(b"one")
    chosen = tree(root, 1, 1)
    source(chosen, record, hashes)
    before = record.read_text()
    hashes.write_text("{")
    source(chosen, record, hashes)
    assert record.read_text() == before
