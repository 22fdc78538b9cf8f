"""Errors of the work on an entry: engines, encoders, and the isolated process around them."""

from farm.errors.root import FarmError


class EngineError(FarmError):
    """An engine failed for a reason that it does not explain."""

    code = "engine_failed"


class EngineUnavailableError(EngineError):
    """A named engine cannot be loaded on this machine."""

    code = "engine_unavailable"
    environment = True


class EncodeError(FarmError):
    """A finished picture cannot be encoded."""

    code = "encode_failed"


class LaneError(FarmError):
    """The isolated process did not survive the entry."""

    code = "lane_failed"
    retryable = True


class LaneCrashError(LaneError):
    """The isolated process died of a signal or left without an answer."""

    code = "decoder_crash"


class LaneTimeoutError(LaneError):
    """The entry used up its time and its process was killed."""

    code = "timeout"
    http_status = 504


class LaneMemoryError(LaneError):
    """The entry needed more memory than its process may have."""

    code = "out_of_memory"
