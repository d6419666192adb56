"""Names: which are the same, which folder they get, and how templates are filled with them."""

from __future__ import annotations

import os
import re
import unicodedata
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from components import config, names, tables
from components.collection import catalog
from components.datasets import splits
from components.datasets.adapter import Category
from components.datasets.folder import categories
from components.datasets.merge import merge
from components.errors import EidolonError
from components.imagining.recipes import wanted
from components.names import clean
from tests import toy
from tests.trees import tree

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
NAME = TEXT.map(names.clean).filter(bool)
SAME = (
    "Café au lait",
    "Cafe\u0301 au lait",
    "CAFÉ AU LAIT",
    "café_au_lait",
    "Ｃａｆé\u3000au  lait",
)


@pytest.mark.parametrize(
    ("given", "plain"),
    [
        ("straw\u00adberry\u200b", "strawberry"),
        ("\u202efire\u202c", "fire"),
        ("\ufeff red\r\n\tstar\0", "red star"),
        ("❤\ufe0f", "❤"),
        ("\u3164", ""),  # looks blank, but Unicode calls it a letter
        ("ﬁre ５ ㎏", "fire 5 kg"),
        ("a/b_c.", "a/b_c."),
        ("{} %s $x^2$ [/]", "{} %s $x^2$ [/]"),
    ],
)
def test_invisible_characters_make_no_difference(given: str, plain: str) -> None:
    assert names.plain(given) == plain


@given(TEXT)
@example("´")  # becomes a space and an accent
@example("e\u200d\u0301")  # combines with the accent once the character between them is removed
@example("\uffa0a")
@example(".\u00ad. a")
def test_a_clean_name_is_clean_and_its_folded_form_folded(text: str) -> None:
    name = names.clean(text)
    assert names.clean(name) == name
    assert name == " ".join(name.split())
    assert all(c.isprintable() for c in name)
    assert not set(name) & set("_/\\")
    assert names.plain(names.plain(text)) == names.plain(text)
    assert names.fold(names.fold(text)) == names.fold(text) == names.fold(name)


@given(NAME)
def test_a_name_is_found_however_it_is_written(name: str) -> None:
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        assert names.fold(unicodedata.normalize(form, name)) == names.fold(name)
    wide = "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in name)
    for other in (wide, f" {name}\u200b\n", name.replace(" ", "_"), name.casefold()):
        assert names.fold(other) == names.fold(name)


def test_two_names_of_one_category_are_refused() -> None:
    assert len({names.fold(name) for name in SAME}) == 1
    names.check_distinct([*toy.NAMES, SAME[0], SAME[0]])
    with pytest.raises(EidolonError, match="'Café au lait' and 'café_au_lait' have the same name"):
        names.check_distinct([SAME[0], *toy.NAMES, SAME[3]])


@given(NAME)
@example("..")
@example("--help")
@example("漢" * 100)
@example("x" * 300)
def test_a_folder_is_one_safe_part_of_a_path(name: str) -> None:
    folder = names.folder(name)
    assert Path("a", folder).name == folder and folder not in (".", "..")
    assert re.fullmatch(r"[\w-]+", folder) and not folder.startswith("-")
    assert len(folder.encode()) <= 109


@given(st.lists(NAME, unique_by=names.fold, max_size=8))
@example(["c+", "c#", "c", "a b", "a'b", "a-b", "😀", "😁", "का", "की", "คา", "คี"])
@example(["x" * 101, "x" * 102])
def test_each_category_has_a_folder_of_its_own_whatever_the_file_system(found: list[str]) -> None:
    folders = [names.folder(name) for name in found]
    assert len({folder.casefold() for folder in folders}) == len(found)


def test_folders_of_ordinary_names_are_their_names() -> None:
    assert names.folder("red plain star") == "red_plain_star"
    assert names.folder("hard-leaved pocket orchid") == "hard-leaved_pocket_orchid"
    assert names.folder("007") == "007"
    assert names.folder("Früchte") == "Früchte"
    assert names.folder("colt's foot").startswith("colt_s_foot-")


