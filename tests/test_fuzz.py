"""What fuzzing found stays found, and the hunt itself finds what is there."""

import pytest

from tests.fuzz.hunt import CORPUS, hunt, shrunk, try_one
from tests.fuzz.target import TARGETS, Target

FOUND = sorted(CORPUS.glob("*.bin"))


@pytest.mark.parametrize("path", FOUND, ids=lambda path: path.name)
def test_what_was_found_once_is_right_now(path):
    finding = try_one(TARGETS[path.name.partition("-")[0]], path.read_bytes())
    assert finding is None, finding


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_a_short_hunt_finds_nothing(name):
    cases, findings = hunt(TARGETS[name], seconds=1.0, seed=1)
    assert cases > 0
    assert findings == []


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_seeds_are_fine(name):
    for data in TARGETS[name].seeds():
        assert try_one(TARGETS[name], data) is None


def _breaks_at_x(data: bytes) -> None:
    if b"x" in data:
        raise ValueError("has an x")


def test_the_hunt_finds_and_shrinks(tmp_path):
    target = Target("example", _breaks_at_x, lambda: (b"a" * 500 + b"y" + b"b" * 500,))
    _, findings = hunt(target, seconds=2.0, seed=3)
    (finding,) = findings
    assert finding.data == b"x"
    assert finding.place.startswith("ValueError at test_fuzz.py:")
    assert finding.save(tmp_path).read_bytes() == b"x"
    assert try_one(target, b"abc") is None
    whole = try_one(target, b"a" * 100 + b"x" * 3 + b"b" * 77)
    assert whole is not None
    assert shrunk(target, whole).data == b"x"
