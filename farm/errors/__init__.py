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

from farm.errors.command import (
    ClusterError,
    InternalError,
    InvalidEntryError,
    InvalidJobError,
    InvalidManifestError,
    RunConflictError,
    RunError,
    UsageError,
    VaultError,
)
from farm.errors.media import (
    CorruptError,
    EmptyInputError,
    EncryptedError,
    LimitError,
    MediaError,
    NoFrameError,
    NotMediaError,
    NoVideoStreamError,
    OutputTooLargeError,
    RefusedFormatError,
    TooLongError,
    TooManyFramesError,
    TooManyOutputsError,
    TooManyPagesError,
    TooManyPixelsError,
    TooManyStreamsError,
    TruncatedError,
    UnsupportedColorError,
    UnsupportedFormatError,
)
from farm.errors.root import (
    FarmError,
)
from farm.errors.storage import (
    DiskFullError,
    SourceChangedError,
    SourceDeniedError,
    SourceError,
    SourceNotFoundError,
    SourceTooLargeError,
    SourceUnavailableError,
    StoreDeniedError,
    StoreError,
    StoreUnavailableError,
)
from farm.errors.work import (
    EncodeError,
    EngineError,
    EngineUnavailableError,
    LaneCrashError,
    LaneError,
    LaneMemoryError,
    LaneTimeoutError,
)

__all__ = [
    "ClusterError",
    "CorruptError",
    "DiskFullError",
    "EmptyInputError",
    "EncodeError",
    "EncryptedError",
    "EngineError",
    "EngineUnavailableError",
    "FarmError",
    "InternalError",
    "InvalidEntryError",
    "InvalidJobError",
    "InvalidManifestError",
    "LaneCrashError",
    "LaneError",
    "LaneMemoryError",
    "LaneTimeoutError",
    "LimitError",
    "MediaError",
    "NoFrameError",
    "NoVideoStreamError",
    "NotMediaError",
    "OutputTooLargeError",
    "RefusedFormatError",
    "RunConflictError",
    "RunError",
    "SourceChangedError",
    "SourceDeniedError",
    "SourceError",
    "SourceNotFoundError",
    "SourceTooLargeError",
    "SourceUnavailableError",
    "StoreDeniedError",
    "StoreError",
    "StoreUnavailableError",
    "TooLongError",
    "TooManyFramesError",
    "TooManyOutputsError",
    "TooManyPagesError",
    "TooManyPixelsError",
    "TooManyStreamsError",
    "TruncatedError",
    "UnsupportedColorError",
    "UnsupportedFormatError",
    "UsageError",
    "VaultError",
    "error_classes",
    "error_from",
]


def _tree(root: type[FarmError]) -> dict[str, type[FarmError]]:
    # What inherits its code, as an engine's own kind of an error does, does not stand for it.
    found = {root.code: root} if "code" in vars(root) else {}
    for child in root.__subclasses__():
        found |= _tree(child)
    return found


def error_classes() -> dict[str, type[FarmError]]:
    """All classes of the tree by their code."""
    return _tree(FarmError)


def error_from(code: str, message: str) -> FarmError:
    """The error of that code, as it was before it crossed a process boundary."""
    return error_classes().get(code, InternalError)(message)
