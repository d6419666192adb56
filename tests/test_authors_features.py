"""The authors' evaluation on features in their layout, held against the definition in float64."""

from __future__ import annotations

import json
import os
import pickle
import re
import sys
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.authors import layout
from components.authors.choices import Method, TextModel, VisionModel
from components.authors.evaluation import evaluate
from components.cli import __main__ as cli
from components.errors import EidolonError
from components.learning.aggregator import Aggregator
from tests.test_aggregator import independent
from tests.test_metrics import slow

pytestmark = pytest.mark.numeric

TEXT, VISION, GALLERY = 6, 8, 90
SUFFIX = {"class": "", "description": "_dbr", "both": "_classdbr"}
World = dict[str, Any]


def features(names: list[str], *, seed: int = 0) -> World:
    """Random features of one set: class 2 has no picture, class 1 a vector for its text."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(len(names), TEXT)), rng.normal(size=(len(names), VISION))
    label = rng.choice([i for i in range(len(names)) if i != 2], size=GALLERY)

    def near(centre: np.ndarray, spread: float) -> np.ndarray:
        found = centre + rng.normal(scale=spread, size=centre.shape)
        return (found / np.linalg.norm(found, axis=-1, keepdims=True)).astype(np.float32)

    text = {name: near(np.tile(centres[0][i], (3, 1)), 1.5) for i, name in enumerate(names)}
    text[names[1]] = text[names[1]][0]
    return {
        "text": dict(reversed(text.items())),  # the images' order counts, not this one
        "images": {
            name: near(np.tile(centres[1][i], (2 + i % 3, 1)), 1.0).T[None]
            for i, name in enumerate(names)
        },
        "gallery_text": near(centres[0][label], 1.2),
        "gallery_vision": near(centres[1][label], 1.2),
        "truth": {str(i): {"ok": np.flatnonzero(label == i).tolist()} for i in range(len(names))},
    }


def write(root: Path, name: str, world: World, *, method: str = "class", protocol: int = 4) -> None:
    """The set in the authors' layout, for CLIP and DINOv2."""
    folder, suffix = root / "aggregator", SUFFIX[method]
    for model in ("clip", "dino"):
        (folder / model).mkdir(parents=True, exist_ok=True)
    for path, value in (
        (folder / "clip" / f"{name}_clip_q_text{suffix}.pkl", world["text"]),
        (folder / "dino" / f"{name}_dino_q_img{suffix}.pkl", world["images"]),
    ):
        path.write_bytes(pickle.dumps(value, protocol))
    np.save(folder / "clip" / f"{name}_val_clip_db.npy", world["gallery_text"])
    np.save(folder / "dino" / f"{name}_val_dino_db.npy", world["gallery_vision"])
    (folder / f"{name}_val_cfg.json").write_text(json.dumps(world["truth"]))


def by_definition(world: World, names: list[str], model: Aggregator) -> dict[str, float]:
    """mAP of each kind, one query at a time, in float64, with no code of ours but the weights."""
    gallery = [world[key].astype(np.float64) for key in ("gallery_text", "gallery_vision")]
    found: dict[str, list[float]] = {}
    for query, name in enumerate(names):
        text = world["text"][name].astype(np.float64)
        images = world["images"][name][0].astype(np.float64).T
        mean = images.mean(axis=0) / np.linalg.norm(images.mean(axis=0))
        weight = 1 / (1 + np.exp(-float(model.lamda.detach())))
        by_text = gallery[0] @ (text if text.ndim == 1 else text.mean(axis=0))
        by_image = gallery[1] @ mean
        learned = gallery[1] @ independent(model, images)
        truth = world["truth"].get(str(query), {"ok": []})
        positive, junk = np.zeros(GALLERY, dtype=bool), np.zeros(GALLERY, dtype=bool)
        positive[truth["ok"]] = True
        junk[truth.get("junk") or []] = True
        for kind, scores in {
            "text": by_text,
            "image": by_image,
            "joint": by_text + by_image,
            "0.1": 0.9 * by_text + 0.1 * by_image,
            "aggregated": (1 - weight) * by_text + weight * learned,
        }.items():
            found.setdefault(kind, []).append(slow(scores, positive, junk))
    return {kind: float(np.nanmean(values)) for kind, values in found.items()}


