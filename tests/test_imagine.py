"""What is imagined is drawn once: addresses, the store, and kill -9 at any moment."""

from __future__ import annotations

import multiprocessing
import os
import random
import re
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from components import config, manifest
from components.imagining.drawing import draw
from components.imagining.recipes import Wanted, address_of, recipe_of, wanted
from components.imagining.seeds import seed_of
from components.imagining.store import Store
from components.paths import DATASET, SHARDS
from tests import toy
from tests.kills import Changes

KILLS = 20
IDENTITY = {"model": "m@1", "steps": 2, "guidance": 3.0, "size": 32, "dtype": "float32"}

# children are forked from a process that has imported all they need: else each would take 10 s
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    [
        "components.imagining.generator",
        "components.imagining.shards",
        "diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion",
        "tests.test_imagine",
    ]
)


@pytest.fixture(scope="module")
def params(toy_models: Path) -> config.Generator:
    return config.Params.model_validate(toy.params(toy_models, toy_models)).generator


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path), dtype=int)


def drawn(text: str) -> int:
    """How many pictures the progress in ``text`` says were drawn."""
    return sum(int(done) for done in re.findall(r"^imagine\S*: (\d+)/\1 pictures", text, re.M))


def test_an_address_depends_on_each_part_of_the_recipe() -> None:
    base = recipe_of("a star", 7, IDENTITY)
    assert recipe_of("a star", 7, dict(reversed(IDENTITY.items()))) == base
    others = [recipe_of("a ring", 7, IDENTITY), recipe_of("a star", 8, IDENTITY)]
    others += [recipe_of("a star", 7, IDENTITY | {part: 99}) for part in IDENTITY]
    assert len({address_of(r) for r in (base, *others)}) == 1 + 2 + len(IDENTITY)


def test_seeds_are_those_of_earlier_versions_and_differ_by_attempt() -> None:
    assert seed_of("a photo of a red plain star", 3, 0) == 878176310
    first = Wanted("star", 3, "a star", seed_of("a star", 3, 0))
    tries = [first, first.again(0), first.again(0).again(0)]
    assert [w.attempt for w in tries] == [0, 1, 2]
    assert len({w.seed for w in tries}) == 3
    others = {seed_of("a star", k, base) for k in range(64) for base in range(4)}
    assert not {w.seed for w in tries[1:]} & others


def test_a_batch_mixes_categories(params: config.Generator) -> None:
    names = [w.category for w in wanted(params, toy.NAMES)]
    for i in range(0, len(names), len(toy.NAMES)):
        assert sorted(names[i : i + len(toy.NAMES)]) == sorted(toy.NAMES)


@pytest.mark.numeric
def test_pictures_do_not_depend_on_what_is_drawn_beside_them(
    params: config.Generator, tmp_path: Path
) -> None:
    pictures = wanted(params, toy.NAMES)
    one, other = Store(tmp_path / "one"), Store(tmp_path / "other")
    alone = params.model_copy(update={"batch": 1, "shards": (0, 1)})
    addresses = draw(pictures, params, one)
    assert draw(pictures[::-1], alone, other) == addresses
    for at in addresses.values():
        assert np.abs(pixels(one.path(at)) - pixels(other.path(at))).max() <= 1
    assert len(set(addresses.values())) == len(pictures)


