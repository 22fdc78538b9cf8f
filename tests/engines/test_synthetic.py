import json
import signal
import subprocess
import sys

import pytest

from farm.engines import Wish, load
from farm.errors import CorruptError, NoFrameError
from farm.geometry import Size
from farm.media import MediaFormat, MediaKind
from farm.sampling import Target
from farm.settings import Limits
from farm.spec import Accuracy
from tests.engines.contract import START, EngineContract, source_of

SYNTHETIC = MediaFormat(MediaKind.VIDEO, "synthetic")


def recipe(**values: object) -> bytes:
    return b"FARMSYN1 " + json.dumps(values).encode() + b"\n"


def decoder_of(data: bytes):
    return load("synthetic").open(source_of(data), media_format=SYNTHETIC, limits=Limits())


class TestContract(EngineContract):
    engine_name = "synthetic"
    media_format = SYNTHETIC
    size = Size(96, 64)

    @pytest.fixture
    def good(self):
        return recipe(width=96, height=64, fps=25, seconds=2, seed=3)


def only_frame(target: Target, **values: object):
    (batch,) = decoder_of(recipe(**values)).frames([target], Wish())
    return batch


def test_facts_follow_the_recipe():
    info = decoder_of(recipe(width=320, height=240, fps=10, seconds=3)).info
    assert info.duration_seconds == 3
    assert info.average_fps == 10
    assert info.frame_count == 30


def test_exact_and_keyframe():
    assert only_frame(Target(1.3, Accuracy.EXACT), fps=10).pts_seconds == (1.3,)
    assert only_frame(Target(1.39, Accuracy.EXACT), fps=10).pts_seconds == (1.3,)
    assert only_frame(Target(1.3, Accuracy.KEYFRAME), fps=10).pts_seconds == (1.2,)
    assert only_frame(Target(99, Accuracy.EXACT), fps=10, seconds=2).pts_seconds == (1.9,)
    assert only_frame(Target(0, Accuracy.KEYFRAME, frame=-1), fps=10, seconds=2).pts_seconds == (
        1.9,
    )
    with pytest.raises(NoFrameError, match="no frame 20 among 20 frames"):
        only_frame(Target(0, Accuracy.EXACT, frame=20), fps=10, seconds=2)


def test_frames_move_and_seeds_differ():
    first = only_frame(START, seed=1).planes[0]
    assert not first.equal(only_frame(Target(1, Accuracy.EXACT), seed=1).planes[0])
    assert not first.equal(only_frame(START, seed=2).planes[0])


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"FARMSYN1 {", "Expecting"),
        (b"FARMSYN1 []", "makes no sense"),
        (b"FARMSYN1 7", "makes no sense"),
        (recipe(widht=3), "unknown key 'widht'"),
        (recipe(width=0), "above 0"),
        (recipe(width="3"), "makes no sense"),
        (recipe(fault="flood"), "fault to be one of segfault"),
        (b"FARMSYN1 \xff", "makes no sense"),
    ],
)
def test_a_recipe_that_makes_no_sense_is_corrupt(data, words):
    with pytest.raises(CorruptError, match=words):
        decoder_of(data)


def test_error_fault():
    with pytest.raises(CorruptError, match="asks for an error"):
        only_frame(START, fault="error")


def test_fault_times_are_counted_in_a_file(tmp_path):
    values = {"fault": "error", "fault_file": str(tmp_path / "count"), "fault_times": 2}
    for _ in range(2):
        with pytest.raises(CorruptError):
            only_frame(START, **values)
    assert only_frame(START, **values).answers == ((0,),)


# One child meets every deadly fault in a fork of its own: importing torch is what costs time.
CHILD = """
import io, json, os, resource, signal, sys
from farm.engines import Source, Wish, load
from farm.media import MediaFormat, MediaKind
from farm.sampling import Target
from farm.settings import Limits
from farm.spec import Accuracy
engine, format = load("synthetic"), MediaFormat(MediaKind.VIDEO, "synthetic")
def meet(fault):
    data = b'FARMSYN1 {"fault": "%s"}' % fault.encode()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if fault == "spin":
        resource.setrlimit(resource.RLIMIT_CPU, (1, 1))
    if fault == "hang":
        signal.alarm(1)
    source = Source(io.BytesIO(data), len(data), "x")
    decoder = engine.open(source, media_format=format, limits=Limits())
    list(decoder.frames([Target(0, Accuracy.EXACT)], Wish()))
for fault in ("segfault", "abort", "exit", "hang", "spin"):
    child = os.fork() or meet(fault)
    print(fault, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_deadly_faults_are_deadly():
    answer = subprocess.run(
        [sys.executable, "-c", CHILD], capture_output=True, text=True, timeout=60, check=True
    )
    outcomes = dict(line.split() for line in answer.stdout.splitlines())
    assert outcomes == {
        "segfault": str(-signal.SIGSEGV),
        "abort": str(-signal.SIGABRT),
        "exit": "3",
        "hang": str(-signal.SIGALRM),
        "spin": str(-signal.SIGKILL),
    }
