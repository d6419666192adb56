"""The inbox: what is taken from it and when, and that nothing outside of it is read."""

from __future__ import annotations

import csv
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from components import config
from components.collection import catalog
from components.collection.candidates import candidates
from components.errors import EidolonError
from components.paths import (
    COLLECTION,
    INBOX,
    INGESTED,
    QUARANTINE,
)
from ops import inbox, steps
from tests.clones import Clone
from tests.ingesting import KNOWN, NEW, photo, png, tree, zipped


def test_nothing_outside_the_inbox_is_read_for_it(project: Path) -> None:
    """People who may write there, by a share or a web form, must not read this machine's files."""
    secret = tree(project / "elsewhere", {NEW: 2})
    picture = secret / "orange_plain_cross" / "0.png"
    place = tree(INBOX / "batch", {KNOWN: 1})
    (place / "linked").symlink_to(secret)
    os.mkfifo(place / "pipe")
    real = INBOX.resolve()
    lines = [str(picture), "/proc/self/environ", "../elsewhere/orange_plain_cross/0.png"]
    lines += ["batch/linked/orange_plain_cross/0.png", f"{real}/../params.yaml", "~/.bashrc"]
    lines += ["batch/pipe", f"{real}/batch/red_plain_star/0.png"]
    (INBOX / "a.csv").write_text("".join(f"{line},{KNOWN}\n" for line in lines))
    (INBOX / "b").symlink_to(secret)
    (INBOX / "c.csv").symlink_to(project / "params.yaml")
    quiet(project, 0)
    said: list[str] = []
    assert steps.collect(None, said.append) == {"unannounced": 1}
    assert catalog.read()["category"].tolist() == [KNOWN]
    assert "1 of 8 files added; refused: 1 missing, 6 outside" in "".join(said)
    assert sum("leads out of" in line for line in said) == 2
    kept = [p for p in QUARANTINE.rglob("*") if p.is_file() and not p.is_symlink()]
    assert {p.name for p in kept} == {"reasons.csv"}
    assert picture.is_file()