@pytest.fixture
def model() -> Aggregator:
    torch.manual_seed(2)
    model = Aggregator(VISION).eval()
    torch.nn.init.constant_(model.lamda, -0.4)
    return model


NAMES = ["b", "a", "none", "d", "c"]
ASKED = (TextModel.CLIP, VisionModel.DINO)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("method", list(Method))
def test_every_number_is_that_of_the_definition(
    tmp_path: Path, model: Aggregator, method: Method, protocol: int
) -> None:
    worlds = {"dtd": features(NAMES, seed=1), "ucf": features(NAMES[:4], seed=2)}
    for name, world in worlds.items():
        write(tmp_path, name, world, method=method, protocol=protocol)
    report = evaluate(tmp_path, *ASKED, method, model)
    expected = {n: by_definition(w, list(w["images"]), model) for n, w in worlds.items()}
    assert list(report.sets) == ["dtd", "ucf"]
    for name in worlds:
        assert report.sets[name] == pytest.approx(expected[name], abs=1e-12)
        assert 0 < min(report.sets[name].values()) < max(report.sets[name].values()) < 1
    mean = {kind: (expected["dtd"][kind] + expected["ucf"][kind]) / 2 for kind in expected["dtd"]}
    assert report.average == pytest.approx(mean, abs=1e-12)
    assert set(report.skipped) == set(layout.SETS) - set(worlds)
    assert evaluate(tmp_path, *ASKED, method).sets["dtd"].keys() == mean.keys() - {"aggregated"}


Edit = Callable[[World], World]


def half(world: World) -> World:
    return world | {
        key: world[key].astype(np.float16) for key in ("gallery_text", "gallery_vision")
    }