def test_only_what_is_new_is_drawn(
    params: config.Generator, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    store, first = Store(tmp_path), toy.NAMES[:4]

    def count(settings: config.Generator, *names: str) -> int:
        draw(wanted(settings, names), settings, store)
        return drawn(capfd.readouterr().err)

    many = params.images_per_category
    assert count(params, *first) == 4 * many
    assert count(params, *first) == 0
    assert count(params, *first, "pink dotted arrow") == many
    assert count(params.model_copy(update={"images_per_category": many + 1}), *first) == 4
    own = params.model_copy(
        update={"category_prompts": {first[0]: "a drawing of a {}", first[1]: "a ring"}}
    )
    assert count(own, *first) == 2 * many
    assert count(params.model_copy(update={"steps": 1}), *first) == 4 * many
    assert count(params.model_copy(update={"batch": 3, "category_prompts": {}}), *first[::-1]) == 0
    again = [w.again(params.seed) for w in wanted(params, first)]
    draw(again[:3], params, store)
    assert drawn(capfd.readouterr().err) == 3
    draw(again[:4], params, store)
    assert drawn(capfd.readouterr().err) == 1


def test_categories_with_one_prompt_share_their_pictures(
    params: config.Generator, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    same = params.model_copy(update={"category_prompts": {"a": "a red ring", "b": "a red ring"}})
    addresses = draw(wanted(same, ["a", "b"]), same, Store(tmp_path))
    assert len(addresses) == 2 * len(set(addresses.values()))
    assert drawn(capfd.readouterr().err) == params.images_per_category


def _truncate(path: Path, _: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def _empty(path: Path, _: Path) -> None:
    path.write_bytes(b"")


def _flip(path: Path, _: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-30] ^= 1
    path.write_bytes(data)


def _swap(path: Path, other: Path) -> None:
    path.write_bytes(other.read_bytes())


def _replace(path: Path, _: Path) -> None:
    Image.new("RGB", (32, 32), "red").save(path)


@pytest.mark.parametrize("damage", [_truncate, _empty, _flip, _swap, _replace])
def test_a_damaged_picture_is_drawn_anew(
    params: config.Generator,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    damage: Callable[[Path, Path], None],
) -> None:
    store, pictures = Store(tmp_path), wanted(params, toy.NAMES[:2])
    first, second, *_ = draw(pictures, params, store).values()
    before = pixels(store.path(first))
    damage(store.path(first), store.path(second))
    assert store.get(first) is None
    capfd.readouterr()
    draw(pictures, params, store)
    assert drawn(capfd.readouterr().err) == 1
    assert np.abs(pixels(store.path(first)) - before).max() <= 1


def test_an_empty_store_adopts_the_pictures_of_an_earlier_run(
    params: config.Generator, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pictures = wanted(params, toy.NAMES[:3])
    old, new = Store(tmp_path / "old"), Store(tmp_path / "new")
    addresses = draw(pictures, params, old)
    earlier = {at: old.path(at) for at in addresses.values()}
    torn, gone, *whole = earlier
    earlier[torn].write_bytes(earlier[torn].read_bytes()[:50])
    earlier[gone].unlink()
    capfd.readouterr()
    draw(pictures, params, new, earlier)
    assert drawn(capfd.readouterr().err) == 2
    assert all(new.get(at) == old.get(at) for at in whole)


def test_what_killed_writers_left_aside_goes_but_not_what_is_being_written(tmp_path: Path) -> None:
    left = tmp_path / f".{'0' * 32}.part"
    left.mkdir()
    (left / ".lock").touch()
    (left / "0123").write_bytes(b"half a pict")
    with Store(tmp_path).writing():
        assert not left.exists()
        (being_written,) = tmp_path.iterdir()
        with Store(tmp_path).writing():
            assert being_written.exists()
    assert not list(tmp_path.iterdir())


@dataclass(frozen=True)
class Project:
    """A folder in which `eidolon imagine 0` runs."""

    root: Path

    @property
    def store(self) -> Store:
        return Store(self.root / ".eidolon" / "imagined")

    def start(self, last: int = 0) -> BaseProcess:
        """Start it; just before it changes the file number ``last`` it is killed."""
        process = CONTEXT.Process(target=_imagine, args=(self.root, last))
        process.start()
        return process

    def run(self) -> int:
        """Run to the end; how many pictures were drawn."""
        (self.root / "log").unlink(missing_ok=True)
        process = self.start()
        process.join()
        assert process.exitcode == 0, self.log()
        return drawn(self.log())

    def log(self) -> str:
        """What all its processes said."""
        return (self.root / "log").read_text()

    def stored(self) -> dict[str, tuple[int, int]]:
        """Address, inode and time of each picture in the store."""
        return {
            path.stem: (path.stat().st_ino, path.stat().st_mtime_ns)
            for path in self.store.root.glob("*/*.png")
            if not path.name.startswith(".")
        }

    def files(self) -> list[str]:
        """All that lies in data/ and in the store."""
        places = (self.root / "data", self.store.root)
        return sorted(
            str(path.relative_to(self.root)) for place in places for path in place.rglob("*")
        )

    def manifest(self) -> pd.DataFrame:
        return pd.read_csv(self.root / SHARDS / "0" / "manifest.csv")


def _imagine(root: Path, last: int = 0) -> None:
    """In a child process: the command `eidolon imagine 0`; see :meth:`Project.start`."""
    from components.cli.__main__ import app

    os.chdir(root)
    os.environ.pop("EIDOLON_STORE", None)
    log = os.open("log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    changes = Changes(root, last)
    app(["imagine", "0"], standalone_mode=False)
    (root / "changes").write_text(str(changes.seen))


@pytest.fixture
def project(toy_models: Path, tmp_path: Path) -> Callable[[str], Project]:
    from components.imagining.plan import plan

    values = toy.params(toy_models, toy_models)
    values["generator"] |= {"images_per_category": 3, "batch": 2, "shards": [0]}

    def make(name: str) -> Project:
        root = tmp_path / name
        (root / DATASET).mkdir(parents=True)
        (root / "params.yaml").write_text(yaml.safe_dump(values))
        rows = [
            dict.fromkeys(manifest.DATASET_COLUMNS, "-") | {"category": name} for name in toy.NAMES
        ]
        pd.DataFrame(rows).to_csv(root / DATASET / "manifest.csv", index=False)
        chosen = config.load(root / "params.yaml").generator
        plan(chosen, root / DATASET, root / "data" / "plan")
        return Project(root)

    return make


def test_killed_at_any_moment_a_run_resumes_where_it_was(
    project: Callable[[str], Project],
) -> None:
    """kill -9 at random moments, each followed by a resume that must equal the whole run.

    A moment is a number of files changed, from none to all.
    """
    whole = project("whole")
    total = whole.run()
    expected = whole.manifest()
    assert total == len(expected) == 3 * len(toy.NAMES)
    changes = int((whole.root / "changes").read_text())
    assert changes > 2 * total  # each picture is written aside and renamed

    moments, partly = random.Random(0), 0
    for i in range(KILLS):
        killed = project(f"killed-{i}")
        process = killed.start(moments.randint(1, changes))
        process.join()
        assert process.exitcode == -signal.SIGKILL
        before = killed.stored()
        assert all(killed.store.get(at) for at in before), "torn"
        again = killed.run()
        assert again + len(before) == total, "drawn twice, or lost"
        assert before.items() <= killed.stored().items(), "stored twice"
        assert killed.files() == whole.files()
        pd.testing.assert_frame_equal(
            killed.manifest().drop(columns="sha256"), expected.drop(columns="sha256")
        )
        for path in expected["path"]:
            one, other = (p.root / SHARDS / "0" / path for p in (killed, whole))
            assert np.abs(pixels(one) - pixels(other)).max() <= 1
        partly += 0 < len(before) < total
    assert partly >= KILLS // 2, "too few of the moments lay within the drawing"


def test_an_orphan_of_a_killed_parent_is_waited_for(project: Callable[[str], Project]) -> None:
    """kill -9 of the parent alone, as of `dvc repro`: the command itself lives on, and a resume
    must not draw what it draws."""
    whole = project("whole")
    total = whole.run()
    for so_many in (0, 1, 7, 16, total):
        killed = project(f"killed-{so_many}")
        parent = CONTEXT.Process(target=_parent, args=(killed.root,))
        parent.start()
        until(lambda killed=killed, least=so_many: len(killed.stored()) >= least)
        parent.kill()
        parent.join()
        again = killed.start()
        again.join()
        assert again.exitcode == 0, killed.log()
        assert drawn(killed.log()) == total, "drawn twice, or lost"
        until(lambda killed=killed: killed.files() == whole.files())


def test_two_processes_share_one_store(project: Callable[[str], Project]) -> None:
    """Two clones that share a store and draw the same at the same time: nothing is torn, nothing
    drawn twice."""
    one = project("one")
    other = project("other")
    (other.root / ".eidolon").mkdir()
    one.store.root.mkdir(parents=True)
    (other.root / ".eidolon" / "imagined").symlink_to(one.store.root)
    processes = [one.start(), other.start()]
    for process in processes:
        process.join()
        assert process.exitcode == 0
    addresses = [*one.manifest()["address"]]
    assert addresses == [*other.manifest()["address"]]
    assert all(one.store.get(at) for at in addresses)
    assert drawn(one.log()) + drawn(other.log()) == len(addresses)
    assert not list(one.store.root.rglob("*.part"))


def test_only_those_wait_who_claim_the_same(tmp_path: Path) -> None:
    one, two, three = (address_of(text) for text in "abc")
    with Store(tmp_path).writing(), Store(tmp_path).claiming([one, two]):
        asks = [CONTEXT.Process(target=_claim, args=(tmp_path, at)) for at in (three, two)]
        for process in asks:
            process.start()
        asks[0].join()
        assert asks[0].exitcode == 0
        asks[1].join(0.2)
        assert asks[1].is_alive()
    asks[1].join()
    assert asks[1].exitcode == 0


def _claim(root: Path, address: str) -> None:
    with Store(root).claiming([address]):
        pass


def _parent(root: Path) -> None:
    """In a child process: the parent of the command `eidolon imagine 0`."""
    if os.fork() == 0:
        try:
            _imagine(root)
        finally:
            os._exit(0)
    os.wait()


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it takes too long"
        time.sleep(0.001)
