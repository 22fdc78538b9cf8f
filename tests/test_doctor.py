"""What the doctor finds."""

import json
import os
from pathlib import Path

import pytest

import farm
import kernels
from farm.__main__ import main
from farm.doctor import State, _Child, package_findings
from farm.errors import EngineUnavailableError


def test_farm_and_kernels_are_ours() -> None:
    found = list(package_findings())
    assert [finding.name for finding in found] == ["farm", "kernels"]
    assert [finding.state for finding in found] == [State.OK, State.OK]
    for finding, package in zip(found, (farm, kernels), strict=True):
        assert package.__file__ is not None
        assert finding.value == str(Path(package.__file__).parent)


def test_a_foreign_package_is_told_with_a_cure(tmp_path: Path) -> None:
    ours = Path(str(farm.__file__)).parent
    found = dict(
        zip(("farm", "kernels"), package_findings({"farm": ours, "kernels": tmp_path}), strict=True)
    )
    assert found["farm"].state is State.OK
    assert found["kernels"].state is State.BROKEN
    assert str(tmp_path) in found["kernels"].value
    assert "pip uninstall" in found["kernels"].cure


def test_a_foreign_distribution_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("farm.doctor._installed", {"farm": "0.5.0"}.get)
    farms, ours = package_findings()
    assert farms.state is State.BROKEN
    assert "0.5.0" in farms.value
    assert ours.state is State.OK


def test_a_missing_package_is_told() -> None:
    (finding,) = package_findings({"kernels": None})
    assert (finding.state, finding.value) == (State.BROKEN, "not found")


def _die() -> str:
    os._exit(9)


def _raise() -> str:
    raise EngineUnavailableError("no such engine")


def test_a_child_that_dies_is_a_finding_and_the_next_one_answers() -> None:
    child = _Child()
    try:
        assert child.find("dead", _die).state is State.BROKEN
        finding = child.find("raised", _raise, otherwise=State.MISSING, cure="get one")
        assert (finding.state, finding.value) == (State.MISSING, "no such engine")
        assert finding.cure == "get one"
        assert child.find("cwd", os.getcwd).value == str(Path.cwd())
    finally:
        child.close()


def test_examines_this_machine(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["doctor", "--json"])
    facts = json.loads(capsys.readouterr().out)
    assert ended.value.code == 0, facts
    assert list(facts) == ["packages", "machine", "versions", "engines", "gpu", "lanes"]
    assert facts["versions"]["thumbfarm"]["value"] == farm.__version__
    assert facts["engines"]["pillow"]["state"] == "ok"
    assert facts["lanes"]["thumbnail"]["value"].startswith("160x120 jpg")
