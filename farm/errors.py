"""The error tree: every failure that a record, an exit code or an HTTP status can carry.

    FarmError
    ├── UsageError                  the caller's words were wrong; nothing was tried
    │   ├── InvalidJobError         invalid_job
    │   ├── InvalidManifestError    invalid_manifest
    │   └── InvalidEntryError       invalid_entry
    ├── SourceError                 the bytes could not be had
    │   ├── SourceNotFoundError     source_not_found
    │   ├── SourceDeniedError       source_denied           (environment)
    │   ├── SourceUnavailableError  source_unavailable      (environment, retryable)
    │   ├── SourceTooLargeError     source_too_large
    │   └── SourceChangedError      source_changed          (retryable)
    ├── MediaError                  the bytes are there but give no picture
    │   ├── EmptyInputError         empty_input
    │   ├── NotMediaError           not_media
    │   ├── RefusedFormatError      refused_format
    │   ├── UnsupportedFormatError  unsupported_format
    │   │   └── UnsupportedColorError   unsupported_color
    │   ├── TruncatedError          truncated
    │   ├── CorruptError            corrupt
    │   ├── EncryptedError          encrypted
    │   ├── NoVideoStreamError      no_video_stream
    │   ├── NoFrameError            no_frame
    │   └── LimitError              limit_exceeded
    │       ├── TooManyPixelsError      too_many_pixels
    │       ├── TooManyFramesError      too_many_frames
    │       ├── TooManyPagesError       too_many_pages
    │       ├── TooManyStreamsError     too_many_streams
    │       ├── TooLongError            too_long
    │       ├── TooManyOutputsError     too_many_outputs
    │       └── OutputTooLargeError     output_too_large
    ├── EngineError                 engine_failed
    │   └── EngineUnavailableError  engine_unavailable      (environment)
    ├── EncodeError                 encode_failed
    ├── LaneError                   the isolated process did not survive the entry
    │   ├── LaneCrashError          decoder_crash           (retryable)
    │   ├── LaneTimeoutError        timeout                 (retryable)
    │   └── LaneMemoryError         out_of_memory           (retryable)
    ├── StoreError                  the result could not be stored
    │   ├── StoreDeniedError        store_denied            (environment)
    │   ├── StoreUnavailableError   store_unavailable       (environment, retryable)
    │   └── DiskFullError           disk_full               (environment, retryable)
    ├── RunError                    run_failed: the run cannot go on
    │   ├── RunConflictError        run_conflict
    │   └── ClusterError            cluster_failed
    ├── VaultError                  vault_failed: sealed credentials cannot be read
    └── InternalError               internal_error: a defect of ours, kept to its entry

`retryable`: trying the same entry again later may help. `environment`: the cause lies outside the
entry, so that many such failures in a row pause a run instead of failing an archive.
"""

from typing import ClassVar


class FarmError(Exception):
    """The root of all errors that the farm reports to people."""

    code: ClassVar[str] = "farm_error"
    http_status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False
    environment: ClassVar[bool] = False


class UsageError(FarmError):
    """The caller asked for something that is not allowed."""

    code = "usage"
    http_status = 422


class InvalidJobError(UsageError):
    """A job file or its command-line options break the schema."""

    code = "invalid_job"


class InvalidManifestError(UsageError):
    """A manifest as a whole cannot be read."""

    code = "invalid_manifest"


class InvalidEntryError(UsageError):
    """One row of a manifest breaks the schema."""

    code = "invalid_entry"


class SourceError(FarmError):
    """The bytes of a source cannot be had."""

    code = "source_failed"
    http_status = 424


class SourceNotFoundError(SourceError):
    """The source does not exist."""

    code = "source_not_found"


class SourceDeniedError(SourceError):
    """The source exists but the worker may not read it."""

    code = "source_denied"
    environment = True


class SourceUnavailableError(SourceError):
    """The store of the source does not answer or answers with an error of its own."""

    code = "source_unavailable"
    retryable = True
    environment = True


