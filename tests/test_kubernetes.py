"""The manifests of ops/kubernetes: what a schema cannot see."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml

from bento.front import PROBES
from bento.metrics import METRICS
from components import config
from tests import documents
from tests.toy import ROOT

FOLDER = ROOT / "ops" / "kubernetes"
FILES = sorted((FOLDER / "manifests").glob("*.yaml"))
KUSTOMIZATION = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
VALUES = yaml.safe_load((FOLDER / "airflow-values.yaml").read_text())
DOCUMENTS: list[dict[str, Any]] = [d for f in FILES for d in yaml.safe_load_all(f.read_text())]
ACCELERATOR = "nvidia.com/gpu"
API_SERVER = {"tier": "airflow", "component": "api-server"}


def of_kind(*kinds: str) -> dict[str, dict[str, Any]]:
    """The objects of these kinds, by their names."""
    return {d["metadata"]["name"]: d for d in DOCUMENTS if d["kind"] in kinds}


WORKLOADS = of_kind("Deployment", "StatefulSet")
SERVICES = of_kind("Service")
POLICIES = of_kind("NetworkPolicy")
EACH = pytest.mark.parametrize("name", WORKLOADS)


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


def test_every_manifest_is_applied() -> None:
    assert sorted(KUSTOMIZATION["resources"]) == [f"manifests/{f.name}" for f in FILES]
    assert {d.get("metadata", {}).get("namespace") for d in DOCUMENTS} == {None}
    assert list(of_kind("Namespace")) == [KUSTOMIZATION["namespace"]]


def test_a_namespace_enforces_the_restricted_standard() -> None:
    (namespace,) = of_kind("Namespace").values()
    enforced = namespace["metadata"]["labels"]
    assert enforced["pod-security.kubernetes.io/enforce"] == "restricted"


@EACH
def test_selectors_find_their_pods(name: str) -> None:
    assert selects(WORKLOADS[name]["spec"]["selector"], labels(name))
    service = SERVICES[name]["spec"]
    assert selects({"matchLabels": service["selector"]}, labels(name))
    ports = {p["name"] for c in pod(name)["containers"] for p in c.get("ports", [])}
    assert {p["targetPort"] for p in service.get("ports", [])} <= ports
    budgets = of_kind("PodDisruptionBudget")
    if name != "eidolon-mlflow":  # one pod, which a drained node may evict
        assert selects(budgets[name]["spec"]["selector"], labels(name))


def test_what_is_scaled_exists_by_a_metric_that_there_is() -> None:
    scalers = of_kind("HorizontalPodAutoscaler")
    assert set(scalers) == {"eidolon-api", "eidolon-imaginer"}
    for name, scaler in scalers.items():
        target = scaler["spec"]["scaleTargetRef"]
        assert (target["kind"], target["name"]) == ("Deployment", name)
        assert WORKLOADS[name]["spec"]["replicas"] == scaler["spec"]["minReplicas"]
    (metric,) = scalers["eidolon-imaginer"]["spec"]["metrics"]
    queue = metric["external"]["metric"]["name"]
    assert queue in {m.name for m in METRICS if m.kind == "gauge"}
    adapter = yaml.safe_load((FOLDER / "prometheus-adapter-values.yaml").read_text())
    (rule,) = adapter["rules"]["external"]
    assert rule["name"]["as"] == queue and rule["seriesQuery"].startswith(f"{queue}{{")


@pytest.mark.parametrize("name", ["eidolon-api", "eidolon-imaginer"])
def test_an_update_loses_no_request(name: str) -> None:
    spec, serve = WORKLOADS[name]["spec"], config.load(ROOT / "params.yaml").serve
    assert spec["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    (container,) = pod(name)["containers"]
    wait = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert wait == 5
    assert pod(name)["terminationGracePeriodSeconds"] > serve.timeout_seconds + wait


def test_probes_ask_for_routes_that_need_no_key() -> None:
    asked = {
        container[probe]["httpGet"]["path"]
        for name in ("eidolon-api", "eidolon-imaginer")
        for container in pod(name)["containers"]
        for probe in ("startupProbe", "readinessProbe", "livenessProbe")
    }
    assert asked == {"/readyz", "/livez"} and asked <= set(PROBES)


def test_only_who_draws_has_an_accelerator() -> None:
    for name in WORKLOADS:
        (container,) = pod(name)["containers"]
        count = container["resources"]["limits"].get(ACCELERATOR)
        drawing = name in ("eidolon-imaginer", "eidolon-worker")
        assert count == ("1" if drawing else None)
        tolerated = {t["key"] for t in pod(name).get("tolerations", [])}
        assert tolerated == ({ACCELERATOR} if drawing else set())
        assert ("nodeSelector" in pod(name)) == drawing


@EACH
def test_a_pod_can_do_nothing_beyond_its_work(name: str) -> None:
    spec = pod(name)
    assert spec["automountServiceAccountToken"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
    user = spec["securityContext"]
    assert user["runAsNonRoot"] is True and user["runAsUser"] > 0
    assert user["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in containers(name):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {"cpu", "memory"} <= set(container["resources"]["requests"])
        assert "memory" in container["resources"]["limits"]
    claims = {
        c["metadata"]["name"] for c in WORKLOADS[name]["spec"].get("volumeClaimTemplates", [])
    }
    volumes = {v["name"]: set(v) - {"name"} for v in spec["volumes"]}
    assert all(kind == {"emptyDir"} for kind in volumes.values())
    mounted = {m["name"] for c in containers(name) for m in c["volumeMounts"]}
    assert mounted == {*volumes, *claims}


def test_images_have_exact_tags_that_one_file_sets() -> None:
    known = {i["name"]: i["newTag"] for i in KUSTOMIZATION["images"]}
    used = {c["image"] for name in WORKLOADS for c in containers(name)}
    for part in ("scheduler", "apiServer"):
        used |= {c["image"] for c in VALUES[part]["extraInitContainers"]}
    airflow = VALUES["images"]["airflow"]
    used.add(f"{airflow['repository']}:{airflow['tag']}")
    assert used == {f"{image}:{tag}" for image, tag in known.items()}
    assert "latest" not in known.values()


def test_what_is_remembered_fits_into_the_volume() -> None:
    (state,) = (v for v in pod("eidolon-api")["volumes"] if v["name"] == "state")
    size = int(state["emptyDir"]["sizeLimit"].removesuffix("Gi")) * 2**30
    assert size > 2 * config.load(ROOT / "params.yaml").serve.remembered_bytes


SECRET = re.compile(r"(KEY|SECRET|PASSWORD|TOKEN|STORE_URI|SQL_ALCHEMY_CONN|WEBHOOK)")


def variables() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every environment variable of a container, with its entry."""
    for name in WORKLOADS:
        for container in containers(name):
            for entry in container.get("env", []):
                yield entry["name"], entry


