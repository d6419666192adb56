"""Lists of files: what a line may contain, and which files a list cannot reach."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.collection import catalog
from components.errors import EidolonError
from tests.ingesting import KNOWN, NEW, photo, reasons, take, tree


def test_a_file_outside_the_list_s_folder_is_copied_only_if_it_is_a_picture(project: Path) -> None:
    """A stranger may have written the list to get a copy of any file. A list that a person gives
    may name files elsewhere, but the quarantine keeps no copy of them unless they are pictures."""
    (project / "key").write_text("secret")
    tree(project / "elsewhere", {NEW: 1})
    (project / "list" / "a").mkdir(parents=True)
    (project / "list" / "a" / "bad.png").write_text("mine")
    (project / "list" / "a" / "linked").symlink_to(project)
    named = ["/dev/zero", "/proc/self/environ", ".", f"{project}/key", "../key", "a/linked/key"]
    lines = [*named, "a/bad.png", "../elsewhere/orange_plain_cross/0.png"]
    (project / "list" / "list.csv").write_text("".join(f"{line},z\n" for line in lines))
    outcome = take(project / "list" / "list.csv")
    assert (outcome.added, outcome.rejected) == (1, {"missing": 2, "not decoded": 5})
    table = reasons(outcome)
    assert table.loc[table["copy"] != "", "file"].tolist() == [f"{project}/list/a/bad.png"]
    near = project / "elsewhere" / "near.png"
    photo(NEW).resize((64, 64)).save(near)
    (project / "list" / "list.csv").write_text(f"{near}\n")
    (row,) = reasons(take(project / "list" / "list.csv")).to_dict("records")
    assert row["kind"] == "near-duplicate" and row["copy"]


def test_a_list_names_files_and_categories(project: Path) -> None:
    source = tree(project / "new", {NEW: 3})
    place = source / NEW.replace(" ", "_")
    lines = [f"{place / '0.png'},{KNOWN}", f"new/{place.name}/1.png", "new/gone.png,x"]
    (project / "list.txt").write_text("\n".join(lines))
    outcome = take(project / "list.txt")
    assert (outcome.added, outcome.rejected) == (2, {"missing": 1})
    assert catalog.read()["category"].tolist() == [KNOWN, NEW]
    for line in ("a,b,c", "a\0,b"):
        (project / "list.csv").write_text(f"{line}\n")
        with pytest.raises(EidolonError, match="is not PATH or PATH,CATEGORY"):
            take(project / "list.csv")
    given = f"Path, Category\n\n  \n# three, in, all\n{place / '2.png'},{NEW}\n"
    (project / "my_list_v2.csv").write_text(given)
    assert take(project / "my_list_v2.csv").files == 1
    assert catalog.read()["source"].tolist() == ["list.txt", "list.txt", "my_list_v2.csv"]
    (project / "list.csv").write_bytes(b"\xff\xfe\0")
    with pytest.raises(EidolonError, match="is not a list of files"):
        take(project / "list.csv")


def test_a_list_s_errors_name_the_line(project: Path) -> None:
    tree(project / "new", {NEW: 1})
    good = "path,category\n# a comment\n\nnew/orange_plain_cross/0.png,x\n"
    for bad, sentence in {
        b"a,b,c\n": r"line 5: 'a,b,c' is not PATH or PATH,CATEGORY",
        b'"a\n,b\n': "line 5: unexpected end of data",
        b"b\xe4r.png,x\n": "line 5 is not UTF-8",
        b"C:\\photos\\0.png\n": r"line 5: 'C:.* is on a Windows drive: give paths relative",
    }.items():
        (project / "list.csv").write_bytes(good.encode() + bad + b"later.png\n")
        with pytest.raises(EidolonError, match=sentence):
            take(project / "list.csv")
    (project / "list.csv").write_text(good + "gone.png\n")
    outcome = take(project / "list.csv")
    assert (outcome.added, outcome.rejected) == (1, {"missing": 1})
    assert reasons(outcome)["reason"][0].endswith("(line 5 of the list)")


def test_a_list_s_paths_may_be_written_as_people_write_them(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tree(project / "new", {NEW: 6}) / "orange_plain_cross"
    monkeypatch.setenv("HOME", str(project / "new"))
    odd = [" spaced .png", "back\\slash.png"]
    for i, name in enumerate(odd):
        (place / f"{i}.png").rename(place / name)
    lines = [f'"new/orange_plain_cross/{odd[0]}"', f"new/orange_plain_cross/{odd[1]}"]
    lines += ["new\\orange_plain_cross\\2.png", ".\\new\\orange_plain_cross\\3.png, a"]
    lines += [" new/orange_plain_cross/4.png ", "~/orange_plain_cross/5.png"]
    (project / "list.csv").write_text("\r\n".join(lines))
    outcome = take(project / "list.csv")
    assert (outcome.added, outcome.rejected) == (6, {})
    assert catalog.read()["category"].tolist() == [NEW, NEW, NEW, "a", NEW, NEW]
