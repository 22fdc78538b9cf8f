"""The manifests for Kubernetes: by its own schemas, and by that of the operator for clusters."""

import shutil
import subprocess
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import jsonpatch
import jsonschema
import kubernetes_validate
import pytest
import yaml

from farm.cli.job import JobOptions, read_job
from farm.settings import Settings
from tests.configs.scene import CONFIGS, check_command, check_dask_variables

BASE = "kubernetes/base/kustomization.yaml"
OVERLAY = "kubernetes/gpu/kustomization.yaml"
RUN = CONFIGS / "kubernetes/run.yaml"
VERSION = "1.31.0"
FILES_OF_BASE = [
    "kubernetes/base/cluster.yaml",
    "kubernetes/base/disruption.yaml",
    "kubernetes/base/network.yaml",
]


def documents(path: Path) -> list[dict[str, Any]]:
    return list(yaml.load_all(path.read_text(), yaml.CSafeLoader))


def kustomized(name: str) -> list[dict[str, Any]]:
    """What kustomize would make of a kustomization, as far as ours go: resources and patches."""
    path = CONFIGS / name
    (said,) = documents(path)
    assert said.keys() <= {"apiVersion", "kind", "resources", "patches"}
    found = []
    for resource in said["resources"]:
        place = path.parent / resource
        if place.is_dir():
            inner = (place.resolve() / "kustomization.yaml").relative_to(CONFIGS)
            found += kustomized(str(inner))
        else:
            found += documents(place)
    for patch in said.get("patches", []):
        wanted = patch["target"]
        (target,) = (
            each
            for each in found
            if (each["kind"], each["metadata"]["name"]) == (wanted["kind"], wanted["name"])
        )
        changed = jsonpatch.apply_patch(target, yaml.safe_load(patch["patch"]))
        found[found.index(target)] = changed
    return found


def cluster(name: str) -> dict[str, Any]:
    (found,) = (each for each in kustomized(name) if each["kind"] == "DaskCluster")
    return dict(found)


def strict(schema: Any) -> Any:
    """A schema of the operator that also refuses what it does not name, as `kubectl` does."""
    if isinstance(schema, list):
        return [strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: strict(value) for key, value in schema.items()}
    if made.get("x-kubernetes-int-or-string") is True:
        made |= {"type": ["integer", "string"]}
    if isinstance(made.get("properties"), dict) and "type" in made:
        made.setdefault("additionalProperties", False)
    return made


@pytest.fixture(scope="module")
def operator() -> Any:
    """What checks a DaskCluster by the schema that the operator's chart installs."""
    (path,) = (
        each.locate()
        for each in distribution("dask-kubernetes").files or ()
        if str(each).endswith("dask-kubernetes-operator/crds/daskcluster.yaml")
    )
    (definition,) = documents(Path(str(path)))
    (version,) = definition["spec"]["versions"]
    schema = version["schema"]["openAPIV3Schema"]
    for name in ("apiVersion", "kind", "metadata"):
        schema["properties"].setdefault(name, {})
    return jsonschema.Draft7Validator(strict(schema))


@pytest.mark.parametrize("name", [BASE, OVERLAY])
def test_the_operator_takes_the_cluster(name: str, operator: Any) -> None:
    operator.validate(cluster(name))


def test_the_operator_would_not_take_a_mistake(operator: Any) -> None:
    broken = cluster(BASE)
    broken["spec"]["worker"]["spec"]["containers"][0]["agrs"] = []
    with pytest.raises(jsonschema.ValidationError, match="agrs"):
        operator.validate(broken)


@pytest.mark.parametrize("name", [BASE, OVERLAY])
def test_kubernetes_takes_the_pods_and_all_else(name: str) -> None:
    spec = cluster(name)["spec"]
    for role in ("scheduler", "worker"):
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": role}}
        kubernetes_validate.validate(pod | {"spec": spec[role]["spec"]}, VERSION, strict=True)
    others = [each for each in kustomized(name) if each["kind"] != "DaskCluster"]
    others += documents(RUN)
    for each in others:
        kubernetes_validate.validate(each, VERSION, strict=True)
    assert {each["kind"] for each in others} == {
        *("PodDisruptionBudget", "NetworkPolicy", "ConfigMap", "Job")
    }


def test_all_files_of_the_base_are_in_it() -> None:
    (said,) = documents(CONFIGS / BASE)
    assert [f"kubernetes/base/{name}" for name in said["resources"]] == FILES_OF_BASE


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="needs kubectl")
@pytest.mark.parametrize("name", [BASE, OVERLAY])
def test_kustomize_makes_the_same_of_them(name: str) -> None:
    words = ["kubectl", "kustomize", (CONFIGS / name).parent]
    made = subprocess.run(words, capture_output=True, text=True, check=True)
    theirs = {each["kind"]: each for each in yaml.safe_load_all(made.stdout)}
    assert theirs == {each["kind"]: each for each in kustomized(name)}


@pytest.mark.parametrize("name", [BASE, OVERLAY])
def test_a_worker_has_time_to_drain(name: str) -> None:
    pod = cluster(name)["spec"]["worker"]["spec"]
    (container,) = pod["containers"]
    words = [
        word.replace("$(DASK_SCHEDULER_ADDRESS)", "tcp://thumbfarm-scheduler:8786")
        for word in container["args"]
    ]
    read = check_command(words)
    assert pod["terminationGracePeriodSeconds"] >= read["drain_seconds"] + 10
    assert read["gpus"] == ("all" if name == OVERLAY else None)


def test_a_gpu_is_asked_for_and_its_nodes_are_borne() -> None:
    pod = cluster(OVERLAY)["spec"]["worker"]["spec"]
    assert pod["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert pod["nodeSelector"] == {"nvidia.com/gpu.present": "true"}
    assert pod["tolerations"] == [
        {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
    ]
    assert "nodeSelector" not in cluster(BASE)["spec"]["worker"]["spec"]


def test_the_scheduler_is_configured_as_an_embedded_one() -> None:
    (container,) = cluster(BASE)["spec"]["scheduler"]["spec"]["containers"]
    assert check_command(container["args"])["port"] == "8786"
    check_dask_variables({each["name"]: each["value"] for each in container["env"]})


def test_the_run_is_of_a_job_that_the_farm_takes(tmp_path: Path) -> None:
    config, run = documents(RUN)
    (tmp_path / "job.yaml").write_text(config["data"]["job.yaml"])
    assert len(read_job(JobOptions(tmp_path / "job.yaml")).outputs) == 2
    pod = run["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    service = f"{cluster(BASE)['metadata']['name']}-scheduler"  # as the operator calls it
    assert check_command(container["args"])["scheduler"] == f"tcp://{service}:8786"
    assert pod["volumes"][0]["configMap"]["name"] == config["metadata"]["name"]
    assert pod["terminationGracePeriodSeconds"] >= Settings().drain_seconds + 30


def test_no_pod_has_more_rights_than_it_needs() -> None:
    spec = cluster(BASE)["spec"]
    run = documents(RUN)[1]["spec"]["template"]["spec"]
    for pod in (spec["scheduler"]["spec"], spec["worker"]["spec"], run):
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        (container,) = pod["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"].keys() == {"requests", "limits"}
