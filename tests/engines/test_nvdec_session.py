import importlib.util
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from farm.engines.nvdec_caps import StreamKind
from farm.engines.nvdec_session import (
    Session,
    SessionError,
    SessionPool,
    Surface,
    gpu_backend,
    surface_planes,
)
from farm.errors import EngineUnavailableError
from farm.geometry import Size

KIND = StreamKind("h264", 1, 8, Size(16, 16), Size(16, 12))
OTHER = StreamKind("h264", 1, 8, Size(32, 16), Size(32, 12))
DEEP = StreamKind("hevc", 1, 10, Size(16, 16), Size(16, 12))
FULL = StreamKind("hevc", 3, 8, Size(16, 16), Size(16, 12))


class Echo:
    """A decoder whose pictures are filled with their packet's first byte.

    Of each run the last `depth` pictures come at its end, from memory that is used again.
    """

    def __init__(self, kind: StreamKind = KIND, depth: int = 0) -> None:
        self.kind = kind
        self.depth = depth
        self.held: list[tuple[int, int]] = []
        width, height = kind.shown
        self.y = torch.zeros(height, width, dtype=torch.uint8)
        self.uv = torch.zeros(height // 2, width // 2, 2, dtype=torch.uint8)
        self.times: list[int] = []
        self.begun = 0

    def feed(self, packet: bytes, time: int, *, begins: bool) -> list[Surface]:
        self.begun += begins
        self.times.append(time)
        self.held.append((packet[0], time))
        return [self.give() for _ in range(max(0, len(self.held) - self.depth))]

    def end(self) -> list[Surface]:
        return [self.give(fresh=True) for _ in range(len(self.held))]

    def give(self, *, fresh: bool = False) -> Surface:
        value, time = self.held.pop(0)
        y, uv = (self.y.clone(), self.uv.clone()) if fresh else (self.y, self.uv)
        return Surface(time, (y.fill_(value), uv.fill_(value)))


class Faulty(Echo):
    """Does something wrong with the packet `bad`."""

    def __init__(self, fault: str, kind: StreamKind = KIND) -> None:
        super().__init__(kind)
        self.fault = fault

    def feed(self, packet: bytes, time: int, *, begins: bool) -> list[Surface]:
        surfaces = super().feed(packet, time, begins=begins)
        return getattr(self, self.fault)(surfaces) if packet[1:] == b"bad" else surfaces

    def fails(self, surfaces):
        raise RuntimeError("the decoder is broken")

    def gives_none(self, surfaces):
        return []

    def gives_two(self, surfaces):
        return surfaces * 2

    def gives_anothers_time(self, surfaces):
        return [Surface(surface.time - 1, surface.planes) for surface in surfaces]

    def gives_no_time(self, surfaces):
        return [Surface(0, surface.planes) for surface in surfaces]

    def gives_one_of_the_run_before(self, surfaces):
        return [Surface(self.times[0], surfaces[0].planes), *surfaces]

    def gives_another_size(self, surfaces):
        return [Surface(s.time, tuple(p[:4] for p in s.planes)) for s in surfaces]

    def has_no_memory(self, surfaces):
        raise torch.OutOfMemoryError("no memory left")

    def has_no_driver_memory(self, surfaces):
        raise RuntimeError("cuMemAlloc: CUDA_ERROR_OUT_OF_MEMORY")


FAULTS = [
    name for name in vars(Faulty) if name.startswith(("fails", "gives", "has"))
]  # all that a decoder may do wrong


def values(pictures) -> dict[int, int]:
    found = {}
    for number, planes in pictures.items():
        (value,) = {int(value) for plane in planes for value in plane.unique()}
        found[number] = value
    return found


def packets(*numbers: int) -> list[bytes]:
    return [bytes([number]) for number in numbers]


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_the_wanted_pictures_are_copied(depth):
    session = Session(KIND, Echo(depth=depth))
    pictures = session.pictures(packets(5, 6, 7, 8), {1, 3})
    assert values(pictures) == {1: 6, 3: 8}
    for planes in pictures.values():
        assert [tuple(plane.shape) for plane in planes] == [(1, 12, 16), (1, 6, 8, 2)]
    assert values(session.pictures(packets(9), {0})) == {0: 9}
    assert values(pictures) == {1: 6, 3: 8}


def test_no_two_packets_of_the_process_have_the_same_time():
    feeders = [Echo() for _ in range(4)]
    sessions = [Session(KIND, feeder) for feeder in feeders]

    def work(session: Session) -> None:
        for number in range(200):
            session.pictures(packets(number % 256, 1), {0})

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(work, sessions))
    times = [time for feeder in feeders for time in feeder.times]
    assert len(set(times)) == len(times) == 4 * 200 * 2
    assert min(times) > 0
    assert all(feeder.begun == 200 for feeder in feeders)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_session_tells_every_fault(fault):
    session = Session(KIND, Faulty(fault))
    session.pictures(packets(3), {0})
    with pytest.raises((SessionError, RuntimeError)):
        session.pictures([b"\1", b"\2bad"], {0, 1})


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_session_is_thrown_away_and_a_new_one_answers(fault):
    made: list[Echo] = [Faulty(fault), Echo()]
    pool, counts = SessionPool(lambda _: made.pop(0)), Counter[str]()
    assert values(pool.pictures(KIND, packets(1), {0}, counts=counts)) == {0: 1}
    assert len(made) == 1
    found = pool.pictures(KIND, [b"\4", b"\5bad"], {0, 1}, counts=counts)
    assert values(found) == {0: 4, 1: 5}
    assert counts == {"sessions_discarded": 1}
    assert not made
    assert values(pool.pictures(KIND, packets(6), {0}, counts=counts)) == {0: 6}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_fails_twice_is_an_error_of_its_own_entry_only(fault):
    made = []

    def make(kind: StreamKind) -> Echo:
        made.append(Faulty(fault, kind))
        return made[-1]

    pool, counts = SessionPool(make), Counter[str]()
    assert values(pool.pictures(KIND, packets(1), {0}, counts=counts)) == {0: 1}
    with pytest.raises(SessionError, match=r"Error: "):
        pool.pictures(KIND, [b"\1bad"], {0}, counts=counts)
    assert counts == {"sessions_discarded": 2}
    assert len(made) == 2
    assert values(pool.pictures(KIND, packets(2), {0}, counts=counts)) == {0: 2}
    assert len(made) == 3


