"""The manifests of ops/kubernetes: what a schema cannot see."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

from bento.front import PROBES
from bento.metrics import METRICS
from components import config
from ops.cluster.settings import HEAD, with_cluster
from tests import documents
from tests.manifests import (
    DOCUMENTS,
    FILES,
    FOLDER,
    SERVICES,
    WORKLOADS,
    containers,
    labels,
    of_kind,
    pod,
    selects,
)
from tests.toy import ROOT

KUSTOMIZATION = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
VALUES = yaml.safe_load((FOLDER / "airflow-values.yaml").read_text())
ACCELERATOR = "nvidia.com/gpu"
EACH = pytest.mark.parametrize("name", WORKLOADS)


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
        assert "replicas" not in WORKLOADS[name]["spec"], "applying it again would reset them"
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
    edge = {"api_enabled", "api_url", "heartbeat_interval", "job_poll_interval"}
    return found | {"edge": edge}  # of the Edge provider


OF_LIBRARIES = {  # read by boto3, beside what docs/operations.md lists
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL_S3", "AWS_REGION"),
    "AWS_EC2_METADATA_DISABLED",
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
        else:
            assert name in known, f"{name}: neither in docs/operations.md nor read by a library"


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


def test_airflow_has_the_settings_of_several_machines(tmp_path: Path) -> None:
    (addresses,) = of_kind("ConfigMap").values()
    head = {HEAD: addresses["data"][HEAD]}
    _, wanted = with_cluster(head, tmp_path)
    core = VALUES["config"]["core"] | {"executor": VALUES["executor"]}
    set_here = VALUES["config"] | {"core": core}
    for name, value in wanted.items():
        _, section, option = name.lower().split("__")
        assert set_here[section][option] == value, name


def git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    done = subprocess.run(
        ["git", *who, *arguments], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_a_clone_follows_the_image_and_keeps_what_tasks_made(tmp_path: Path) -> None:
    source, bare, clone = tmp_path / "source", tmp_path / "eidolon.git", tmp_path / "clone"
    text = (FOLDER / "clone.sh").read_text().replace("/srv/eidolon", str(clone))
    (tmp_path / "clone.sh").write_text(text.replace("/opt/eidolon.git", str(bare)))
    (source / ".dvc").mkdir(parents=True)
    (source / ".dvc" / "config").write_text("['remote \"storage\"']\n    url = ../remote\n")
    for name in ("code.py", "dvc.lock"):
        (source / name).write_text("one\n")
    git(source, "init", "--quiet")
    env = os.environ | {"EIDOLON_OBJECTS": "s3://eidolon/state"}
    env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}"
    for content in ("two\n", "three\n"):
        (source / "code.py").write_text(content)
        git(source, "add", "--all")
        git(source, "commit", "--quiet", "--message", content)
        shutil.rmtree(bare, ignore_errors=True)
        git(tmp_path, "clone", "--quiet", "--bare", str(source), str(bare))
        subprocess.run(["bash", tmp_path / "clone.sh"], env=env, check=True, capture_output=True)
        assert (clone / "code.py").read_text() == content
        assert "url = s3://eidolon/dvc" in (clone / ".dvc" / "config.local").read_text()
        (clone / "dvc.lock").write_text("of a run\n")
    subprocess.run(["bash", tmp_path / "clone.sh"], env=env, check=True, capture_output=True)
    assert (clone / "dvc.lock").read_text() == "of a run\n"
