"""What libav's failures mean: exceptions become media errors that name source and cause."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import av
from av.error import FFmpegError

from farm.errors import (
    CorruptError,
    EncryptedError,
    MediaError,
    TooManyPixelsError,
    TruncatedError,
    UnsupportedFormatError,
)

_BY_WORDS: tuple[tuple[str, type[MediaError]], ...] = (
    ("moov atom not found", TruncatedError),
    ("max pixel count", TooManyPixelsError),
    ("Picture size", TooManyPixelsError),
    ("ncrypt", EncryptedError),
    ("cannot decode unknown codec", UnsupportedFormatError),
)
_BY_TYPE: tuple[tuple[type[Exception], type[MediaError]], ...] = (
    (av.error.EOFError, TruncatedError),
    (av.error.DecoderNotFoundError, UnsupportedFormatError),
    (av.error.DemuxerNotFoundError, UnsupportedFormatError),
    (av.error.PatchWelcomeError, UnsupportedFormatError),
    (av.error.NotImplementedError, UnsupportedFormatError),
)


class _Own(threading.local):
    """How many errors libav had logged before this thread opened its newest source.

    PyAV hands the last line to the next exception, even where it was written for an earlier file.
    """

    errors_before = 0


_own = _Own()
# Level and lines of the log are the process's: of several threads one listens at a time.
_EAR = threading.Lock()


@contextmanager
def heard(*, patience_seconds: float = 0.0) -> Iterator[bool]:
    """Lets libav's last error line reach the exceptions, and still none reaches the terminal.

    Gives whether it does: another thread may listen for longer than one has patience. Only for what
    runs on one thread: a decoder's own thread that logs while PyAV holds the interpreter's lock and
    waits for it never ends.
    """
    if not _EAR.acquire(timeout=patience_seconds):
        _own.errors_before = sys.maxsize
        yield False
        return
    before = av.logging.get_level()
    _own.errors_before = av.logging.get_last_error()[0]
    av.logging.set_level(av.logging.PANIC)
    try:
        yield True
    finally:
        av.logging.set_level(before)
        _EAR.release()


@contextmanager
def explained(name: str) -> Iterator[None]:
    """Turns what libav raises into a MediaError about the source `name`; lets MemoryError pass."""
    try:
        yield
    except MemoryError:
        raise
    except (FFmpegError, ValueError) as error:
        raise media_error(name, error) from error


def media_error(name: str, error: Exception) -> MediaError:
    """The MediaError that an exception of libav or of PyAV stands for."""
    cause = cause_of(error)
    for words, kind in _BY_WORDS:
        if words in cause:
            return kind(f"{name}: {cause}")
    for raised, kind in _BY_TYPE:
        if isinstance(error, raised):
            return kind(f"{name}: {cause}")
    return CorruptError(f"{name}: {cause}")


def cause_of(error: Exception) -> str:
    """The words of an exception, with the last line of libav's log where it has one."""
    if not isinstance(error, FFmpegError):
        return str(error)
    words = error.strerror or type(error).__name__
    # The log is (level, context, message) here, though the stubs nest it once more.
    log = error.log
    is_fresh = av.logging.get_last_error()[0] > _own.errors_before
    return f"{words}: {str(log[2]).strip()}" if is_fresh and log and len(log) == 3 else words
