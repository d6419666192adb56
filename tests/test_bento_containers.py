"""The image that `bentoml containerize` would make of a Bento: its Dockerfile and its packages."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from importlib.metadata import distribution
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from packaging.requirements import Requirement

if TYPE_CHECKING:
    from tests.serving import Built

pytest_plugins = ["tests.serving"]
pytestmark = pytest.mark.slow

PYTHON = "{}.{}".format(*sys.version_info)
NOT_SERVED = {
    *("apache-airflow", "apache-airflow-core", "dvc", "great-expectations", "mlflow"),
    *("mlflow-skinny", "pytest", "ruff", "mypy", "schemathesis", "playwright", "supervisor"),
}


@pytest.fixture(scope="module", params=[False, True], ids=["cpu", "cuda"])
def bento(
    request: pytest.FixtureRequest, built: Built, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The folder of a Bento, without and with `serve.accelerators`."""
    if not request.param:
        return built.source(built.tag).parent
    project = tmp_path_factory.mktemp("cuda")
    for part in built.project.iterdir():
        (project / part.name).symlink_to(part)
    values = yaml.safe_load((built.project / "params.yaml").read_text())
    values["serve"]["accelerators"] = True
    (project / "params.yaml").unlink()
    (project / "params.yaml").write_text(yaml.safe_dump(values))
    other = replace(built, project=project)
    answer = other.answer("build", "--bundle", "artifacts/bundle", "--version", "3")
    assert answer["built"] is True and answer["tag"] != built.tag
    return built.source(answer["tag"]).parent


def dockerfile(bento: Path) -> list[str]:
    return (bento / "env" / "docker" / "Dockerfile").read_text().splitlines()


def test_the_dockerfile_has_no_error(bento: Path) -> None:
    path = bento / "env" / "docker" / "Dockerfile"
    linter = Path(sys.executable).with_name("hadolint")
    done = subprocess.run(
        [linter, "--failure-threshold", "error", path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_the_image_is_slim_and_its_user_is_not_root(bento: Path) -> None:
    lines = dockerfile(bento)
    assert [line for line in lines if line.startswith("FROM ")] == [
        f"FROM python:{PYTHON}-slim AS base-container"
    ]
    assert [line for line in lines if line.startswith("USER ")] == ["USER bentoml"]
    assert lines.index("USER bentoml") > max(i for i, line in enumerate(lines) if "RUN" in line)
    assert "ARG BENTO_USER_UID=1034" in lines  # what ops/kubernetes runs it as
    assert not [line for line in lines if "apt-get" in line]
    assert any(f"uv venv --python {PYTHON} " in line for line in lines)


def test_pytorch_brings_cuda_for_accelerators_only(bento: Path) -> None:
    cpu = "ARG UV_TORCH_BACKEND=cpu" in dockerfile(bento)
    settings = (bento / "src" / "bento" / "release.json").read_text()
    assert cpu == ('"accelerators": false' in settings)


def test_the_image_has_what_is_served_and_nothing_else(bento: Path) -> None:
    listed = (bento / "env" / "python" / "requirements.txt").read_text().split()
    assert all("==" in line for line in listed)
    found, left = set(), [line.partition("==")[0] for line in listed]
    while left:
        name = left.pop().lower().replace("_", "-")
        if name in found:
            continue
        found.add(name)
        needed = map(Requirement, distribution(name).requires or ())
        left += [one.name for one in needed if one.marker is None or one.marker.evaluate()]
    assert not found & NOT_SERVED
    assert {"torch", "starlette", "numpy"} <= found
    inside = {path.name for path in (bento / "src").iterdir()} - {"bentofile.yaml"}
    assert inside == {"bento", "components"}


def test_the_models_and_the_bundle_are_inside(bento: Path) -> None:
    """`bentoml containerize` copies what bento.yaml lists beside the code."""
    listed = [m["tag"] for m in yaml.safe_load((bento / "bento.yaml").read_text())["models"]]
    parts = {tag.partition(":")[0] for tag in listed}
    assert parts == {f"eidolon-{part}" for part in ("bundle", "generator", "clip", "vision")}
    assert "COPY --chown=bentoml:bentoml . ./" in dockerfile(bento)