def close(world: World) -> World:
    """Half of the gallery differs from the other half by less than float32 scores can tell."""
    rows = {key: world[key].copy() for key in ("gallery_text", "gallery_vision")}
    for values in rows.values():
        values[GALLERY // 2 :] = values[: GALLERY // 2]
        values[::2, 0] = np.nextafter(values[::2, 0], np.float32(2))
    return world | rows


@pytest.mark.parametrize(
    "edit",
    [
        lambda w: w | {"images": {k: list(v) for k, v in w["images"].items()}},
        lambda w: w | {"images": {k: (v[0].copy(order="F"),) for k, v in w["images"].items()}},
        lambda w: w | {"text": {k: v.astype(">f8") for k, v in w["text"].items()}},
        lambda w: w | {"images": {np.str_(k): v for k, v in w["images"].items()}},
        lambda w: w | {"gallery_text": w["gallery_text"].astype(np.float64)},
        lambda w: w | {"truth": {k: v | {"junk": [0, 5, 17]} for k, v in w["truth"].items()}},
        lambda w: w | {"truth": {k: v for k, v in w["truth"].items() if k < "3"}},
        lambda w: w | {"truth": {k: v | {"junk": None} for k, v in w["truth"].items()}},
        lambda w: w | {"images": OrderedDict(w["images"])},
        lambda w: w | {"text": defaultdict(list, w["text"])},
        lambda w: w | {"text": {k: (9 * v).astype(int) for k, v in w["text"].items()}},
        lambda w: w | {"gallery_vision": (99 * w["gallery_vision"]).astype(np.int16)},
        half,
        close,
    ],
    ids=[
        *("list", "tuple", "big endian", "np.str_", "float64", "junk", "fewer queries", "no junk"),
        *("OrderedDict", "defaultdict", "integer text", "integer gallery", "half", "close"),
    ],
)
@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_features_come_in_many_forms(
    tmp_path: Path, model: Aggregator, edit: Edit, protocol: int
) -> None:
    world = edit(features(NAMES))
    write(tmp_path, "pets", world, protocol=protocol)
    found = evaluate(tmp_path, *ASKED, Method.CLASS, model).sets["pets"]
    assert found == pytest.approx(by_definition(world, NAMES, model), abs=1e-12)


def test_pickles_of_numpy_1_are_read(tmp_path: Path, model: Aggregator) -> None:
    world = features(NAMES)
    write(tmp_path, "pets", world, protocol=2)
    for path in (tmp_path / "aggregator").rglob("*.pkl"):
        assert b"cnumpy._core.multiarray\n" in path.read_bytes()
        path.write_bytes(path.read_bytes().replace(b"numpy._core", b"numpy.core"))
    found = evaluate(tmp_path, *ASKED, Method.CLASS, model).sets["pets"]
    assert found == pytest.approx(by_definition(world, NAMES, model), abs=1e-12)


def test_imagenet_follows_the_list_of_names(tmp_path: Path, model: Aggregator) -> None:
    """Two names stand for two classes each, and the dictionary may be in any order."""
    names = Path(layout.__file__).with_name("imagenet.txt").read_text().splitlines()
    assert (len(names), names[0], names[999]) == (1000, "tench", "toilet paper")
    assert sorted(n for n in set(names) if names.count(n) == 2) == ["missile", "sunglasses"]
    assert [i for i, name in enumerate(names) if name == "missile"] == [657, 744]
    world = features(sorted(set(names)))
    rows = np.array_split(np.arange(GALLERY), 4)
    queries = (0, 657, 744, 999)
    truth = {str(q): {"ok": part.tolist()} for q, part in zip(queries, rows, strict=True)}
    world["truth"] = {str(i): {"ok": []} for i in range(1000)} | truth
    write(tmp_path, "imagenet", world)
    found = evaluate(tmp_path, *ASKED, Method.CLASS, model).sets["imagenet"]
    assert found == pytest.approx(by_definition(world, names, model), abs=1e-12)


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
def test_what_does_not_fit_is_one_clear_error(
    tmp_path: Path, edit: Callable[[World], None], reason: str
) -> None:
    world = features(NAMES)
    edit(world)
    write(tmp_path, "pets", world)
    with pytest.raises(EidolonError, match=reason) as caught:
        evaluate(tmp_path, *ASKED, Method.CLASS)
    assert str(caught.value).endswith("fetch the authors' features anew")
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
    """Lists that each hold the one before twice, which a text of them would all write out."""
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
def test_what_is_made_to_break_a_reader_is_one_clear_error(
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


def test_a_checkpoint_of_another_dimension_is_one_clear_error(tmp_path: Path) -> None:
    write(tmp_path, "pets", features(NAMES))
    with pytest.raises(EidolonError, match="pets has features of 8 numbers and the checkpoint"):
        evaluate(tmp_path, *ASKED, Method.CLASS, Aggregator(4))


def test_a_checkpoint_that_gives_zeros_is_one_clear_error(
    tmp_path: Path, model: Aggregator
) -> None:
    write(tmp_path, "pets", features(NAMES))
    torch.nn.init.zeros_(model.self_attn.layers[1].out_proj.weight)
    with pytest.raises(EidolonError, match="gives pets vectors without a direction"):
        evaluate(tmp_path, *ASKED, Method.CLASS, model)


def test_the_verb_prints_a_table_and_writes_json(
    tmp_path: Path,
    model: Aggregator,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    world = features(NAMES)
    write(tmp_path / "queries", "flowers", world, method="both")
    published = {f"module.{name}": value for name, value in model.named_parameters()}
    torch.save({k: v.detach() for k, v in published.items()}, tmp_path / "model.pth")

    def eidolon(*arguments: str) -> int | str | None:
        asked = ["--model", "clip", "--v-model", "dino", "--method", "both", *arguments]
        command = ["eidolon", "evaluate-features", str(tmp_path / "queries"), *asked]
        monkeypatch.setattr(sys, "argv", command)
        with pytest.raises(SystemExit) as exit_:
            cli.main()
        return exit_.value.code

    out = tmp_path / "out.json"
    assert eidolon("--checkpoint", str(tmp_path / "model.pth"), "--json", str(out)) == 0
    shown, expected = capsys.readouterr().out, by_definition(world, NAMES, model)
    written = json.loads(out.read_text())
    assert written["sets"] == {"flowers": pytest.approx(expected, abs=1e-12)}
    assert written["average"] == pytest.approx(expected, abs=1e-12)
    assert (written["model"], written["v_model"], written["method"]) == ("clip", "dino", "both")
    assert set(written["skipped"]) == set(layout.SETS) - {"flowers"}
    for row in ("flowers", "average"):
        numbers = [f"{value:.4f}" for value in expected.values()]
        assert re.search(rf"{row} +" + " +".join(numbers), shown)
    assert "skipped cars: " in shown
    assert eidolon("--method", "class") == 2
    assert "holds none of the authors' sets for clip, dino and class" in capsys.readouterr().err
