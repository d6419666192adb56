"""Links are not followed, and the error names the command that helps."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from components.collection.opening import Unreadable, open_regular
from components.errors import EidolonError
from tests.ingesting import NEW, reasons, take, tree


def test_a_folder_that_turns_into_a_link_is_not_followed(project: Path) -> None:
    """It turns into one after the file was found and before it is read: the checked file is the
    opened one."""
    secret = tree(project / "elsewhere", {NEW: 1})
    for exchanged in ("batch", "batch/orange_plain_cross", "batch/orange_plain_cross/0.png"):
        path = tree(project / "inbox" / "batch", {NEW: 1}) / "orange_plain_cross" / "0.png"
        with open_regular(path, project / "inbox") as file:
            assert file.read() == path.read_bytes()
        old, target = project / "inbox" / exchanged, secret / "orange_plain_cross" / "0.png"
        old.rename(project / "gone")
        old.symlink_to(secret if exchanged == "batch" else target if path == old else target.parent)
        assert path.read_bytes() == target.read_bytes()
        with pytest.raises(Unreadable, match=r"is a link to .* `cp -rL SOURCE COPY`"):
            open_regular(path, project / "inbox")
        subprocess.run(["rm", "-r", str(project / "gone"), str(project / "inbox")], check=True)
    for path in (secret / "x", project / "inbox" / ".." / "elsewhere" / "x"):
        with pytest.raises(Unreadable, match="lies outside"):
            open_regular(path, project / "inbox")


def test_links_and_junk_are_not_followed(project: Path) -> None:
    source = tree(project / "new", {NEW: 1})
    secret = tree(project / "elsewhere", {"teal plain heart": 1})
    (source / "linked").symlink_to(secret / "teal_plain_heart")
    (source / NEW.replace(" ", "_") / "link.png").symlink_to(secret / "teal_plain_heart" / "0.png")
    (source / "__MACOSX").mkdir()
    (source / "__MACOSX" / "a.png").write_bytes(b"junk")
    (source / ".hidden.png").write_bytes(b"junk")
    outcome = take(source)
    assert (outcome.files, outcome.added, outcome.rejected) == (3, 1, {"link": 2})


def test_a_linked_tree_gets_the_command_that_helps(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = tree(project / "real", {NEW: 2})
    (project / "new").mkdir()
    (project / "new" / "linked").symlink_to(real / "orange_plain_cross")
    (project / "new" / "dangling.png").symlink_to("gone.png")
    outcome = take(project / "new")
    assert outcome.rejected == {"link": 2} and "`cp -rL SOURCE COPY`" in outcome.sentence()
    said = dict(zip(reasons(outcome)["file"], reasons(outcome)["reason"], strict=True))
    assert (
        "is a link to gone.png, which does not exist: remove it"
        in said[str(project / "new" / "dangling.png")]
    )
    assert "`cp -rL SOURCE COPY`" in said[str(project / "new" / "linked")]
    (project / "new" / "dangling.png").unlink()
    subprocess.run(["cp", "-rL", "new", "copy"], check=True)
    monkeypatch.setenv("HOME", str(project))
    assert take(Path("~/copy")).added == 2
    subprocess.run(["cp", "-al", "copy", "real/again"], check=True)
    subprocess.run(["cp", "-al", "copy", "real/once_more"], check=True)
    subprocess.run(["tar", "-cf", "hard.tar", "-C", str(real), "."], check=True)
    with pytest.raises(EidolonError, match=r"is a link or a device.*`cp -rL FOLDER COPY`"):
        take(project / "hard.tar")
