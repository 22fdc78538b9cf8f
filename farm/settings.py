"""Limits and settings of a run, each with its default and its bounds."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

_MIB = 1 << 20
_GIB = 1 << 30

GPU_ENGINES = frozenset({"dali", "nvdec", "nvimgcodec", "torchcodec"})
"""The engines made for GPUs. An entry that names one is worked on by a GPU where there is one."""


class Limits(BaseModel):
    """Bounds on what one entry may cost; what exceeds them is a failed record."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source_bytes: int = Field(20 * _GIB, ge=1, description="bytes of one source")
    image_pixels: int = Field(100_000_000, ge=1, description="pixels of one still picture")
    frame_pixels: int = Field(8192 * 8192, ge=1, description="pixels of one video frame")
    duration_seconds: float = Field(24 * 3600.0, gt=0, description="length of one video")
    frames: int = Field(10_000, ge=1, description="frames decoded for one entry")
    pages: int = Field(10_000, ge=1, description="pages of one TIFF that is at hand")
    streams: int = Field(64, ge=1, description="streams in one container")
    outputs: int = Field(1000, ge=1, description="pictures made of one entry")
    output_side_pixels: int = Field(16_383, ge=1, description="longer side of a made picture")
    output_pixels: int = Field(100_000_000, ge=1, description="pixels of a made picture")
    clip_bytes: int = Field(256 * _MIB, ge=1, description="bytes of a made clip")


class Isolation(StrEnum):
    """What keeps a decoder that a file has taken over from doing harm; see docs/security.md.

    `none`: a process of its own; `process`: bounds on its memory too; `sandbox`: it can also open
    no file, reach no network and start nothing, as far as the kernel offers that.
    """

    NONE = "none"
    PROCESS = "process"
    SANDBOX = "sandbox"


@dataclass(frozen=True, slots=True)
class LaneRules:
    """What a worker's lanes may have, and when each is replaced by a fresh one."""

    memory_bytes: int
    entries: int = 2000
    seconds: float = 3600.0
    resident_bytes: int = 2 * _GIB
    isolation: Isolation = Isolation.SANDBOX


class Settings(BaseModel):
    """How a run is carried out; nothing here changes a single output pixel."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    limits: Limits = Limits()
    lanes: int = Field(0, ge=0, description="lanes per worker; 0 = one per usable core")
    reserved_lanes: int = Field(
        0, ge=0, description="lanes per worker beside these, for urgent entries alone"
    )
    lane_memory_bytes: int = Field(4 * _GIB, ge=64 * _MIB, description="memory of one lane")
    isolation: Isolation = Field(
        Isolation.SANDBOX, description="none, process or sandbox: what lanes are kept from"
    )
    lane_entries: int = Field(2000, ge=1, description="entries after which a lane is replaced")
    lane_seconds: float = Field(3600.0, gt=0, description="age at which a lane is replaced")
    lane_resident_bytes: int = Field(
        2 * _GIB, ge=64 * _MIB, description="memory in use at which a lane is replaced"
    )
    gpus: int | Literal["all"] = Field(0, description="GPUs of each worker: all, none or a number")
    gpu_seats: int = Field(16, ge=1, le=256, description="entries that a GPU works on at once")
    worker_seconds: float = Field(
        86_400.0, gt=0, description="age at which a worker leaves, to be started anew"
    )
    worker_memory_bytes: int = Field(
        4 * _GIB, ge=64 * _MIB, description="memory in use, without lanes, at which it does"
    )
    shard_entries: int = Field(500, ge=1, description="most entries of one shard")
    shard_bytes: int = Field(2 * _GIB, ge=1, description="most source bytes of one shard")
    shard_seconds: float = Field(300.0, gt=0, description="time budget of one shard attempt")
    drain_seconds: float = Field(30.0, ge=0, description="time for running entries after a drain")
    stuck_seconds: float = Field(
        300.0, gt=0, description="time past all time limits after which a worker is started anew"
    )
    pause_seconds: float = Field(600.0, ge=0, description="longest pause before the run gives up")

    @field_validator("gpus", mode="before")
    @classmethod
    def _check_gpus(cls, value: Any) -> int | Literal["all"]:
        if value == "all":
            return "all"
        if value == "none":
            return 0
        if isinstance(value, int | str) and str(value).isdecimal():
            return int(value)
        raise ValueError(f"expected all, none or a number, received {value!r}")

    @property
    def lane_rules(self) -> LaneRules:
        """What concerns one lane."""
        return LaneRules(
            memory_bytes=self.lane_memory_bytes,
            entries=self.lane_entries,
            seconds=self.lane_seconds,
            resident_bytes=self.lane_resident_bytes,
            isolation=self.isolation,
        )
