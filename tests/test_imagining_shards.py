"""Shards: what each draws, that results do not depend on them, and clones that share the work."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from components import config, manifest, names
from components.errors import EidolonError
from components.imagining import generate, imagine, plan, shards
from components.imagining.recipes import address_of, recipe_in
from components.imagining.seeds import seed_of
from components.imagining.store import Store
from components.paths import BUNDLE, DATASET, IMAGINED, PLAN, SHARDS
from tests import toy
from tests.clones import Clone, clean_environment
from tests.imagining import drawn

ADDED = "teal dotted ring"


@pytest.fixture(scope="module")
def params(toy_models: Path) -> config.Generator:
    values = toy.params(toy_models, toy_models)
    values["generator"] |= {"shards": [0]}
    return config.Params.model_validate(values).generator


@pytest.fixture
def dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Sequence[str]], None]:
    """Make an empty folder the working directory. Returns a function that writes datasets of given
    categories."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EIDOLON_STORE", raising=False)

    def write(names: Sequence[str]) -> None:
        rows = [dict.fromkeys(manifest.DATASET_COLUMNS, "-") | {"category": n} for n in names]
        DATASET.mkdir(parents=True, exist_ok=True)
        pd.DataFrame(rows).to_csv(DATASET / "manifest.csv", index=False)

    write(toy.NAMES)
    return write


def split(params: config.Generator, count: int) -> config.Generator:
    return params.model_copy(update={"shards": tuple(range(count))})


def run(params: config.Generator, order: Sequence[int] | None = None) -> pd.DataFrame:
    plan.plan(params)
    for shard in order or params.shards:
        imagine.imagine(shard, params)
    return generate.generate(params)


def test_every_category_is_in_one_shard_and_they_are_even() -> None:
    names = [f"category {i}" for i in range(8000)]
    of = np.array([shards.shard_of(name, 8) for name in names])
    assert np.bincount(of, minlength=8).min() > 900
    assert shards.shard_of("red plain star", 8) == 7


def test_an_added_category_changes_the_plan_of_one_shard(
    params: config.Generator, dataset: Callable[[Sequence[str]], None]
) -> None:
    def plans() -> dict[str, str]:
        plan.plan(split(params, 4))
        return {path.name: path.read_text() for path in PLAN.iterdir()}

    before = plans()
    assert set(before) == {"0.csv", "1.csv", "2.csv", "3.csv"}
    dataset((*toy.NAMES[:3], ADDED, *toy.NAMES[3:]))
    after = plans()
    changed = [name for name in before if before[name] != after[name]]
    assert changed == [f"{shards.shard_of(ADDED, 4)}.csv"]


