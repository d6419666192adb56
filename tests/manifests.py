"""The manifests of ops/kubernetes, as the tests read them."""

from __future__ import annotations

from typing import Any

import yaml

from tests.toy import ROOT

FOLDER = ROOT / "ops" / "kubernetes"
FILES = sorted((FOLDER / "manifests").glob("*.yaml"))
DOCUMENTS: list[dict[str, Any]] = [d for f in FILES for d in yaml.safe_load_all(f.read_text())]


def of_kind(*kinds: str) -> dict[str, dict[str, Any]]:
    """The objects of these kinds, by their names."""
    return {d["metadata"]["name"]: d for d in DOCUMENTS if d["kind"] in kinds}


WORKLOADS = of_kind("Deployment", "StatefulSet")
SERVICES = of_kind("Service")


def pod(name: str) -> dict[str, Any]:
    spec: dict[str, Any] = WORKLOADS[name]["spec"]["template"]["spec"]
    return spec


def labels(name: str) -> dict[str, str]:
    found: dict[str, str] = WORKLOADS[name]["spec"]["template"]["metadata"]["labels"]
    return found


def containers(name: str) -> list[dict[str, Any]]:
    return [*pod(name).get("initContainers", []), *pod(name)["containers"]]


def selects(selector: dict[str, Any], found: dict[str, str]) -> bool:
    assert set(selector) <= {"matchLabels"}
    return selector.get("matchLabels", {}).items() <= found.items()
