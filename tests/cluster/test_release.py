"""Workers that run anything else than the client get no work, and are named."""

import os
import subprocess
import sys

import pytest

from farm.cluster import roster
from farm.cluster.dask import DaskCluster
from farm.cluster.plugin import SHARD_SLOT, SLOT_PREFIX
from farm.cluster.release import RELEASE, difference, own_release
from farm.cluster.roster import Roster
from farm.errors import ClusterError
from farm.record import Status
from farm.settings import Settings
from tests.cluster.contract import next_outcomes, plan_shards, statuses
from tests.cluster.hand_started import HandStarted
from tests.lanes import wait_until
from tests.recipes import write_manifest, write_source

SETTINGS = Settings(lanes=1, lane_memory_bytes=256 << 20)
OTHER = RELEASE.replace("thumbfarm ", "thumbfarm 9.")


def facts(name, **resources):
    return {"name": name, "resources": {key: float(value) for key, value in resources.items()}}


def test_workers_with_slots_tell_where_their_pages_are():
    known = Roster(lambda message: None)
    served = {"services": {"dashboard": 8001}}
    known.read(
        {
            "tcp://a": facts("a", **granted(RELEASE)) | served | {"host": "10.0.0.1"},
            "tcp://b": facts("b", **granted(RELEASE)) | served | {"host": "fe80::1"},
            "tcp://c": facts("c", **granted(RELEASE)) | {"services": {}, "host": "10.0.0.2"},
            "tcp://d": facts("d") | served | {"host": "10.0.0.3"},
        }
    )
    assert known.pages == ("10.0.0.1:8001", "[fe80::1]:8001")
    known.forget()
    assert known.pages == ()


def granted(release, count=2):
    return {SLOT_PREFIX + release: count}


def test_a_release_names_what_makes_the_pictures():
    assert own_release() == RELEASE
    names = [part.split()[0] for part in RELEASE.split(", ")]
    assert names == ["thumbfarm", "Python", "av", "pillow", "torch"]


def test_only_what_differs_is_told():
    theirs = RELEASE.replace("Python 3", "Python 2")
    said = difference(theirs, whose="this client")
    python = RELEASE.split(", ")[1]
    assert said == (f"runs {python.replace(' 3', ' 2')}, this client {python}: install the same")


def test_workers_are_ready_with_slots_of_this_release_alone():
    notices = []
    known = Roster(notices.append)
    known.read(
        {
            "tcp://a": facts("a", **granted(RELEASE)),
            "tcp://b": facts("b", **granted(RELEASE, 0)),
            "tcp://c": facts("tcp://c"),
            "tcp://d": facts("d", **granted(OTHER, 0)),
            # It serves clients of its own release, too.
            "tcp://e": facts("e", **granted(OTHER)),
        }
    )
    assert known.ready == ("tcp://a",)
    (notice,) = notices
    assert notice.startswith("worker tcp://d (d) runs thumbfarm 9.")
    assert notice.endswith("install the same; such workers get no work")
    known.read({"tcp://d": facts("d", **granted(OTHER, 0))})
    assert len(notices) == 1
    known.forget()
    assert known.ready == ()


def test_it_is_told_at_once_where_nobody_can_be_used(monkeypatch):
    monkeypatch.setattr(roster, "_REFUSED_SECONDS", 0.0)
    known = Roster(lambda message: None)
    known.read({f"tcp://{n}": facts("x", **granted(OTHER, 0)) for n in range(7)})
    with pytest.raises(ClusterError, match=r"no worker can be used: worker tcp://0 \(x\).*and 2 m"):
        known.check(100)
    # One that has not said anything may yet be of use.
    known.read({"tcp://0": facts("x", **granted(OTHER, 0)), "tcp://1": facts("y")})
    known.check(100)


def test_others_are_waited_for_where_there_was_one(monkeypatch):
    monkeypatch.setattr(roster, "_REFUSED_SECONDS", 0.0)
    known = Roster(lambda message: None)
    known.read({"tcp://0": facts("x", **{SHARD_SLOT: 2})})
    known.read({"tcp://1": facts("x", **granted(OTHER, 0))})
    known.check(100)
    with pytest.raises(ClusterError, match="no worker has had lanes for"):
        known.check(0)


@pytest.fixture
def pretending(tmp_path):
    """What makes a process take itself for another release of the farm."""
    folder = tmp_path / "pretending"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text("import farm\n\nfarm.__version__ = '9.9.9'\n")
    return {"PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])}


@pytest.fixture
def hand_started(tmp_path):
    made = HandStarted(tmp_path / "dask")
    yield made
    made.end()


@pytest.mark.cluster
@pytest.mark.timeout(240)
def test_the_run_goes_on_with_the_others(hand_started, pretending, tmp_path):
    hand_started.start()
    hand_started.add_worker("odd", **pretending)
    refs = plan_shards(tmp_path, [{"seed": n} for n in range(8)])
    notices = []
    cluster = DaskCluster(SETTINGS, scheduler=hand_started.address, notice=notices.append)
    try:
        wait_until(lambda: notices, seconds=60)
        assert cluster.slots() == 1
        for ref in refs:
            cluster.submit(ref, 1, is_final=False)
        outcomes = next_outcomes(cluster, len(refs))
    finally:
        cluster.close()
    assert statuses(tmp_path) == dict.fromkeys(range(1, 9), Status.OK)
    assert len({outcome.summary.worker for outcome in outcomes}) == 1
    (notice,) = notices
    assert "(odd) runs thumbfarm 9.9.9, this client thumbfarm" in notice


@pytest.mark.cluster
@pytest.mark.timeout(240)
def test_a_run_without_any_other_ends_with_3_and_names_them(hand_started, pretending, tmp_path):
    hand_started.start()
    hand_started.worker.kill()
    hand_started.add_worker("odd", **pretending)
    write_source(tmp_path / "a.syn")
    manifest = write_manifest(tmp_path / "list.jsonl", [{"source": "a.syn"}])
    words = ["--manifest", str(manifest), "--destination", str(tmp_path / "out")]
    command = [sys.executable, "-m", "farm", "run", *words, "--output", "16x9"]
    ended = subprocess.run(
        [*command, "--scheduler", hand_started.address], capture_output=True, text=True
    )
    assert ended.returncode == 3
    assert "no worker can be used: worker tcp://127.0.0.1:" in ended.stdout + ended.stderr
    assert "(odd) runs thumbfarm 9.9.9" in ended.stdout + ended.stderr
