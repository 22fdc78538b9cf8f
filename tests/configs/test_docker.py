"""The images and their composition: linted, and checked against what they are built of.

No container engine is at hand where these tests run: nothing here builds or starts an image.
"""

import os
import re
import subprocess
import tomllib
from typing import Any

import pytest
import yaml
from compose_spec import PyCompose
from docker.utils.build import exclude_paths

from tests.configs.scene import BIN, CONFIGS, check_command, check_dask_variables, with_defaults

ROOT = CONFIGS.parent
CPU = "docker/Dockerfile.cpu"
GPU = "docker/Dockerfile.gpu"
COMPOSE = CONFIGS / "docker/compose.yaml"


def steps(name: str) -> list[tuple[str, str]]:
    """The instructions of a Dockerfile with their words."""
    text = re.sub(r"^#.*\n", "", (CONFIGS / name).read_text(), flags=re.MULTILINE)
    lines = text.replace("\\\n", " ").splitlines()
    return [(line.split()[0], line.partition(" ")[2]) for line in lines if line]


def context() -> set[str]:
    """The files that a build at the top of the checkout is sent, by .dockerignore."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]
    sent = exclude_paths(str(ROOT), patterns, f"configs/{CPU}")
    return {path for path in sent if (ROOT / path).is_file()}


@pytest.mark.parametrize("name", [CPU, GPU])
def test_hadolint_and_its_shellcheck_find_nothing(name: str) -> None:
    words = [BIN / "hadolint", "--failure-threshold", "style", CONFIGS / name]
    found = subprocess.run(words, capture_output=True, text=True)
    assert (found.returncode, found.stdout) == (0, "")


@pytest.mark.parametrize("name", [CPU, GPU])
def test_an_image_runs_as_nobody_special_under_an_init(name: str) -> None:
    said = dict(steps(name))
    assert said["USER"] == "10001:10001"
    assert said["ENTRYPOINT"] == '["tini", "--"]'
    assert check_command(yaml.safe_load(said["CMD"])) is not None


@pytest.mark.parametrize("name", [CPU, GPU])
def test_an_image_has_what_the_package_asks_for(name: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert steps(name)[0] == ("FROM", "python:3.11-slim-bookworm AS build")
    assert project["requires-python"] == ">=3.11"
    extras = dict(steps(name))["ARG"].removeprefix("extras=").split(",")
    assert set(extras) <= project["optional-dependencies"].keys()
    assert {"serve", "s3", "tls", "metrics"} <= set(extras)
    assert ("gpu" in extras) is (name == GPU)


def test_a_gpu_lends_its_decoders() -> None:
    variables = dict(steps(GPU))["ENV"].split()
    assert "NVIDIA_DRIVER_CAPABILITIES=compute,utility,video" in variables
    assert not any("NVIDIA" in word for _, words in steps(CPU) for word in words.split())


@pytest.mark.parametrize("name", [CPU, GPU])
def test_what_is_copied_is_sent(name: str) -> None:
    sent = context()
    copied = [words.split() for step, words in steps(name) if step == "COPY"]
    sources = [source for words in copied if "--from=build" not in words for source in words[:-1]]
    assert {"farm", "kernels", "pyproject.toml", "constraints.txt"} <= set(sources)
    for source in sources:
        assert any(path == source or path.startswith(f"{source}/") for path in sent), source


def test_the_package_is_sent_and_little_else() -> None:
    sent = context()
    assert {path.split("/")[0] for path in sent} <= {
        *("LICENSE", "README.md", "constraints.txt", "pyproject.toml", "farm", "kernels"),
        *(".dockerignore", "configs"),  # docker sends itself these two
    }
    assert [path for path in sent if path.startswith("configs/")] == [f"configs/{CPU}"]
    for package in ("farm", "kernels"):
        for folder, _, names in os.walk(ROOT / package):
            if "__pycache__" not in folder:
                inside = os.path.relpath(folder, ROOT)
                assert {f"{inside}/{name}" for name in names} <= sent


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    """The services of compose.yaml as the engine would see them, without any variable set."""
    return dict(yaml.safe_load(with_defaults(COMPOSE.read_text()))["services"])


def test_the_composition_is_valid() -> None:
    read = yaml.safe_load(with_defaults(COMPOSE.read_text()))
    composed = PyCompose.from_yaml(yaml.safe_dump(read, sort_keys=False))
    assert set(composed.service_names()) == {"scheduler", "worker", "worker-gpu", "serve", "run"}


def test_a_mistake_in_the_composition_would_be_found() -> None:
    read = yaml.safe_load(with_defaults(COMPOSE.read_text()))
    for key in ("comand", "healthchecks"):
        broken = read | {"services": {"worker": read["services"]["worker"] | {key: ["x"]}}}
        with pytest.raises(ValueError, match=key):
            PyCompose.from_yaml(yaml.safe_dump(broken))


def test_services_are_built_here_and_confined(services: dict[str, Any]) -> None:
    for name, service in services.items():
        folder = (COMPOSE.parent / service["build"]["context"]).resolve()
        assert folder == ROOT
        assert (folder / service["build"]["dockerfile"]).is_file()
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name


def test_their_commands_are_as_the_programs_want_them(services: dict[str, Any]) -> None:
    for name, service in services.items():
        words = service.get("entrypoint", ["tini", "--"])[2:] + service["command"]
        read = check_command(words)
        if name != "scheduler":
            assert read["scheduler"] == "tcp://scheduler:8786"
            assert service["depends_on"] == {"scheduler": {"condition": "service_healthy"}}


def test_a_worker_has_time_to_drain_and_comes_back(services: dict[str, Any]) -> None:
    for name in ("worker", "worker-gpu"):
        drain_seconds = check_command(services[name]["command"])["drain_seconds"]
        grace = services[name]["stop_grace_period"]
        assert int(grace.removesuffix("s")) >= drain_seconds + 10
        assert services[name]["restart"] == "always"
    assert check_command(services["worker-gpu"]["command"])["gpus"] == "all"


def test_the_scheduler_is_configured_as_an_embedded_one(services: dict[str, Any]) -> None:
    check_dask_variables(services["scheduler"]["environment"])