def test_secrets_are_never_literal() -> None:
    assert not of_kind("Secret")
    for name, entry in variables():
        if SECRET.search(name):
            assert set(entry.get("valueFrom", {})) == {"secretKeyRef"}, name
    for map_ in of_kind("ConfigMap").values():
        assert not [key for key in map_["data"] if SECRET.search(key)]
    for file in [*FILES, FOLDER / "airflow-values.yaml", FOLDER / "clone.sh"]:
        assert not re.search(r"://[^\s/]*:[^\s/]*@", file.read_text()), file


def test_the_guide_names_every_secret_with_its_keys() -> None:
    wanted: dict[str, set[str]] = {}
    for _, entry in variables():
        if source := entry.get("valueFrom", {}).get("secretKeyRef"):
            wanted.setdefault(source["name"], set()).add(source["key"])
    for entry in VALUES["secret"]:
        wanted.setdefault(entry["secretName"], set()).add(entry["secretKey"])
    (users,) = (v["secret"] for v in VALUES["apiServer"]["extraVolumes"] if "secret" in v)
    charts = {  # the key that the chart reads in each of its Secrets
        users["secretName"]: "passwords.json",
        VALUES["data"]["metadataSecretName"]: "connection",
        VALUES["fernetKeySecretName"]: "fernet-key",
        VALUES["apiSecretKeySecretName"]: "api-secret-key",
        VALUES["jwtSecretName"]: "jwt-secret",
    }
    for name, key in charts.items():
        wanted.setdefault(name, set()).add(key)
    rows = documents.section("ops/kubernetes/README.md", "In this order")
    shown = {documents.codes(row[0])[0]: row[1] for row in rows if documents.codes(row[0])}
    assert set(shown) == set(wanted)
    for name, keys in wanted.items():
        assert keys <= set(documents.codes(shown[name])), name


def airflow_options() -> dict[str, set[str]]:
    """The options of Airflow's configuration, by section."""
    (airflow,) = find_spec("airflow").submodule_search_locations  # type: ignore[union-attr,misc]
    told = yaml.safe_load((Path(airflow) / "config_templates" / "config.yml").read_text())
    found = {section: set(entry["options"]) for section, entry in told.items()}
    return found | {"edge": {"api_enabled", "api_url"}}  # of the Edge provider


OF_LIBRARIES = {  # read by boto3, beside what docs/operations.md lists
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL_S3", "AWS_REGION"),
    *("AWS_EC2_METADATA_DISABLED", "EIDOLON_OBJECTS"),
}


def test_every_variable_is_one_that_somebody_reads() -> None:
    rows = documents.section("docs/operations.md", "Environment variables")
    known = {name for row in rows for name in documents.codes(row[0])} | OF_LIBRARIES
    options = airflow_options()
    names = {name for name, _ in variables()}
    names |= {key for m in of_kind("ConfigMap").values() for key in m["data"]}
    names |= {f"AIRFLOW__{s}__{o}".upper() for s, e in VALUES["config"].items() for o in e}
    for name in sorted(names):
        if found := re.fullmatch(r"AIRFLOW__([A-Z_]+?)__([A-Z_]+)", name):
            assert found[2].lower() in options[found[1].lower()], name
        elif name == "POD_NAME":  # stands in the arguments of its own container
            assert f"$({name})" in containers("eidolon-worker")[-1]["args"]
        else:
            assert name in known, f"{name}: neither in docs/operations.md nor read by a library"


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


CHART = {  # no package has the chart's schema: these were read in its values.yaml
    *("airflowHome", "airflowVersion", "apiSecretKeySecretName", "apiServer", "config"),
    *("createUserJob", "dagProcessor", "data", "dags", "env", "executor", "extraEnvFrom"),
    *("fernetKeySecretName", "gid", "images", "ingress", "jwtSecretName", "logs"),
    *("migrateDatabaseJob", "networkPolicies", "postgresql", "redis", "scheduler", "secret"),
    *("securityContexts", "statsd", "triggerer", "uid", "workers"),
}


def test_the_chart_knows_every_value() -> None:
    assert set(VALUES) <= CHART
    assert VALUES["securityContexts"]["containers"]["allowPrivilegeEscalation"] is False
    assert VALUES["securityContexts"]["pod"]["runAsNonRoot"] is True
    (executor,) = (e["value"] for n, e in variables() if n == "AIRFLOW__CORE__EXECUTOR")
    assert VALUES["executor"] == executor