@given(TEXT, TEXT, TEXT)
@example("a {photo} of ", "", "colt's {foot}")
@example("100 % {0} ", " {", "{}")
def test_a_template_is_filled_literally(before: str, after: str, name: str) -> None:
    template = f"{before.replace('{}', '')}{{}}{after.replace('{}', '')}"
    if template.count("{}") != 1:
        return
    assert (
        names.fill(template, name)
        == template.partition("{}")[0] + name + (template.partition("{}")[2])
    )


def _params(**generator: object) -> config.Params:
    values = toy.params(Path("models"), Path("pictures"))
    values["generator"] |= generator
    return config.Params.model_validate(values)


def test_other_braces_of_a_template_are_text(toy_models: Path) -> None:
    """Such a template passed the check of params.yaml, and then the stage `embed` ended with a
    KeyError."""
    from components.models.encoders import ClipEncoder

    template = "a {photo} {0} } of {} {"
    params = _params(prompt=template)
    assert params.generator.prompt_for("red star") == "a {photo} {0} } of red star {"
    clip = ClipEncoder(str(toy_models / "clip"))
    (mean,) = clip.describe(["red {star}"], (template, "{}"))
    both = clip.texts(["a {photo} {0} } of red {star} {", "red {star}"])
    assert mean == pytest.approx(both.mean(axis=0), abs=1e-6)  # components of unit vectors, float32


def test_a_prompt_belongs_to_its_category_however_the_name_is_written() -> None:
    generator = _params(
        category_prompts={"Colt's_Foot": "a wild {}", "CAFE\u0301": "whole"}
    ).generator
    assert generator.prompt_for("colt's foot") == "a wild colt's foot"
    assert generator.prompt_for("café") == "whole"
    assert {w.prompt for w in wanted(generator, ["colt's foot"])} == {"a wild colt's foot"}
    with pytest.raises(ValueError, match="'a b' and 'A_b' have the same name"):
        _params(category_prompts={"a b": "a {}", "A_b": "the {}"})


def test_a_template_is_checked_in_one_place() -> None:
    for wrong in ("no place", "{} and {}", "{0}", "{name}"):
        with pytest.raises(ValueError, match=r"must contain one \{\}"):
            _params(prompt=wrong)


def test_a_class_list_names_a_macs_folders(tmp_path: Path) -> None:
    for file, split in splits.FILES.items():
        (tmp_path / file).write_text(f"Caf\u00e9 {split}\n")
    classes = [f"Cafe\u0301 {split}" for split in splits.FILES.values()]
    assert splits.read(tmp_path, classes) == {name: name.split()[1] for name in classes}


def test_ingested_pictures_join_their_category_under_another_spelling(tmp_path: Path) -> None:
    """That happens after the folder of the category was renamed."""
    row = dict.fromkeys(catalog.COLUMNS, "") | {"path": "a.png", "category": "Cafe\u0301 Noir"}
    tables.write(tmp_path / "manifest.csv", pd.DataFrame([row]))
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "a.png").touch()
    known = Category("café noir", "unseen", [Path("b.png")], [])
    (merged,) = merge([known], tree(tmp_path, 1, 1), folder=tmp_path)
    assert merged.name == "café noir" and len(merged.gallery) == 2


def test_a_folders_name_that_is_not_text_is_refused(tmp_path: Path) -> None:
    """Dropping the unreadable bytes would make it another category."""
    for name in (b"a", b"b", b"c", b"caf\xe9"):
        folder = tmp_path / os.fsdecode(name)
        folder.mkdir()
        (folder / "1.png").touch()
        (folder / "2.png").touch()
    with pytest.raises(EidolonError, match="name is not UTF-8: rename the folder"):
        categories(tree(tmp_path, 1, 1))


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("red_plain_star", "red plain star"),
        ("  Grey\tBird ", "Grey Bird"),
        ("../../etc", "etc"),
        ("ﬁre\u202e​", "fire"),
        ("a/b\\c", "a b c"),
        ("..", ""),
    ],
)
def test_a_categorys_name_is_cleaned(given: str, stored: str) -> None:
    assert clean(given) == stored