@pytest.mark.numeric
@pytest.mark.usefixtures("dataset")
def test_pictures_do_not_depend_on_the_shards(
    params: config.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = run(params)
    monkeypatch.setenv("EIDOLON_STORE", "another store")
    IMAGINED.rename("one")
    three = run(split(params, 3), order=[2, 0, 1])
    pd.testing.assert_frame_equal(one.drop(columns="sha256"), three.drop(columns="sha256"))
    for path in one["path"]:
        pixels = [np.asarray(Image.open(Path(d) / path), dtype=int) for d in ("one", IMAGINED)]
        assert np.abs(pixels[0] - pixels[1]).max() <= 1
    assert len(list(Path("another store").glob("*/*.png"))) == len(one)


def test_a_shard_may_be_empty(
    params: config.Generator, dataset: Callable[[Sequence[str]], None]
) -> None:
    dataset(toy.NAMES[:1])
    assert len(run(split(params, 3))) == params.images_per_category


def test_a_lost_store_takes_back_the_pictures_that_are_there(
    params: config.Generator,
    dataset: Callable[[Sequence[str]], None],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """So that a new clone, which has pulled data/imagined, draws what is new and no more."""
    before = run(params)
    monkeypatch.setenv("EIDOLON_STORE", "new")
    dataset((*toy.NAMES, ADDED))
    capfd.readouterr()
    after = run(params)
    assert f"imagine@0: {params.images_per_category}/2 pictures" in capfd.readouterr().err
    kept = after[after["category"] != ADDED].reset_index(drop=True)
    pd.testing.assert_frame_equal(kept, before)


@pytest.mark.usefixtures("dataset")
def test_bad_input_is_reported_and_changes_nothing(params: config.Generator) -> None:
    run(params)
    before = (IMAGINED / "manifest.csv").read_text()
    two = split(params, 2)
    with pytest.raises(EidolonError, match=r"data/shards/0 is not what data/plan asks for"):
        plan.plan(two)
        generate.generate(two)
    imagine.imagine(0, two)
    with pytest.raises(EidolonError, match=r"data/shards/1/manifest\.csv is missing: run `dvc"):
        generate.generate(two)
    with pytest.raises(EidolonError, match=r"data/plan/7\.csv is missing: run `dvc repro plan`"):
        imagine.imagine(7, two)
    (SHARDS / "0" / "manifest.csv").write_text("path\nx.png\n")
    with pytest.raises(EidolonError, match=r"data/shards/0/manifest\.csv is damaged"):
        generate.generate(two)
    assert (IMAGINED / "manifest.csv").read_text() == before


def test_a_plan_refuses_unknown_and_ambiguous_names(
    params: config.Generator, dataset: Callable[[Sequence[str]], None]
) -> None:
    strange = params.model_copy(update={"category_prompts": {"red plain sta": "a {}"}})
    with pytest.raises(EidolonError, match=r"generator\.category_prompts names 'red plain sta'"):
        plan.plan(strange)
    dataset(("red star", "red/star"))
    with pytest.raises(EidolonError, match="'red star' and 'red/star' have the same name"):
        plan.plan(params)
    dataset(("..", "red star"))
    assert set(run(params)["path"].str.split("/").str[0]) == {names.folder(".."), "red_star"}


def test_a_query_is_drawn_as_the_category_of_its_name_is(
    params: config.Generator, built_toy: Path
) -> None:
    from tests.searching import Searching

    own = params.model_copy(update={"category_prompts": {"red star": "a drawing of a {}"}})
    whole = config.load(built_toy / "params.yaml").model_copy(update={"generator": own})
    answer = Searching(built_toy / BUNDLE, whole)("red star")
    prompt = "a drawing of a red star"
    assert answer["seeds"] == [seed_of(prompt, k, own.seed) for k in range(2)]


@pytest.mark.usefixtures("dataset")
def test_shards_that_were_drawn_differently_are_not_mixed(
    params: config.Generator, tmp_path: Path
) -> None:
    """A CPU and an accelerator draw in different precisions, and DVC does not know that."""
    two = split(params, 2)
    run(two)
    before = (IMAGINED / "manifest.csv").read_text()
    store = Store(tmp_path / "another machine")
    folder = SHARDS / "1"
    frame = pd.read_csv(folder / "manifest.csv")
    for i, row in frame.iterrows():
        recipe = recipe_in((folder / row["path"]).read_bytes())
        assert recipe is not None
        other = recipe.replace("float32", "bfloat16")
        store.put(other, Image.open(folder / row["path"]))
        frame.loc[i, "address"] = address_of(other)
        shutil.copy(store.path(address_of(other)), folder / row["path"])
    frame.to_csv(folder / "manifest.csv", index=False)
    told = "`dvc repro imagine@0` used the dtype float32, and `dvc repro imagine@1` used bfloat16"
    with pytest.raises(EidolonError, match=told):
        generate.generate(two)
    shutil.copy(folder / frame["path"][0], folder / frame["path"][1])
    frame.to_csv(SHARDS / "1" / "manifest.csv", index=False)
    (SHARDS / "0" / pd.read_csv(SHARDS / "0" / "manifest.csv")["path"][0]).write_bytes(b"torn")
    with pytest.raises(EidolonError, match=r"is missing or damaged: run `dvc repro imagine@0`"):
        generate.generate(two)
    assert (IMAGINED / "manifest.csv").read_text() == before


def test_a_folder_is_replaced_by_several_processes_at_once(tmp_path: Path) -> None:
    """Each replaces the whole folder, and removes what killed ones left."""
    (tmp_path / f".{'0' * 32}.part").mkdir()
    code = (
        "import sys; from pathlib import Path; from components.files import folder_aside\n"
        "for i in range(50):\n"
        "    with folder_aside(Path('out')) as aside:\n"
        "        (aside / 'one').write_text(sys.argv[1])\n"
        "        (aside / 'two').write_text(sys.argv[1])\n"
    )
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", code, name],
            cwd=tmp_path,
            env=clean_environment() | {"PYTHONPATH": str(toy.ROOT)},
        )
        for name in "abc"
    ]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (tmp_path / "out" / "one").read_text() == (tmp_path / "out" / "two").read_text()


