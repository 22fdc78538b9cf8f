"""What a command asks of a run beside its job."""

import re
from dataclasses import dataclass

from farm.errors import InvalidJobError


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What a command asks of a run beside its job.

    `limit` and `sample` take the first N or N random entries of the manifest; `max_failures` is a
    number or a percentage (judged from 100 entries on), past which the run ends. `passes` is how
    often the run takes up by itself what failed and may succeed later.
    """

    limit: int | None = None
    sample: int | None = None
    retry_failed: bool = False
    force: bool = False
    refresh: bool = False
    strict: bool = False
    max_failures: str | None = None
    passes: int = 3

    def __post_init__(self) -> None:
        if self.max_failures is not None and not re.fullmatch(r"\d+%?", self.max_failures):
            raise InvalidJobError(
                f"max-failures: expected a number or a percentage like 5%, received "
                f"{self.max_failures!r}"
            )
        if self.limit is not None and self.sample is not None:
            raise InvalidJobError("expected limit or sample, received both")
        for name, value in (("limit", self.limit), ("sample", self.sample)):
            if value is not None and value < 1:
                raise InvalidJobError(f"{name}: expected at least 1, received {value}")
        if self.passes < 0:
            raise InvalidJobError(f"passes: expected at least 0, received {self.passes}")

    def allows(self, failures: int, entries: int) -> bool:
        """Whether so many failures among so many entries are tolerated."""
        if self.max_failures is None:
            return True
        if self.max_failures.endswith("%"):
            return entries < 100 or failures * 100 <= int(self.max_failures[:-1]) * entries
        return failures <= int(self.max_failures)
