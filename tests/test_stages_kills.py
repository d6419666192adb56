"""kill -9 of each stage while it writes: another attempt leaves what an undisturbed one leaves."""

from __future__ import annotations

import multiprocessing
import os
import signal
from pathlib import Path

import pytest

from components.files import sha256
from tests.kills import Changes

pytestmark = pytest.mark.slow

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["components.cli.stages", "tests.toy", "tests.test_stages_kills"])


def run(root: Path, stage: str, last: int, seen: Path) -> None:
    """In a child process: run ``stage`` in ``root``, killed just before change number ``last``."""
    from components import config
    from components.confidence.calibrate import calibrate
    from components.datasets.dataset import dataset
    from components.features import embed
    from components.imagining import generate, plan
    from components.learning import evaluate, train
    from components.serving import bundle
    from components.validation import validate

    os.chdir(root)
    chosen = config.load()
    work = {
        "dataset": lambda: dataset(chosen.dataset),
        "plan": lambda: plan.plan(chosen.generator),
        "generate": lambda: generate.generate(chosen.generator),
        "validate": lambda: validate.validate(chosen),
        "embed": lambda: embed.embed(chosen.encoders),
        "train": lambda: train.train(chosen.train),
        "evaluate": lambda: evaluate.evaluate(chosen),
        "calibrate": lambda: calibrate(chosen),
        "bundle": lambda: bundle.bundle(chosen),
    }
    changes = Changes(root, last)
    work[stage]()
    seen.write_text(str(changes.seen))


def ended(*arguments: object) -> int | None:
    process = CONTEXT.Process(target=run, args=arguments)
    process.start()
    process.join()
    return process.exitcode


def outputs(root: Path) -> dict[str, str]:
    """The hash of each file in data/ and artifacts/; what is left of a kill would be one more."""
    files = (file for part in ("data", "artifacts") for file in (root / part).rglob("*"))
    return {file.relative_to(root).as_posix(): sha256(file) for file in files if file.is_file()}


@pytest.mark.parametrize(
    "stage",
    [
        "dataset",
        "plan",
        "generate",
        "validate",
        "embed",
        "train",
        "evaluate",
        "calibrate",
        "bundle",
    ],
)
def test_a_killed_stage_is_done_again(toy_copy: Path, tmp_path: Path, stage: str) -> None:
    seen = tmp_path / "seen"
    assert ended(toy_copy, stage, 0, seen) == 0
    changes, expected = int(seen.read_text()), outputs(toy_copy)
    assert changes > 1
    for moment in (changes // 2, changes):
        assert ended(toy_copy, stage, moment, seen) == -signal.SIGKILL
        assert ended(toy_copy, stage, 0, seen) == 0
        assert outputs(toy_copy) == expected