class Sharing:
    """Clones of one toy project with two shards, each a worker with a store of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.origin = Clone(folder / "origin", shards=2)

    def clone(self, name: str, *settings: str) -> Path:
        root = self.folder / name
        self._git(self.folder, "clone", "-q", str(self.origin.root), name)
        for setting in settings:
            self.command(root, "dvc", "config", "--local", *setting.split("="))
        return root

    def step(self, root: Path, call: str) -> str:
        """Do a step of the DAG in a clone; all that it logged."""
        return self.command(root, sys.executable, "-c", f"from ops import steps; steps.{call}")

    def command(self, root: Path, *words: str) -> str:
        done = subprocess.run(
            words,
            cwd=root,
            env=self.origin.env | {"PYTHONPATH": str(root), "PATH": _path()},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @staticmethod
    def _git(root: Path, *words: str) -> None:
        author = ["-c", "user.name=toy", "-c", "user.email=toy@localhost"]
        subprocess.run(["git", *author, *words], cwd=root, check=True, capture_output=True)


def _path() -> str:
    return f"{Path(sys.executable).parent}:/usr/bin:/bin"


@pytest.mark.slow
@pytest.mark.parametrize("shared", ["cache.dir={}/cache", "remote.storage.url={}/remote"])
def test_workers_in_separate_clones_share_the_drawing(tmp_path: Path, shared: str) -> None:
    """Two clones draw one shard each, at the same time. A third one has nothing and collects both
    without drawing. When a category is added there, it draws that one alone, although its store was
    empty."""
    sharing = Sharing(tmp_path)
    setting = shared.format(tmp_path)
    workers = [sharing.clone(f"worker-{i}", setting) for i in (0, 1)]
    with ThreadPoolExecutor() as pool:
        calls = ["imagine(0, 'a run', print)", "imagine(1, 'a run', print)"]
        logs = list(pool.map(sharing.step, workers, calls))
    for shard, (worker, log) in enumerate(zip(workers, logs, strict=True)):
        assert f"Running stage 'imagine@{shard}'" in log
        assert not (worker / SHARDS / str(1 - shard)).exists()
    drew = sum(drawn(log) for log in logs)
    assert drew == 2 * (len(toy.NAMES) + len(toy.DESCRIPTIONS))

    gatherer = sharing.clone("gatherer", setting)
    log = sharing.step(gatherer, "stage('generate', 'a run', print)")
    assert "Running stage 'generate'" in log and "Running stage 'imagine" not in log
    frame = pd.read_csv(gatherer / IMAGINED / "manifest.csv")
    assert len(frame) == drew
    assert not Store(gatherer / ".eidolon" / "imagined").root.exists()
    stores = [Store(worker / ".eidolon" / "imagined") for worker in workers]
    for row in frame.itertuples():
        (found,) = [data for store in stores if (data := store.get(row.address)) is not None]
        assert (gatherer / IMAGINED / row.path).read_bytes() == found

    encoder = sharing.clone("encoder", setting)  # which has nothing either
    log = sharing.step(encoder, "encode(0, 'a run', print)")
    assert re.search(r"^encode@0: \d+ of \d+ pictures encoded$", log, re.MULTILINE)
    assert drawn(log) == 0

    toy.save_pictures(gatherer / "pictures", (ADDED,))
    sharing.command(gatherer, "dvc", "repro", "dataset")
    log = sharing.step(gatherer, "stage('generate', 'a run', print)")
    touched = shards.shard_of(ADDED, 2)
    assert f"Running stage 'imagine@{touched}'" in log
    assert f"Running stage 'imagine@{1 - touched}'" not in log
    assert drawn(log) == 2
    assert len(pd.read_csv(gatherer / IMAGINED / "manifest.csv")) == drew + 2


@pytest.mark.slow
def test_shards_may_be_drawn_at_once_in_one_clone(tmp_path: Path) -> None:
    """An Airflow pool of several slots does that, while no file is there yet."""
    sharing = Sharing(tmp_path)
    with ThreadPoolExecutor() as pool:
        calls = ["imagine(0, 'a run', print)", "imagine(1, 'a run', print)"]
        logs = list(pool.map(partial(sharing.step, sharing.origin.root), calls))
    assert sum(drawn(log) for log in logs) == 2 * (len(toy.NAMES) + len(toy.DESCRIPTIONS))
    assert sum("Running stage 'plan'" in log for log in logs) == 1


@pytest.mark.slow
def test_the_number_of_shards_leaves_no_trace(tmp_path: Path) -> None:
    """One shard, then three, then one again: DVC's records and the files are the same as before."""
    clone = Clone(tmp_path)

    def states(count: int) -> tuple[list[str], Any]:
        values = yaml.safe_load((tmp_path / "params.yaml").read_text())
        values["generator"]["shards"] = list(range(count))
        (tmp_path / "params.yaml").write_text(yaml.safe_dump(values))
        for _ in range(2):  # the second run has nothing to do
            done = subprocess.run(
                ["dvc", "repro", "generate"],
                cwd=tmp_path,
                env=clone.env | {"PYTHONPATH": str(tmp_path), "PATH": _path()},
                capture_output=True,
                text=True,
            )
            assert done.returncode == 0, done.stdout + done.stderr
        ran = {line.split("'")[1] for line in done.stdout.splitlines() if "Running stage" in line}
        assert ran == {"source"}  # which always runs
        lock = yaml.safe_load((tmp_path / "dvc.lock").read_text())
        return sorted(path.name for path in (tmp_path / SHARDS).iterdir()), lock["stages"][
            "generate"
        ]

    first = states(1)
    assert first[0] == ["0"]
    assert states(3)[0] == ["0", "1", "2"]
    assert states(1) == first
