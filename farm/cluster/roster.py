"""Which workers have slots for this client, and which are refused for what they run."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from farm.cluster.plugin import SHARD_SLOT, SLOT_PREFIX
from farm.cluster.release import difference
from farm.errors import ClusterError

# A cluster that is being updated has others soon; one that is not never will.
_REFUSED_SECONDS = 20.0
_MOST_NAMED = 5


class Roster:
    """The workers of a scheduler, as of the last look at them.

    `ready` are the addresses of those that have slots; `pages` is where these serve /metrics, each
    as HOST:PORT. `notice` is told once of each release that workers run and this client does not.
    """

    def __init__(self, notice: Callable[[str], object]) -> None:
        self.ready: tuple[str, ...] = ()
        self.pages: tuple[str, ...] = ()
        self._notice = notice
        self._refused: dict[str, str] = {}
        self._told: set[str] = set()
        self._others = 0
        self._was_ready = False
        self._seen = time.monotonic()

    def read(self, workers: Mapping[str, Mapping[str, Any]]) -> None:
        """Takes in what the scheduler tells of its workers, by their addresses."""
        resources = {address: facts["resources"] for address, facts in workers.items()}
        self.ready = tuple(each for each, held in resources.items() if held.get(SHARD_SLOT))
        self.pages = tuple(filter(None, (_page(workers[each]) for each in self.ready)))
        releases = {each: _other_release(held) for each, held in resources.items()}
        self._refused = {
            each: f"worker {_name(each, workers[each])} {difference(release, whose='this client')}"
            for each, release in releases.items()
            if release
        }
        self._others = len(workers) - len(self._refused)
        if self.ready:
            self._was_ready = True
            self._seen = time.monotonic()
        for each, message in self._refused.items():
            if releases[each] not in self._told:
                self._told.add(releases[each])
                self._notice(f"{message}; such workers get no work")

    def forget(self) -> None:
        """Takes in that nothing is known any more: the scheduler is gone."""
        self.ready = self.pages = ()
        self._refused = {}
        self._others = 0

    def begin(self) -> None:
        """Starts the patience anew: there is a scheduler again."""
        self._seen = time.monotonic()

    def check(self, patience_seconds: float) -> None:
        """Raises ClusterError where no worker has been ready for longer, or none can ever be."""
        silent = time.monotonic() - self._seen
        is_hopeless = bool(self._refused) and not self._others and not self._was_ready
        if is_hopeless and silent > _REFUSED_SECONDS:
            raise ClusterError(self._all_refused())
        if silent > patience_seconds:
            raise ClusterError(
                f"no worker has had lanes for {silent:.0f} s: expected at least one worker with "
                "thumbfarm installed; see the workers' logs"
            )

    def _all_refused(self) -> str:
        messages = list(self._refused.values())
        more = len(messages) - _MOST_NAMED
        named = "; ".join(messages[:_MOST_NAMED])
        return f"no worker can be used: {named}" + (f"; and {more} more" if more > 0 else "")


def _page(facts: Mapping[str, Any]) -> str | None:
    """Where a worker serves its pages, None where it serves none."""
    port = facts.get("services", {}).get("dashboard")
    if port is None:
        return None
    host = str(facts["host"])
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _other_release(resources: Mapping[str, float]) -> str:
    """The release that a worker said it runs, where it is not ours; else nothing."""
    names = [name for name in resources if name.startswith(SLOT_PREFIX)]
    return "" if not names or SHARD_SLOT in names else names[0].removeprefix(SLOT_PREFIX)


def _name(address: str, facts: Mapping[str, Any]) -> str:
    return address if facts["name"] == address else f"{address} ({facts['name']})"
