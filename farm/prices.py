"""What a run used, what that costs at given prices, and for how long it goes on costing."""

from dataclasses import asdict, dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

_HOUR_SECONDS = 3600.0
_GB = 1e9


class Prices(BaseModel):
    """What a worker, a lane, a request and a stored byte cost; nothing, unless it is said.

    A GB has 10^9 bytes. They change neither a picture nor what a run does.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    currency: str = Field(
        "", pattern="^([A-Za-z]{0,12}|[$£¥€])$", description="what all of it is in: EUR, $"
    )
    worker_hour: float = Field(
        0.0, ge=0, allow_inf_nan=False, description="a worker for an hour, busy or not"
    )
    lane_hour: float = Field(
        0.0, ge=0, allow_inf_nan=False, description="a lane for an hour, where cores are paid for"
    )
    gb_read: float = Field(0.0, ge=0, allow_inf_nan=False, description="10^9 bytes of sources read")
    get_thousand: float = Field(
        0.0, ge=0, allow_inf_nan=False, description="1,000 requests for sources"
    )
    put_thousand: float = Field(
        0.0, ge=0, allow_inf_nan=False, description="1,000 objects written, those of the ledger too"
    )
    gb_month_stored: float = Field(
        0.0, ge=0, allow_inf_nan=False, description="10^9 stored bytes for a month"
    )

    @property
    def are_given(self) -> bool:
        """Whether anything costs anything."""
        return any(getattr(self, name) for name in type(self).model_fields if name != "currency")


@dataclass(frozen=True, slots=True)
class Usage:
    """What so many entries took, or will take.

    `seconds` is the time in which any worker had something to do, `worker_seconds` the sum of that
    over workers, `lane_seconds` over the lanes that they had, `busy_seconds` over the lanes that
    worked. `requests` are those for sources in stores; `files` are what was made of them.
    """

    entries: float = 0
    seconds: float = 0.0
    worker_seconds: float = 0.0
    lane_seconds: float = 0.0
    busy_seconds: float = 0.0
    bytes_read: float = 0
    requests: float = 0
    files: float = 0
    file_bytes: float = 0
    ledger_objects: float = 0
    ledger_bytes: float = 0


@dataclass(frozen=True, slots=True)
class Cost:
    """What a usage costs, by what is paid for; `stored_month` is what keeping it costs each month.

    `total` is paid once, so it is without that.
    """

    workers: float
    lanes: float
    read: float
    gets: float
    puts: float
    stored_month: float

    @property
    def total(self) -> float:
        """All that is paid once."""
        return self.workers + self.lanes + self.read + self.gets + self.puts


def cost_fields(usage: Usage, prices: Prices) -> dict[str, Any] | None:
    """The cost for machines to read, in its currency; None where nothing costs anything."""
    if not prices.are_given:
        return None
    cost = cost_of(usage, prices)
    return {"currency": prices.currency, "total": cost.total} | asdict(cost)


def cost_of(usage: Usage, prices: Prices) -> Cost:
    """What a usage costs; it is linear in each of its figures.

    Workers are paid for while they have a shard, whether or not all of their lanes are busy: a
    machine costs the same either way. That they may stand idle before and after is not counted,
    because only who rents them knows for how long.
    """
    return Cost(
        workers=usage.worker_seconds / _HOUR_SECONDS * prices.worker_hour,
        lanes=usage.lane_seconds / _HOUR_SECONDS * prices.lane_hour,
        read=usage.bytes_read / _GB * prices.gb_read,
        gets=usage.requests / 1000 * prices.get_thousand,
        puts=(usage.files + usage.ledger_objects) / 1000 * prices.put_thousand,
        stored_month=(usage.file_bytes + usage.ledger_bytes) / _GB * prices.gb_month_stored,
    )
