"""Models of a hub: pinned by a commit, loaded from its cache, and one sentence where that fails."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file

from components.errors import EidolonError
from components.imagining.generator import Generator
from components.models import fingerprints
from components.models.encoders import ClipEncoder, VisionEncoder
from tests import toy
from tests.checkpoints import COMMIT, TOLERANCE, copied, out_of_reach, parameters, to_hub
from tests.clones import Clone
from tests.neighbours import answering

_BY_NAME = """
import json, sys
from PIL import Image
from components import config
from components.models.encoders import ClipEncoder, VisionEncoder
from components.errors import EidolonError
from components.imagining.generator import Generator
commit = sys.argv[1]
picture = Image.open(sys.argv[2])
drawn = Generator(config.Generator.model_validate(json.loads(sys.argv[3]))).draw(["a star"], [5])
drawn[0].save(sys.argv[4])
clip = ClipEncoder("org/clip", commit)
found = {
    "image": clip.images([picture]).tolist(),
    "text": clip.texts(["a star"]).tolist(),
    "vision": VisionEncoder("org/dino", commit).images([picture]).tolist(),
}
for name in ("org/pickled", "org/partial"):
    try:
        VisionEncoder(name, commit)
    except EidolonError as error:
        found[name] = str(error)
print(json.dumps(found))
"""


@pytest.mark.numeric
def test_a_name_of_a_hub_with_a_commit_loads_what_a_folder_loads(
    family_models: Path, pipelines: Path, five_pictures: list[Image.Image], tmp_path: Path
) -> None:
    home, shown, drawn = tmp_path / "home", tmp_path / "picture.png", tmp_path / "drawn.png"
    for name, source in (
        ("org/clip", family_models / "clip"),
        ("org/dino", family_models / "dinov2"),
        ("org/xl", pipelines / "xl"),
    ):
        to_hub(home, name, source)
    five_pictures[0].save(shown)
    pickled = copied(family_models / "dinov2", tmp_path / "pickled")
    torch.save(load_file(pickled / "model.safetensors"), pickled / "pytorch_model.bin")
    (pickled / "model.safetensors").unlink()
    to_hub(home, "org/pickled", pickled)
    (pickled / "pytorch_model.bin").unlink()
    to_hub(home, "org/partial", pickled)
    asked = parameters(Path("org/xl"), revision=COMMIT).model_dump_json()
    done = subprocess.run(
        [sys.executable, "-c", _BY_NAME, COMMIT, str(shown), asked, str(drawn)],
        cwd=toy.ROOT,
        env=os.environ | {"HF_HOME": str(home), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    clip = ClipEncoder(str(family_models / "clip"))
    vision = VisionEncoder(str(family_models / "dinov2"))
    for key, wanted in (
        ("image", clip.images(five_pictures[:1])),
        ("text", clip.texts(["a star"])),
        ("vision", vision.images(five_pictures[:1])),
    ):
        np.testing.assert_allclose(found[key], wanted, atol=TOLERANCE)
    (here,) = Generator(parameters(pipelines / "xl")).draw(["a star"], [5])
    there = np.asarray(Image.open(drawn), dtype=int)
    assert np.abs(there - np.asarray(here, dtype=int)).max() <= 1  # where a level is rounded
    assert re.fullmatch(
        r"cannot load \S+: no safetensors weights are there.*writes them anew",
        found["org/pickled"],
    )
    assert out_of_reach("org/partial", "HF_HUB_OFFLINE is set").fullmatch(found["org/partial"])


@pytest.mark.parametrize("kind", [ClipEncoder, VisionEncoder, Generator])
def test_a_model_out_of_reach_is_one_sentence(kind: Any) -> None:
    given = ("org/name", COMMIT)
    if kind is Generator:
        given = (parameters(Path("org/name"), revision=COMMIT),)
    with pytest.raises(EidolonError, match=out_of_reach("org/name", "HF_HUB_OFFLINE is set")):
        kind(*given)


_UNREACHED = """
import sys
from components.errors import TransientError
from components.models.encoders import ClipEncoder
try:
    ClipEncoder("org/name", sys.argv[1])
except TransientError as error:
    print(error)
"""


def test_a_hub_that_does_not_answer_is_one_sentence(tmp_path: Path) -> None:
    nowhere = {"HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "0", "HF_ENDPOINT": "http://127.0.0.1:9"}
    done = subprocess.run(
        [sys.executable, "-c", _UNREACHED, COMMIT],
        cwd=toy.ROOT,
        env=os.environ | nowhere,
        capture_output=True,
        text=True,
        check=True,
    )
    assert out_of_reach("org/name", "the hub is out of reach").fullmatch(done.stdout.strip())


def test_a_hub_that_is_out_of_order_is_asked_again(tmp_path: Path) -> None:
    with answering(501) as url:  # huggingface_hub itself waits minutes for 503 to pass
        here = {"HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "0", "HF_ENDPOINT": url}
        done = subprocess.run(
            [sys.executable, "-c", _UNREACHED, COMMIT],
            cwd=toy.ROOT,
            env=os.environ | here,
            capture_output=True,
            text=True,
            check=True,
        )
    assert "the hub is out of order (" in done.stdout


def test_a_model_of_a_hub_must_be_pinned(family_models: Path) -> None:
    with pytest.raises(
        EidolonError, match=r"org/name is no folder here: .*git ls-remote .*org/name"
    ):
        fingerprints.fingerprint("org/name", None)
    with pytest.raises(EidolonError, match=r"is a folder here, and a revision is for models of a"):
        VisionEncoder(str(family_models / "dinov2"), COMMIT)


@pytest.mark.slow
def test_dvc_follows_local_models_and_knows_those_of_a_hub_by_their_commit(tmp_path: Path) -> None:
    (tmp_path / "clone").mkdir()
    clone, home = Clone(tmp_path / "clone"), tmp_path / "home"
    to_hub(home, "org/generator", clone.root / "models" / "generator")
    file = clone.root / "params.yaml"
    local = yaml.safe_load(file.read_text())
    hub = local | {
        "generator": local["generator"] | {"model": "org/generator", "revision": COMMIT, "steps": 1}
    }
    environment = clone.env | {
        "HF_HOME": str(home),
        "HF_HUB_OFFLINE": "1",
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
    }

    def dvc(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "dvc", *words],
            cwd=clone.root,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    file.write_text(yaml.safe_dump(hub))
    assert "Running stage 'imagine@0'" in dvc("repro", "imagine@0")
    rows = pd.read_csv(clone.root / "data" / "shards" / "0" / "manifest.csv")
    assert set(rows["model"]) == {f"org/generator@{COMMIT}"}
    assert "Stage 'imagine@0' didn't change" in dvc("repro", "imagine@0")

    hub["generator"]["revision"] = "f" * 40
    file.write_text(yaml.safe_dump(hub))
    assert "generator.revision" in dvc("status", "imagine@0")

    file.write_text(yaml.safe_dump(local))
    assert "Running stage 'imagine@0'" in dvc("repro", "imagine@0")
    assert "up to date" in dvc("status", "imagine@0")
    scheduler = clone.root / "models" / "generator" / "scheduler" / "scheduler_config.json"
    scheduler.write_text(scheduler.read_text().replace("0.012", "0.013"))
    assert "modified:           models" in dvc("status", "imagine@0")
