"""What a caller can do about a failure, by its code."""

_NOTHING = "Nothing on your side; the operator finds more in the service's log."
_SOURCE = "Check the source's address, and that it may be read from here."
_DAMAGED = "The file is damaged: get a whole copy and send that."

_ADVICE = {
    # The request.
    "usage": "Correct the request.",
    "invalid_job": "Correct the request.",
    "invalid_manifest": "Correct the request.",
    "invalid_entry": "Correct the option that the message names.",
    # The source.
    "source_failed": _SOURCE,
    "source_not_found": "There is no such file: check its address.",
    "source_denied": "Reading it is not allowed: check the credentials, or ask the operator.",
    "source_unavailable": "The server does not answer: retry the task later.",
    "source_too_large": "Send a smaller file, or ask the operator for a higher limit.",
    "source_changed": "The file changed while it was read: retry the task.",
    # The media.
    "media_failed": _DAMAGED,
    "empty_input": "The file is empty: check where it comes from.",
    "not_media": "This is neither a picture nor a video: check what the address really gives.",
    "refused_format": "Such files are refused for safety: convert it to a plain format first.",
    "unsupported_format": "No engine knows this format: convert it first.",
    "unsupported_color": "Convert the file to a usual colour space first.",
    "truncated": "The end of the file is missing: send all of it.",
    "corrupt": _DAMAGED,
    "encrypted": "Remove the password or the protection first.",
    "no_video_stream": "The file has sound only; there is nothing to show.",
    "no_frame": "There is no picture at that moment: choose another, or accuracy fast.",
    "limit_exceeded": "Send a smaller file, or ask the operator for a higher limit.",
    "too_many_pixels": "Send a smaller file, or ask the operator for a higher limit.",
    "too_many_frames": "Ask for fewer or inexact positions, or the operator for more.",
    "too_many_pages": "Send a smaller file, or ask the operator for a higher limit.",
    "too_many_streams": "Send a smaller file, or ask the operator for a higher limit.",
    "too_long": "Send a smaller file, or ask the operator for a higher limit.",
    "too_many_outputs": "Ask for fewer pictures, or ask the operator for a higher limit.",
    "output_too_large": "Ask for a smaller one, or ask the operator for a higher limit.",
    # The work.
    "engine_failed": "Leave the engine to the service, or name another one.",
    "engine_unavailable": "Leave the engine to the service, or name another one.",
    "encode_failed": "Choose another size or format.",
    "lane_failed": "Retry the task.",
    "decoder_crash": "The file brings its decoder down: convert it first, or name another engine.",
    "timeout": "Raise the timeout, or send a shorter file.",
    "out_of_memory": "The file needs more memory than it may have: send a smaller one.",
    # The destination.
    "store_failed": "Check the destination.",
    "store_denied": "Writing there is not allowed: check the credentials, or ask the operator.",
    "store_unavailable": "The destination does not answer: retry the task later.",
    "disk_full": "The disk is full: tell the operator, and retry later.",
    # The service.
    "run_failed": _NOTHING,
    "run_conflict": _NOTHING,
    "cluster_failed": "No worker is there at the moment: retry the task later.",
    "internal_error": "A defect of the service: report the task's id to the operator.",
    "farm_error": _NOTHING,
    "vault_failed": "Send the request once more: its credentials can no longer be read.",
    "interrupted": "The service ended again and again under this task: tell the operator.",
    "input_task_failed": "",
    "no_input_files": "The tasks before this one gave no file: see there.",
    "cancelled": "",
}


def advice_on(code: str | None) -> str:
    """What to do; empty where there is nothing to say, or nothing is known."""
    return _ADVICE.get((code or "").lower(), "")
