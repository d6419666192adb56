"""The authors' evaluation of features in their layout equals the definition in float64."""

from __future__ import annotations

import json
import re
import sys
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from components.authors import layout
from components.authors.choices import Method
from components.authors.evaluation import evaluate
from components.cli import __main__ as cli
from components.errors import EidolonError
from components.learning.aggregator import Aggregator
from tests.authors import ASKED, GALLERY, NAMES, VISION, World, by_definition, features, write

pytestmark = pytest.mark.numeric


@pytest.fixture
def model() -> Aggregator:
    torch.manual_seed(2)
    model = Aggregator(VISION).eval()
    torch.nn.init.constant_(model.lamda, -0.4)
    return model


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


def test_the_command_prints_a_table_and_writes_json(
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
