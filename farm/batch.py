"""Many threads ask, one answers for all: what is cheaper in batches is made in batches."""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

_Ask = TypeVar("_Ask")
_Answer = TypeVar("_Answer")


class CountError(Exception):
    """A batch gave another number of answers than was asked for: whose is which is not known."""


@dataclass(slots=True, eq=False)
class _Wish(Generic[_Ask, _Answer]):
    """One ask on its way."""

    ask: _Ask
    size_bytes: int
    answer: _Answer | None = None
    error: Exception | None = None
    is_settled: bool = False


class Batcher(Generic[_Ask, _Answer]):
    """Makes as one batch what threads ask for while the batch before is being made.

    There is no clock and no thread of its own: whoever finds nobody at work makes what has been
    asked so far, for all. One thread alone waits for nobody.

    `make` answers a batch in its order; an exception in place of an answer is that ask's failure.
    Where it raises, or gives another number of answers, the batch is made again in halves, down to
    the ask that is the cause: only that one fails. A batch has at most `most` asks of `most_bytes`
    together, as `size_of` counts them; a single one may be larger. An error that `is_memory` calls
    one of memory halves what batches may hold from then on.
    """

    def __init__(
        self,
        make: Callable[[Sequence[_Ask]], Sequence[_Answer | Exception]],
        *,
        most: int,
        most_bytes: int | None = None,
        size_of: Callable[[_Ask], int] = lambda _: 0,
        is_memory: Callable[[Exception], bool] = lambda error: isinstance(error, MemoryError),
    ) -> None:
        self._make = make
        self._most = most
        self._most_bytes = most_bytes
        self._size_of = size_of
        self._is_memory = is_memory
        self._waiting: deque[_Wish[_Ask, _Answer]] = deque()
        self._is_busy = False
        self._changed = threading.Condition()

    def ask(self, ask: _Ask) -> _Answer:
        """The answer; raises what `make` raised for this ask, alone. Any thread may call it."""
        mine = _Wish[_Ask, _Answer](ask, self._size_of(ask))
        with self._changed:
            self._waiting.append(mine)
        while True:
            with self._changed:
                self._changed.wait_for(lambda: mine.is_settled or not self._is_busy)
                if mine.is_settled:
                    break
                self._is_busy = True
                batch = self._next()
            self._work(batch)
        if mine.error is not None:
            raise mine.error
        return mine.answer  # type: ignore[return-value]  # settled without an error

    def _next(self) -> list[_Wish[_Ask, _Answer]]:
        """The longest batch from the front that is allowed, of one wish at least."""
        batch = [self._waiting.popleft()]
        size_bytes = batch[0].size_bytes
        while self._waiting and len(batch) < self._most:
            size_bytes += self._waiting[0].size_bytes
            if self._most_bytes is not None and size_bytes > self._most_bytes:
                break
            batch.append(self._waiting.popleft())
        return batch

    def _work(self, batch: list[_Wish[_Ask, _Answer]]) -> None:
        try:
            self._settle(batch)
        finally:
            with self._changed:
                for wish in batch:
                    if wish.answer is None and wish.error is None:
                        wish.error = CountError("the batch was given up")
                    wish.is_settled = True
                self._is_busy = False
                self._changed.notify_all()

    def _settle(self, batch: list[_Wish[_Ask, _Answer]]) -> None:
        try:
            answers = list(self._make([wish.ask for wish in batch]))
            if len(answers) != len(batch):
                raise CountError(f"expected {len(batch)} answers, received {len(answers)}")
        except Exception as error:  # noqa: BLE001 - whatever a library throws is somebody's answer
            if len(batch) == 1:
                batch[0].error = error
                return
            if self._is_memory(error):
                fitting = max(1, sum(wish.size_bytes for wish in batch) // 2)
                self._most_bytes = min(self._most_bytes or fitting, fitting)
            half = len(batch) // 2
            self._settle(batch[:half])
            self._settle(batch[half:])
            return
        for wish, answer in zip(batch, answers, strict=True):
            if isinstance(answer, Exception):
                wish.error = answer
            elif answer is None:
                wish.error = CountError("received no answer")
            else:
                wish.answer = answer