def test_a_decoder_that_cannot_be_made():
    def make(kind: StreamKind) -> Echo:
        raise RuntimeError("no such engine")

    with pytest.raises(SessionError, match="RuntimeError: no such engine"):
        SessionPool(make).pictures(KIND, packets(1), {0}, counts=Counter())


def test_no_memory_of_the_host_is_nobodys_fault():
    class Hungry(Echo):
        def feed(self, packet: bytes, time: int, *, begins: bool) -> list[Surface]:
            raise MemoryError

    with pytest.raises(MemoryError):
        SessionPool(lambda _: Hungry()).pictures(KIND, packets(1), {0}, counts=Counter())


def test_no_memory_of_the_gpu_costs_the_idle_sessions():
    made = []

    def make(kind: StreamKind) -> Echo:
        made.append(kind)
        return Faulty("has_no_driver_memory", kind) if len(made) == 2 else Echo(kind)

    pool, counts = SessionPool(make), Counter[str]()
    pool.pictures(OTHER, packets(1), {0}, counts=counts)
    pool.pictures(KIND, [b"\1bad"], {0}, counts=counts)
    pool.pictures(OTHER, packets(1), {0}, counts=counts)
    assert made == [OTHER, KIND, KIND, OTHER]


def test_sessions_are_kept_by_kind_and_the_oldest_go_first():
    made = []

    def make(kind: StreamKind) -> Echo:
        made.append(kind)
        return Echo(kind)

    pool = SessionPool(make, most_idle=2)
    for kind in (KIND, OTHER, KIND, OTHER, KIND):
        pool.pictures(kind, packets(1), {0}, counts=Counter())
    assert made == [KIND, OTHER]
    third = StreamKind("h264", 1, 8, Size(64, 16), Size(64, 12))
    pool.pictures(third, packets(1), {0}, counts=Counter())
    pool.pictures(KIND, packets(1), {0}, counts=Counter())
    assert made == [KIND, OTHER, third]
    pool.pictures(OTHER, packets(1), {0}, counts=Counter())
    assert made == [KIND, OTHER, third, OTHER]


def test_planes_of_a_surface():
    lines = torch.arange(18 * 16, dtype=torch.int32).to(torch.uint8).view(18, 16)
    y, uv = surface_planes(lines, KIND)
    assert y.equal(lines[:12])
    assert uv.shape == (6, 8, 2)
    assert uv[2].flatten().equal(lines[14])
    y, u, v = surface_planes(torch.arange(36 * 16).to(torch.uint8).view(36, 16), FULL)
    assert y.shape == u.shape == v.shape == (12, 16)


def test_wrong_strides_of_deep_samples_are_put_right():
    memory = torch.arange(2 * 18 * 16, dtype=torch.int32).to(torch.uint16)
    told = memory.as_strided((18, 16), (16, 2))
    y, uv = surface_planes(told, DEEP)
    assert y.flatten().to(torch.int32).equal(torch.arange(12 * 16, dtype=torch.int32))
    assert int(uv[0, 0, 1]) == 12 * 16 + 1


@pytest.mark.parametrize(
    "samples",
    [
        torch.zeros(17, 16, dtype=torch.uint8),
        torch.zeros(18, 32, dtype=torch.uint8),
        torch.zeros(18, 16, dtype=torch.uint16),
    ],
)
def test_other_shapes_than_expected(samples):
    with pytest.raises(SessionError, match="expected 18 lines of 16 samples"):
        surface_planes(samples, KIND)


def test_without_the_parts_of_a_driver_that_are_for_video(monkeypatch, capfd):
    if torch.cuda.is_available() or importlib.util.find_spec("PyNvVideoCodec") is None:
        pytest.skip("needs PyNvVideoCodec, and no driver")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    words = "nvdec cannot be loaded: .*NVIDIA_DRIVER_CAPABILITIES must include video"
    with pytest.raises(EngineUnavailableError, match=words) as caught:
        gpu_backend()
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")
