"""Damaged or malicious files of features: each is one clear error, and no code of theirs is run."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.authors.choices import Method
from components.authors.evaluation import evaluate
from components.errors import EidolonError
from tests.authors import ASKED, NAMES, World, features, write

pytestmark = pytest.mark.numeric


class Attack:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.system, (f"touch {self.mark}",)


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
@pytest.mark.parametrize("kind", ["text", "images"])
def test_a_forbidden_class_is_refused_and_not_run(tmp_path: Path, kind: str, protocol: int) -> None:
    world = features(NAMES)
    world[kind]["a"] = Attack(tmp_path / "ran")
    write(tmp_path, "pets", world, protocol=protocol)
    reason = r"q_(text|img)\.pkl is refused: it asks for (posix|nt)\.system, which"
    with pytest.raises(EidolonError, match=reason):
        evaluate(tmp_path, *ASKED, Method.CLASS)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (lambda w: w["text"].pop("d"), "q_text.pkl lacks the class 'd'"),
        (lambda w: w["text"].update(d=np.ones(5)), r"shape \(5,\) for the class 'd', not \(6,\)"),
        (lambda w: w["text"].update(d=[1.0]), "no array for the class 'd'"),
        (lambda w: w["text"].update(d=np.array([None])), "refused: it holds arrays of type 'O8'"),
        (lambda w: w["text"].update(d=np.zeros(6, dtype="f4,f4")), "arrays of type 'V8'"),
        (lambda w: w["text"].update(d=np.full(6, np.nan)), "class 'd' that are not finite"),
        (lambda w: w["text"].update(d=np.full(6, 1e300)), "absurdly large"),
        (lambda w: w["text"].update(d=np.array(["x"] * 6)), "not of numbers"),
        (lambda w: w["images"].update(d=w["images"]["d"][0]), r"not \(8, pictures\)"),
        (lambda w: w["images"].update(d=w["images"]["d"].mT), r"not \(8, pictures\)"),
        (lambda w: w.update(images=[1]), "holds no dictionary of classes by name"),
        (lambda w: w.update(images={}), "holds no dictionary of classes by name"),
        (lambda w: w.update(text={0: np.ones(6)}), "holds no dictionary of classes by name"),
        (lambda w: w["images"].update({"": w["images"]["d"]}), "q_text.pkl lacks the class ''"),
        (lambda w: w["images"].update(d=np.array(["x"])), r"shape \(\) for the class 'd', not"),
        (lambda w: w.update(gallery_text=np.ones((3, 6))), "has 3 rows and .* 90"),
        (lambda w: w.update(gallery_text=np.ones(6)), "no matrix of features"),
        (lambda w: w["truth"].update({"5": {"ok": [1]}}), "names the query '5', but there are 5"),
        (lambda w: w["truth"].update({"1": {"ok": [90]}}), "query 1 that are not 90 distinct"),
        (lambda w: w["truth"].update({"1": {"ok": [-1]}}), "query 1 that are not 90 distinct"),
        (lambda w: w["truth"].update({"1": {"ok": [4, 4]}}), "query 1 that are not 90 distinct"),
        (lambda w: w["truth"].update({"1": {"ok": "all"}}), "no rows under 'ok' of query 1"),
        (lambda w: w.update(truth=[1]), "is no table of queries"),
        (lambda w: w.update(truth={}), "pets has no query with a picture to find"),
    ],
)
def test_features_that_do_not_fit_are_one_clear_error(
    tmp_path: Path, edit: Callable[[World], None], reason: str
) -> None:
    world = features(NAMES)
    edit(world)
    write(tmp_path, "pets", world)
    with pytest.raises(EidolonError, match=reason) as caught:
        evaluate(tmp_path, *ASKED, Method.CLASS)
    assert str(caught.value).endswith("fetch the authors' features again")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "name", ["clip/pets_clip_q_text.pkl", "dino/pets_val_dino_db.npy", "pets_val_cfg.json"]
)
def test_truncated_files_are_one_clear_error(tmp_path: Path, name: str) -> None:
    write(tmp_path, "pets", features(NAMES))
    path = tmp_path / "aggregator" / name
    whole = path.read_bytes()
    for length in (0, 1, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(EidolonError, match=f"{re.escape(str(path))} .*fetch the authors'"):
            evaluate(tmp_path, *ASKED, Method.CLASS)


def nested(levels: int) -> bytes:
    return b"]" * levels + b"a" * (levels - 1)


def doubling(levels: int) -> bytes:
    """Nested lists: each holds the one before it twice, so writing them out as text takes 2^levels
    steps."""
    return b"]\x94" + b"".join(b"](h%ch%ce\x94" % (i, i) for i in range(levels))


BOMB = b"\x80\x04" + doubling(60)  # the last list is number 60 of the memo
RECONSTRUCT = b"\x8c\x15numpy.core.multiarray\x8c\x0c_reconstruct\x93"
ENCODE = b"\x8c\x07_codecs\x8c\x06encode\x93"
FROMBUFFER = b"\x8c\x12numpy.core.numeric\x8c\x0b_frombuffer\x93"
F4 = b"\x8c\x05numpy\x8c\x05dtype\x93\x8c\x02f4\x85R"


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("dino/pets_dino_q_img.pkl", b"\x80\x04" + nested(10**4) + b"\x8c\x01x\x93.", "no text"),
        ("dino/pets_dino_q_img.pkl", b"\x80\x04" + nested(10**4) + b".", "no dictionary"),
        ("dino/pets_dino_q_img.pkl", BOMB + b"\x8c\x01x\x93.", "no text"),
        ("dino/pets_dino_q_img.pkl", BOMB + RECONSTRUCT + b"h\x3cNN\x87R.", "another class"),
        ("dino/pets_dino_q_img.pkl", BOMB + ENCODE + b"h\x3c\x8c\x06latin1\x86R.", "encoding"),
        (
            "dino/pets_dino_q_img.pkl",
            BOMB + FROMBUFFER + b"(C\x00" + F4 + b"h\x3c\x8c\x01CtR.",
            "shape",
        ),
        ("dino/pets_dino_q_img.pkl", b"\x80\x04h\x05.", "KeyError: 5"),
        ("dino/pets_dino_q_img.pkl", b"\x80\x04\x8e" + b"\xff" * 7 + b"\x3f.", "MemoryError"),
        ("clip/pets_val_clip_db.npy", b"PK\x03\x04" + bytes(100), "magic string is not correct"),
        ("clip/pets_val_clip_db.npy", b"\x93NUMPY\x01\x00\x28\x23" + b"-" * 8999 + b"1", "Error"),
        ("pets_val_cfg.json", b"[" * 10**5, "recursion"),
        ("pets_val_cfg.json", b'{"0": {"ok": [' + b"9" * 5000 + b"]}}", "digits"),
    ],
)
def test_files_made_to_break_a_reader_are_one_clear_error(
    tmp_path: Path, name: str, content: bytes, reason: str
) -> None:
    write(tmp_path, "pets", features(NAMES))
    path = tmp_path / "aggregator" / name
    path.write_bytes(content)
    with pytest.raises(EidolonError, match=f"{re.escape(str(path))} .*{reason}.*fetch") as caught:
        evaluate(tmp_path, *ASKED, Method.CLASS)
    assert len(str(caught.value)) < len(str(path)) + 250


@given(data=st.data())
@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_damage_is_read_or_refused(data: st.DataObject, tmp_path: Path) -> None:
    protocol = data.draw(st.sampled_from([2, 4, 5]))
    write(tmp_path, "pets", features(NAMES), protocol=protocol)
    files = sorted((tmp_path / "aggregator").rglob("pets*"))
    path = data.draw(st.sampled_from(files))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        evaluate(tmp_path, *ASKED, Method.CLASS)
    except EidolonError as error:
        assert "\n" not in str(error)