class SourceTooLargeError(SourceError):
    """The source has more bytes than the limits allow."""

    code = "source_too_large"


class SourceChangedError(SourceError):
    """The source was replaced while it was read."""

    code = "source_changed"
    retryable = True


class MediaError(FarmError):
    """The bytes are there but no picture can be made of them."""

    code = "media_failed"
    http_status = 422


class EmptyInputError(MediaError):
    """The source has no bytes."""

    code = "empty_input"


class NotMediaError(MediaError):
    """The first bytes belong to no known picture or video format."""

    code = "not_media"


class RefusedFormatError(MediaError):
    """A playlist, script or markup that would make a library read other files; never opened."""

    code = "refused_format"


class UnsupportedFormatError(MediaError):
    """A known format or codec that no engine here decodes."""

    code = "unsupported_format"


class UnsupportedColorError(UnsupportedFormatError):
    """Samples whose colours nothing here can turn into RGB; an engine that tried would be wrong."""

    code = "unsupported_color"


class TruncatedError(MediaError):
    """The file ends before the needed picture does."""

    code = "truncated"


class CorruptError(MediaError):
    """The decoder cannot make sense of the data."""

    code = "corrupt"


class EncryptedError(MediaError):
    """The samples are encrypted."""

    code = "encrypted"


class NoVideoStreamError(MediaError):
    """The file holds no video stream."""

    code = "no_video_stream"


class NoFrameError(MediaError):
    """The stream yields no frame for the position."""

    code = "no_frame"


class LimitError(MediaError):
    """What was met or asked for exceeds a limit."""

    code = "limit_exceeded"


class TooManyPixelsError(LimitError):
    """A still or a frame of the source has more pixels than the limits allow."""

    code = "too_many_pixels"


class TooManyFramesError(LimitError):
    """More frames would have to be read or decoded than the limits allow."""

    code = "too_many_frames"


class TooManyPagesError(LimitError):
    """A document has more pages than the limits allow."""

    code = "too_many_pages"


class TooManyStreamsError(LimitError):
    """A container holds more streams than the limits allow."""

    code = "too_many_streams"


class TooLongError(LimitError):
    """A video is longer than the limits allow."""

    code = "too_long"


class TooManyOutputsError(LimitError):
    """More files are asked of one entry than the limits allow."""

    code = "too_many_outputs"


class OutputTooLargeError(LimitError):
    """A picture or a clip that is asked for would be larger than the limits allow."""

    code = "output_too_large"


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


class StoreError(FarmError):
    """A result cannot be stored."""

    code = "store_failed"
    http_status = 424


class StoreDeniedError(StoreError):
    """The worker may not write to the destination."""

    code = "store_denied"
    environment = True


class StoreUnavailableError(StoreError):
    """The destination does not answer or answers with an error of its own."""

    code = "store_unavailable"
    retryable = True
    environment = True


class DiskFullError(StoreError):
    """No space is left at the destination or in the temporary folder."""

    code = "disk_full"
    retryable = True
    environment = True


class RunError(FarmError):
    """The run as a whole cannot go on."""

    code = "run_failed"


class RunConflictError(RunError):
    """The ledger holds something that this run may not continue."""

    code = "run_conflict"
    http_status = 409


class ClusterError(RunError):
    """The cluster cannot be started or reached, or lost its workers for good."""

    code = "cluster_failed"
    retryable = True


class VaultError(FarmError):
    """Credentials that the service sealed cannot be opened any more."""

    code = "vault_failed"


class InternalError(FarmError):
    """A defect of the farm itself, kept to the entry that met it."""

    code = "internal_error"


def _tree(root: type[FarmError]) -> dict[str, type[FarmError]]:
    found = {root.code: root}
    for child in root.__subclasses__():
        found |= _tree(child)
    return found


def error_classes() -> dict[str, type[FarmError]]:
    """All classes of the tree by their code."""
    return _tree(FarmError)


def error_from(code: str, message: str) -> FarmError:
    """The error of that code, as it was before it crossed a process boundary."""
    return error_classes().get(code, InternalError)(message)