def test_airflow_s_users_name_sources_in_the_inbox(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tree(project / "elsewhere", {NEW: 1})
    (INBOX / "batch").mkdir(parents=True)
    (INBOX / "batch" / "0.png").write_bytes(png(photo(KNOWN)))
    for refused in (str(source), "inbox/../elsewhere", "~", "/nothing"):
        with pytest.raises(EidolonError, match=r"neither in inbox/ nor .* EIDOLON_SOURCES"):
            steps.collect(refused, print)
    assert steps.collect("inbox/batch", print) == {"unannounced": 1}
    monkeypatch.setenv("EIDOLON_SOURCES", f"{project}/none:{source.parent}/elsewhere")
    assert steps.collect(str(source), print) == {"unannounced": 2}
    (source / "list.csv").write_text("../params.yaml,x\n")
    said: list[str] = []
    steps.collect(str(source / "list.csv"), said.append)
    assert "1 outside" in said[-1]


def quiet(project: Path, seconds: float) -> None:
    """Let the inbox's entries be taken after ``seconds`` without a change."""
    values = yaml.safe_load((project / "params.yaml").read_text())
    values["ingest"]["settled_seconds"] = seconds
    (project / "params.yaml").write_text(yaml.safe_dump(values))


def test_the_inbox_is_taken_once_settled_and_one_bad_entry_blocks_nothing(project: Path) -> None:
    with pytest.raises(steps.NothingToDo):
        steps.collect(None, print)  # there is no inbox
    tree(INBOX / "batch", {NEW: 4})
    zipped(INBOX / "unsafe.zip", "../evil.png")
    (INBOX / "notes.doc").write_text("nothing")
    quiet(project, 3600)
    with pytest.raises(steps.NothingToDo):
        steps.collect(None, print)
    quiet(project, 0)
    lines: list[str] = []
    assert steps.collect(None, lines.append) == {"unannounced": 4}
    assert sum("is refused" in line for line in lines) == 2
    assert not list(INBOX.iterdir())
    (given,) = INGESTED.glob("*/batch")
    assert len(list(given.rglob("*.png"))) == 4
    refused = {p.parent.name: p.read_text() for p in QUARANTINE.glob("*/reasons.csv")}
    assert len(refused) == 2 and any("leads outside" in text for text in refused.values())

    tree(INBOX / "more", {KNOWN: 2})
    assert steps.collect(None, print) == {"unannounced": 6}
    steps.announced(catalog.unannounced()[-1])
    with pytest.raises(steps.NothingToDo):
        steps.collect(None, print)


def test_nothing_that_was_given_is_overwritten(project: Path) -> None:
    quiet(project, 0)
    names = ("reasons.csv", "given", "Reasons.CSV", ".".join(["reasons.csv", "csv"]))
    INBOX.mkdir()
    for name in names:
        (INBOX / name).write_bytes(b"\xff no list: " + name.encode())
    with pytest.raises(steps.NothingToDo):
        steps.collect(None, print)
    assert not list(INBOX.iterdir())
    kept = [p for p in QUARANTINE.glob("*/*/*") if p.is_file()]
    assert {p.name: p.read_bytes()[11:].decode() for p in kept} == {name: name for name in names}
    for path in kept:
        with (path.parents[1] / "reasons.csv").open(newline="") as file:
            (row,) = csv.DictReader(file)
        assert path.parents[1] / row["copy"] == path


def duplicate(old: Path, place: Path) -> None:
    shutil.copytree(old, place / old.name)


def unpack(old: Path, place: Path) -> None:
    with tarfile.open("old.tar", "w") as archive:
        archive.add(old, old.name)
    with tarfile.open("old.tar") as archive:
        archive.extractall(place)


@pytest.mark.parametrize("copy", [duplicate, unpack])
def test_a_copy_with_old_times_is_not_settled(
    copy: Callable[[Path, Path], object], project: Path
) -> None:
    """`cp -p`, rsync and tar make such copies."""
    old = tree(project / "old", {NEW: 2})
    for path in (old, *old.rglob("*")):
        os.utime(path, (0, 0))
    INBOX.mkdir()
    copy(old, INBOX)
    assert (INBOX / "old").stat().st_mtime == 0
    assert inbox.settled(3600) == []
    assert [entry.path.name for entry in inbox.settled(0)] == ["old"]
    (future,) = (path for path in (INBOX / "old").rglob("1.png"))
    os.utime(future, (2**32, 2**32))  # a camera whose clock is wrong
    assert [entry.path.name for entry in inbox.settled(0)] == ["old"]


def test_an_entry_that_is_still_being_written_stays(project: Path) -> None:
    tree(INBOX / "batch", {NEW: 2})
    (INBOX / "cut.zip").write_bytes(b"PK\x03\x04")
    batch, cut = inbox.settled(0)
    (folder,) = batch.path.iterdir()
    (folder / "late.png").write_bytes(b"late")
    with cut.path.open("ab") as file:
        file.write(b"more")
    assert not inbox.done(batch) and not inbox.refuse(cut, "it is cut")
    assert {path.name for path in INBOX.iterdir()} == {"batch", "cut.zip"}
    assert not INGESTED.exists() and not QUARANTINE.exists()
    again, _ = inbox.settled(0)
    assert inbox.done(again)
    assert len(list(INGESTED.glob("*/batch/*/late.png"))) == 1


def test_files_that_come_and_go_do_not_disturb_the_inbox(project: Path) -> None:
    """rsync writes to temporary files, and renames them at the end."""
    code = (
        "import os, sys, itertools\n"
        "for i in itertools.count():\n"
        "    open('.x.png.Ab12Cd', 'w').close(); os.mkdir('.~tmp~')\n"
        "    os.rename('.x.png.Ab12Cd', f'{i}.png'); os.rmdir('.~tmp~')\n"
        "    if i > 199: os.unlink(f'{i - 200}.png')\n"
        "    if i == 300: print('on it', flush=True)\n"
    )
    (INBOX / "batch").mkdir(parents=True)
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, cwd=INBOX / "batch", stdout=subprocess.PIPE) as copying:
        assert copying.stdout is not None and copying.stdout.readline() == b"on it\n"
        try:
            looks = [inbox.settled(3600) for _ in range(300)]
            for _ in range(100):
                with candidates((INBOX / "batch").resolve(), config.load().ingest, None) as found:
                    assert all(one.path.suffix == ".png" for one in found)
        finally:
            copying.kill()
    assert not any(looks)


@pytest.mark.slow
def test_airflow_gets_one_event_and_only_for_added_pictures(tmp_path: Path) -> None:
    """The DAG itself emits an asset event for new pictures, also those that the command added, and
    none for old ones."""
    clone = Clone(tmp_path / "clone")
    source = tree(tmp_path / "new", {NEW: 4, KNOWN: 1})

    def run(*command: str) -> None:
        done = clone.shell(*command)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]

    def events() -> list[dict[str, object]]:
        with sqlite3.connect(clone.root / ".eidolon" / "airflow" / "airflow.db") as database:
            rows = database.execute("select extra from asset_event order by id").fetchall()
        return [json.loads(extra) for (extra,) in rows]

    def versioned() -> str:
        pointer = yaml.safe_load((clone.root / COLLECTION / "pictures.dvc").read_text())
        return str(pointer["outs"][0]["md5"])

    dag = (sys.executable, "-m", "airflow", "dags", "test", "ingest")
    named = ("-c", json.dumps({"source": str(source)}))
    clone.env["EIDOLON_SOURCES"] = str(tmp_path)
    run(sys.executable, "-m", "airflow", "db", "migrate")
    run(*dag, *named)
    first = {"hash": versioned(), "pictures": 5, "categories": 2, "added": 5}
    assert events() == [first]
    tree(tmp_path / "more", {NEW: 6})
    run("eidolon", "ingest", str(tmp_path / "more"))
    run(*dag)  # the inbox is empty
    assert events() == [first, {"hash": versioned(), "pictures": 7, "categories": 2, "added": 2}]
    run(*dag, *named)  # nothing in it is new
    assert len(events()) == 2
