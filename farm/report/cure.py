"""What a code means and what to do about it: the words of `docs/errors.md`, for those who look."""

from farm.errors import error_classes

_LIMIT = "raise the limit"
_STORE = "nothing, if it passes; else look after the store"

_CURES = {
    # The request.
    "usage": "farm COMMAND --help",
    "invalid_job": "correct the field; farm schema job prints the schema",
    "invalid_manifest": "see Manifests; a prefix to be listed ends in a slash",
    "invalid_entry": (
        "correct the row and run again: only changed rows are done; --strict checks all rows "
        "before anything is made"
    ),
    # The source.
    "source_failed": "see the message",
    "source_not_found": "correct the source",
    "source_denied": "check permissions and the profiles on the worker's machine",
    "source_unavailable": _STORE,
    "source_too_large": _LIMIT,
    "source_changed": "run with --retry-failed; for a listed prefix with --refresh",
    # The media.
    "media_failed": "see the codes below",
    "empty_input": "replace the file",
    "not_media": "leave the file out",
    "refused_format": "convert it first",
    "unsupported_format": "name no engine, or convert the file",
    "unsupported_color": "convert the file, for instance to HDR10",
    "truncated": "fetch the file again",
    "corrupt": "replace the file",
    "encrypted": "provide a clear copy",
    "no_video_stream": "leave the file out",
    "no_frame": "ask for another position",
    "limit_exceeded": "see the message",
    "too_many_pixels": _LIMIT,
    "too_many_frames": "raise the limit, or ask for fewer or inexact positions",
    "too_many_pages": _LIMIT,
    "too_many_streams": _LIMIT,
    "too_long": _LIMIT,
    "too_many_outputs": "raise the limit, or ask for fewer",
    "output_too_large": "raise the limit, or ask for a smaller one",
    # Decoding and encoding.
    "engine_failed": "name another engine; report the file",
    "engine_unavailable": ("the message tells how to install it; farm doctor lists what there is"),
    "encode_failed": "ask for a smaller picture or another format",
    # The lane.
    "lane_failed": (
        "nothing: the second try is made by the run; a GPU that stumbles often is told by "
        "scripts/gpu_check"
    ),
    "decoder_crash": "report the file; name another engine",
    "timeout": "raise timeout in the output",
    "out_of_memory": "raise settings.lane_memory_bytes, or lower settings.lanes",
    # The destination.
    "store_failed": "see the message; web addresses can only be read",
    "store_denied": "check permissions and profiles",
    "store_unavailable": _STORE,
    "disk_full": ("make room; the run goes on by itself or when it is started again"),
    # The run, the service, and ours.
    "run_failed": "see the message; the same command goes on",
    "run_conflict": ("let the other run finish, or take over; use its version or another ledger"),
    "cluster_failed": (
        "check the address and the workers' logs; farm doctor on a worker's machine; the same "
        "command goes on"
    ),
    "vault_failed": "put the key back, or send the request once more",
    "internal_error": "report it with its message",
    "farm_error": "see the codes above",
}


def cure_of(code: str) -> str:
    """What to do about failures of a code; nothing where that is unknown."""
    return _CURES.get(code, "")


def meaning_of(code: str) -> str:
    """What a code says; nothing where it is unknown, as from a newer farm."""
    known = error_classes().get(code)
    return (known.__doc__ or "").partition("\n")[0] if known is not None else ""
