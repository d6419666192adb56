"""`eidolon prune` frees what no kept version needs, and what is kept goes on working: with MLflow,
DVC and BentoML's store as they are."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from components.lifecycle.pruned import LINEAGE
from components.locks import held

if TYPE_CHECKING:
    from tests.sites import Site

pytest_plugins = ["tests.sites"]
pytestmark = pytest.mark.slow

FEATURES = """
import numpy as np
from components import config, manifest
from components.features.store import FeatureStore, keys
from components.paths import DATASET
from components.serving.made_with import made_with
rows = manifest.read(DATASET, ("path", "sha256"), "")
here = keys([rows["sha256"][0], "0" * 63 + "1"])
for encoder in (made_with(config.load())["vision"], "another"):
    shelf = FeatureStore().shelf("test", {"of": "pictures", "encoder": encoder})
    shelf.add(here, np.ones((2, 4), np.float32))
    shelf.flush()
"""


def check_works(site: Site) -> None:
    """The kept versions are whole: going back builds, checks, and serves; restoring needs no
    remote."""
    shutil.rmtree(site.root / ".eidolon" / "remote", ignore_errors=True)
    assert "bundle/gallery.safetensors" in site.artifacts("2")
    back = site.eidolon("rollback")
    assert back.returncode == 0, back.stdout + back.stderr
    assert "version 2 is deployed" in back.stdout
    site.must(
        sys.executable,
        "-c",
        "from ops import release as r; import sys\nr.check(r.deployed()['bento'], 2, print)",
    )
    for version in ("2", "3"):
        done = site.eidolon("data", "restore", version)
        assert done.returncode == 0, done.stderr


def test_prune_says_first_and_then_frees(copy: Site) -> None:
    before = copy.files()
    said = copy.does("prune", "--keep", "1")
    assert "kept: versions 2, 3" in said and "eidolon prune --yes frees" in said
    for kind in ("versions in MLflow: bundles and pages", "Bentos, their bundles and models"):
        assert kind in said
    assert copy.files() >= before and copy.bentos() == {"v1", "v2", "v3"}
    assert "nothing else to free" in copy.does("prune", "--keep", "3")

    copy.does("prune", "--keep", "1", "--yes")
    assert copy.files() < before and copy.bentos() == {"v2", "v3"}
    left = copy.artifacts("1")
    assert LINEAGE in left and {"dvc.lock", "lineage/dataset.csv"} <= left
    assert not {path for path in left if path.startswith(("bundle/g", "validation", "inspection"))}
    assert "nothing else to free" in copy.does("prune", "--keep", "1", "--yes")

    assert '"version": 1' in copy.does("lineage", "1", "--json")
    for command in (("promote", "1", "--reason", "x"), ("rollback", "--to", "1")):
        refused = copy.eidolon(*command)
        assert refused.returncode == 2
        assert refused.stderr.startswith("error: version 1 was pruned on 20")
        assert "eidolon data restore 1" in refused.stderr
    check_works(copy)


def test_a_pruned_version_that_is_trained_again_has_its_bundle_back(copy: Site) -> None:
    whole = copy.artifacts("3")
    copy.python(
        "from components.lifecycle import registry as r\nfrom components.pruning import versions\n"
        "versions.of_others(versions.Sorted([], [r.registered('3')])).remove()"
    )
    assert copy.artifacts("3") < whole
    copy.python(
        "from ops import rollout\nfound = rollout.register('a run', print)\n"
        "assert (found['version'], found['created']) == ('3', False)\n"
        "rollout.build('3', print)"
    )
    assert copy.artifacts("3") == whole


def test_a_prune_that_is_killed_leaves_all_usable_and_the_next_one_finishes(copy: Site) -> None:
    arguments = [sys.executable, "-m", "ops", "prune", "--keep", "1", "--yes"]
    began = time.monotonic()
    copy.must(*arguments[:-1])
    lasts = time.monotonic() - began
    variables = copy.must("env", "-0").split("\0")
    env = dict(line.split("=", 1) for line in variables if "=" in line)
    for part in (0.7, 1.0):
        process = subprocess.Popen(
            arguments, cwd=copy.root, env=env, start_new_session=True, stdout=subprocess.DEVNULL
        )
        time.sleep(part * lasts)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert copy.eidolon("history").returncode == 0
        assert copy.bentos() >= {"v2", "v3"}
    copy.must(*arguments)
    assert "nothing else to free" in copy.must(*arguments)
    assert copy.bentos() == {"v2", "v3"}
    check_works(copy)


def test_what_stands_in_the_way_is_one_sentence(site: Site, tmp_path: Path) -> None:
    before = site.files()
    with held(site.root / ".eidolon" / "run.lock"):
        busy = site.eidolon("prune", "--yes")
        assert busy.returncode == 2 and "a `make run` is in progress here" in busy.stderr
        assert site.eidolon("prune").returncode == 0
    for address, status, said in (
        ("http://127.0.0.1:9", 75, "cannot be reached"),
        (f"sqlite:///{tmp_path}/other.db", 2, "does not have version 3, which is deployed"),
    ):
        done = site.shell("env", f"MLFLOW_TRACKING_URI={address}", "eidolon", "prune", "--yes")
        assert (done.returncode, said in done.stderr) == (status, True), done.stderr
        assert "Traceback" not in done.stderr
    assert site.files() >= before


def test_pictures_that_were_asked_for_lately_stay(copy: Site) -> None:
    store = copy.root / ".eidolon" / "imagined" / "ab"
    store.mkdir(parents=True, exist_ok=True)
    for name, days in (("ab1", 40), ("ab2", 3)):
        (store / f"{name}.png").write_bytes(b"a picture")
        then = time.time() - days * 24 * 3600
        os.utime(store / f"{name}.png", (then, then))
    assert "imagined pictures" in copy.does("prune", "--yes")
    assert not (store / "ab1.png").exists() and (store / "ab2.png").exists()
    shared = copy.shell("env", f"EIDOLON_STORE={store.parent}", "eidolon", "prune", "--days", "1")
    assert "EIDOLON_STORE is set" in shared.stdout
    assert not [line for line in shared.stdout.splitlines() if line.startswith("  imagined")]


def test_features_of_other_encoders_and_pictures_go(copy: Site) -> None:
    copy.python(FEATURES)
    assert "features of pictures and texts" in copy.does("prune")
    copy.does("prune", "--yes")
    left = copy.python(
        "from components.features.store import FeatureStore, keys\n"
        "from components import manifest\nfrom components.paths import DATASET\n"
        "rows = manifest.read(DATASET, ('path', 'sha256'), '')\n"
        "here = keys([rows['sha256'][0], '0' * 63 + '1'])\n"
        "print([(a['encoder'] == 'another', s.has(here).tolist())"
        " for a, s in FeatureStore().shelves()])"
    )
    assert left.strip() == "[(False, [True, False])]"
