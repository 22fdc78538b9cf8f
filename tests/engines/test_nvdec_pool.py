"""The pool of sessions under many threads: nobody shares one, nobody waits for one."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from farm.engines.nvdec_caps import StreamKind
from farm.engines.nvdec_session import SessionPool, Surface
from tests.engines.test_nvdec_session import KIND, Echo, packets, values


def test_no_session_serves_two_threads_at_once():
    class Busy(Echo):
        def __init__(self, kind: StreamKind) -> None:
            super().__init__(kind)
            self.lock = threading.Lock()

        def feed(self, packet: bytes, time: int, *, begins: bool) -> list[Surface]:
            assert self.lock.acquire(blocking=False)
            try:
                return super().feed(packet, time, begins=begins)
            finally:
                self.lock.release()

    pool, counts = SessionPool(Busy), Counter[str]()

    def work(number: int) -> bool:
        found = pool.pictures(KIND, packets(number % 256, 255), {0}, counts=counts)
        return values(found) == {0: number % 256}

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(work, range(400)))
    assert not counts


def test_nobody_waits_for_a_session():
    """Seats that want the same kind at once get one each, which are kept for later."""
    seats = 6
    together = threading.Barrier(seats)
    made = []

    class Meeting(Echo):
        def __init__(self, kind: StreamKind) -> None:
            super().__init__(kind)
            made.append(kind)

        def feed(self, packet: bytes, time: int, *, begins: bool) -> list[Surface]:
            together.wait(timeout=20)
            return super().feed(packet, time, begins=begins)

    pool = SessionPool(Meeting)

    def work(number: int) -> bool:
        found = pool.pictures(KIND, packets(number), {0}, counts=Counter())
        return values(found) == {0: number}

    with ThreadPoolExecutor(seats) as threads:
        for _ in range(3):
            assert all(threads.map(work, range(seats)))
    assert made == [KIND] * seats
