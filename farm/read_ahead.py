"""Reads many small things from where each read is a wait, some of them ahead of their use."""

import collections
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

_T = TypeVar("_T")
_R = TypeVar("_R")

# A store answers in tens of milliseconds: the wait is shared by so many, in the memory of as many.
DEPTH = 16
"""Reads under way at once, where nothing else is said."""


def read_ahead(
    read: Callable[[_T], _R], items: Iterable[_T], *, depth: int = DEPTH
) -> Iterator[_R]:
    """What `read` gives for each item, in their order, with up to `depth` reads under way.

    `items` is taken as far as that. The first read that raises ends it, with its error.
    """
    pending: collections.deque[Future[_R]] = collections.deque()
    with ThreadPoolExecutor(depth, "farm-read-ahead") as pool:
        try:
            for item in items:
                pending.append(pool.submit(read, item))
                if len(pending) >= depth:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for each in pending:
                each.cancel()
