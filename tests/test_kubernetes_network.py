"""Who may talk to whom in a cluster, and whether those whom a manifest names are there."""

from __future__ import annotations

import re
from itertools import product
from typing import Any

from tests.manifests import FILES, FOLDER, SERVICES, WORKLOADS, labels, of_kind, selects

API_SERVER = {"tier": "airflow", "component": "api-server"}
POLICIES = of_kind("NetworkPolicy")


def peers(rule: dict[str, Any], direction: str, found: dict[str, str]) -> bool:
    """Whether a rule of a NetworkPolicy is about pods of this namespace with these labels."""
    if direction not in rule:
        return False  # anywhere, which is meant for databases and buckets
    return any(
        "namespaceSelector" not in peer and selects(peer["podSelector"], found)
        for peer in rule[direction]
    )


def allows(source: dict[str, str], target: dict[str, str], port: int) -> bool:
    """Whether the policies let pods with the labels ``source`` call ``target`` at ``port``."""

    def passes(own: dict[str, str], other: dict[str, str], kind: str, direction: str) -> bool:
        rules = [
            rule
            for policy in POLICIES.values()
            if selects(policy["spec"]["podSelector"], own)
            for rule in policy["spec"].get(kind, [])
        ]
        return any(
            peers(rule, direction, other) and port in [p["port"] for p in rule["ports"]]
            for rule in rules
        )

    return passes(source, target, "egress", "to") and passes(target, source, "ingress", "from")


def test_nobody_talks_but_who_must() -> None:
    denied = POLICIES["default-deny"]["spec"]
    assert denied == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    for name in WORKLOADS:
        own = [p["spec"] for p in POLICIES.values() if p["spec"]["podSelector"]]
        assert any(selects(spec["podSelector"], labels(name)) for spec in own), name
    pods = {name.removeprefix("eidolon-"): labels(name) for name in WORKLOADS}
    pods |= {"api-server": API_SERVER, "scheduler": {"tier": "airflow", "component": "scheduler"}}
    ports = {"api": 3000, "imaginer": 3000, "mlflow": 5000, "api-server": 8080, "worker": 3000}
    found = {
        (a, b) for a, b in product(pods, ports) if a != b and allows(pods[a], pods[b], ports[b])
    }
    from_airflow = {(a, b) for a in ("scheduler", "api-server") for b in ("api", "mlflow")}
    assert found == from_airflow | {
        ("api", "imaginer"),
        ("worker", "mlflow"),
        ("worker", "api-server"),
        ("scheduler", "api-server"),
    }


def test_addresses_name_services_and_ports_that_there_are() -> None:
    texts = [(FOLDER / "airflow-values.yaml").read_text(), *(f.read_text() for f in FILES)]
    found = {
        (host, int(port))
        for text in texts
        for host, port in re.findall(r"http://([a-z-]+):(\d+)", text)
    }
    ports = {(n, p["port"]) for n, s in SERVICES.items() for p in s["spec"].get("ports", [])}
    assert {f for f in found if f[0].startswith("eidolon-")} <= ports
    assert {f for f in found if not f[0].startswith("eidolon-")} == {("airflow-api-server", 8080)}
