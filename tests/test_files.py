"""Files and folders are written in one step, with other writers and after a kill; and locks."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from components.errors import EidolonError
from components.files import file_aside, folder_aside, scratch, write_bytes, write_text
from components.locks import BusyError, held
from tests import toy

SIZE = 200_000  # bytes, so that a plain write takes several steps

WRITER = f"""
import sys
from pathlib import Path
from components.files import write_text
for i in range(40):
    write_text(Path("file"), sys.argv[1] * {SIZE})
"""

READER = f"""
from pathlib import Path
print("reading", flush=True)
while not Path("end").exists():
    text = Path("file").read_text()
    assert len(text) == {SIZE} and len(set(text)) == 1, (len(text), set(text))
"""

KILLED = """
import os, signal, sys
from pathlib import Path
from components.files import {block}

changes = {{"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.chmod", "shutil.rmtree"}}
left = int(sys.argv[1])

def kill(event, arguments):
    global left
    if event in changes:
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(kill)
with {block}(Path("target")) as aside:
    {write}
"""
"""A process that kills itself just before its ARGVth change of a folder: the interpreter announces
each to an audit hook."""


def started(code: str, folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        env={"PATH": os.defpath, "PYTHONPATH": str(toy.ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_writers_and_readers_of_one_file_do_not_disturb_each_other(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("z" * SIZE)
    readers = [started(READER, tmp_path) for _ in range(2)]
    for reader in readers:
        assert reader.stdout is not None and reader.stdout.readline() == "reading\n"
    writers = [started(WRITER, tmp_path, name) for name in "abcd"]
    assert [writer.wait() for writer in writers] == [0] * 4
    (tmp_path / "end").touch()
    assert [reader.wait() for reader in readers] == [0] * 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["end", "file"]


@pytest.mark.parametrize("there", [True, False])
def test_a_file_is_the_old_or_the_new_one_wherever_its_writer_is_killed(
    tmp_path: Path, there: bool
) -> None:
    code = KILLED.format(block="file_aside", write='aside.write_text("new")')
    for moment in range(1, 50):
        target = tmp_path / str(moment) / "target"
        target.parent.mkdir()
        if there:
            target.write_text("old")
        with started(code, target.parent, str(moment)) as process:
            pass
        assert (target.read_text() if target.exists() else "none") in (
            ("old", "new") if there else ("none", "new")
        )
        write_text(target.with_name("another"), "")  # the next writer in this folder
        assert {path.name for path in target.parent.iterdir()} <= {"target", "another"}
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGKILL
    assert process.returncode == 0 and moment > 4
    assert target.read_text() == "new"


def test_a_folder_is_the_old_or_the_new_one_wherever_its_writer_is_killed(tmp_path: Path) -> None:
    """Between the two renames there is no folder: the next writer then puts the new one there."""
    code = KILLED.format(
        block="folder_aside",
        write="[(aside / name).write_text('new') for name in ('one', 'two')]",
    )
    absent = 0
    for moment in range(1, 50):
        target = tmp_path / str(moment) / "target"
        target.mkdir(parents=True)
        for name in ("one", "two"):
            (target / name).write_text("old")
        with started(code, target.parent, str(moment)) as process:
            pass
        absent += not target.exists()
        with scratch(target.parent):
            pass
        assert [path.name for path in target.parent.iterdir()] == ["target"]
        texts = {path.name: path.read_text() for path in target.iterdir()}
        assert texts in ({"one": "old", "two": "old"}, {"one": "new", "two": "new"})
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGKILL
    assert process.returncode == 0
    assert absent == 1  # it was killed at exactly that moment
    assert set(texts.values()) == {"new"}


def test_files_of_a_running_writer_are_not_taken_for_leftovers(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; from components.files import file_aside\n"
        "with file_aside(Path('one')) as aside:\n"
        "    aside.write_text('whole'); print('written', flush=True); input()\n"
    )
    with started(code, tmp_path) as other:
        assert other.stdout is not None and other.stdout.readline() == "written\n"
        write_text(tmp_path / "two", "2")
        with scratch(tmp_path) as place:  # and neither is what this process writes
            write_text(tmp_path / "three", "3")
            write_bytes(b"4", tmp_path / "four", place)
        other.communicate("\n")
    assert other.returncode == 0
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "one": "whole",
        "two": "2",
        "three": "3",
        "four": "4",
    }


def test_links_are_followed_and_permissions_stay(tmp_path: Path) -> None:
    file, folder = tmp_path / "disk" / "file", tmp_path / "disk" / "folder"
    folder.mkdir(parents=True)
    file.write_text("old")
    file.chmod(0o640)
    (tmp_path / "file").symlink_to(file)
    (tmp_path / "folder").symlink_to(folder)
    write_text(tmp_path / "file", "new")
    with folder_aside(tmp_path / "folder") as aside:
        (aside / "inside").touch()
    assert (tmp_path / "file").is_symlink() and file.read_text() == "new"
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert (tmp_path / "folder").is_symlink() and [p.name for p in folder.iterdir()] == ["inside"]
    write_text(tmp_path / "fresh", "")
    (tmp_path / "plain").touch()
    assert (tmp_path / "fresh").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_block_that_fails_changes_nothing(tmp_path: Path) -> None:
    write_text(tmp_path / "file", "old")
    for block in (file_aside, folder_aside):
        with pytest.raises(ZeroDivisionError), block(tmp_path / "file"):
            _ = 1 / 0
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "old"
    with pytest.raises(EidolonError, match="is a folder: name a file"):
        write_text(tmp_path, "")


def test_a_lock_ends_with_its_process(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; from components.locks import held\n"
        "with held(Path('home/lock')):\n"
        "    print('held', flush=True); input()\n"
    )
    with started(code, tmp_path) as other:
        assert other.stdout is not None and other.stdout.readline() == "held\n"
        with pytest.raises(BusyError), held(tmp_path / "home" / "lock", wait=False):
            pass
        other.kill()
        with held(tmp_path / "home" / "lock"):  # the kernel releases it once the process has ended
            pass
