"""Opening a video stream with torchcodec, once PyAV has opened, checked and chosen it."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torchcodec.decoders import (
    Demuxer,
    VideoDecoder,
    VideoPacketDecoder,
    VideoStream,
    VideoStreamHeaderMetadata,
)

from farm.engines import Source
from farm.engines.torchcodec_file import CallbackFile
from farm.engines.torchcodec_frames import check_layout
from farm.errors import EngineUnavailableError, UnsupportedFormatError
from farm.geometry import Size

# Containers with an index or a seek of their own, and presentation times of all frames.
_BY_CALLBACKS = frozenset(("flv", "matroska", "mov", "mp4", "webm"))
# Those in which libavformat seeks by halves: it must know the size, which torchcodec knows of
# memory only, and so the file must be there.
_IN_MEMORY = frozenset(("mpegts",))
_MOST_BYTES_IN_MEMORY = 64 << 20

_GPU_WORDS = ("CUDA", "cuda", "NVDEC")
# What NVDEC says to streams of one codec, layout and size, as long as the process lives.
_refusals: dict[tuple[object, ...], str] = {}


@dataclass(frozen=True, slots=True)
class Followed:
    """One video stream that torchcodec demuxes and decodes.

    `refusal` tells why a decoder of the GPU does its work on the CPU after all.
    """

    demuxer: Demuxer
    decoder: VideoPacketDecoder
    header: VideoStreamHeaderMetadata
    file: CallbackFile | None
    refusal: str = ""

    def check(self) -> None:
        """Raises the error that reading the source has met, if any."""
        if self.file is not None:
            self.file.check()


def check_format(source: Source, format_name: str) -> None:
    """Raises UnsupportedFormatError for containers that torchcodec cannot seek surely."""
    if format_name not in _BY_CALLBACKS | _IN_MEMORY:
        raise UnsupportedFormatError(
            f"{source.name}: engine torchcodec takes {', '.join(sorted(_BY_CALLBACKS))} and "
            f"{', '.join(sorted(_IN_MEMORY))}; received {format_name}"
        )
    if format_name in _IN_MEMORY and source.size_bytes > _MOST_BYTES_IN_MEMORY:
        raise UnsupportedFormatError(
            f"{source.name}: {source.size_bytes} bytes, and engine torchcodec, which takes "
            f"{format_name} into memory, takes {_MOST_BYTES_IN_MEMORY} at most"
        )


def follow(
    source: Source, *, format_name: str, index: int, codec: str, size: Size, device: str
) -> Followed:
    """Opens stream number `index`, which PyAV found to have that codec and coded size.

    Raises UnsupportedFormatError where torchcodec cannot, or sees another stream there, and
    EngineUnavailableError where the GPU does not work.
    """
    data = _data(source, format_name)
    file = data if isinstance(data, CallbackFile) else None
    try:
        demuxer = Demuxer(data, streams=index)
        (stream,) = demuxer.streams
        if not isinstance(stream, VideoStream):
            raise UnsupportedFormatError(
                f"{source.name}: torchcodec finds sound where PyAV does not"
            )
        header = stream.metadata
        _check(header, codec=codec, size=size, name=source.name)
        decoder = stream.make_decoder(device)
        refusal = _refusal(source, format_name, stream) if device != "cpu" else ""
    # A pixel may be declared to be of no height.
    except (RuntimeError, ValueError, ZeroDivisionError) as error:
        if file is not None:
            file.check()
        raise_foreign(error, name=source.name)
        raise UnsupportedFormatError(
            f"{source.name}: torchcodec cannot open it: {words_of(error)}"
        ) from error
    if file is not None:
        file.check()
    return Followed(demuxer, decoder, header, file, refusal)


def raise_foreign(error: Exception, *, name: str) -> None:
    """Raises what no source is to blame for: MemoryError, and EngineUnavailableError for a GPU."""
    words = words_of(error)
    if "out of memory" in words or "Cannot allocate memory" in words:
        raise MemoryError(f"{name}: torchcodec: {words}") from error
    if any(word in words for word in _GPU_WORDS):
        raise EngineUnavailableError(f"{name}: torchcodec: {words}") from error


def words_of(error: Exception) -> str:
    """The first line of an exception; behind it torch tells where in its code it was."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _data(source: Source, format_name: str) -> CallbackFile | Tensor:
    if format_name in _BY_CALLBACKS:
        return CallbackFile(source.file)
    return torch.frombuffer(bytearray(source.read_at(0, source.size_bytes)), dtype=torch.uint8)


def _check(header: VideoStreamHeaderMetadata, *, codec: str, size: Size, name: str) -> None:
    """Raises UnsupportedFormatError where the header is not that of the stream that was meant."""
    if header.codec != codec:
        raise UnsupportedFormatError(
            f"{name}: torchcodec finds {header.codec} where PyAV finds {codec}"
        )
    # As shown, which is turned by a quarter perhaps.
    if {header.width, header.height} != set(size):
        raise UnsupportedFormatError(
            f"{name}: torchcodec finds {header.width}x{header.height} pixels where PyAV finds "
            f"{size.width}x{size.height}"
        )
    if header.pixel_format is not None:
        check_layout(header.pixel_format, name=name)


def _refusal(source: Source, format_name: str, stream: VideoStream) -> str:
    """Why NVDEC does not decode the stream; empty where it does.

    A decoder of packets does not tell, and its frames lie on the GPU either way. So a decoder of
    whole videos is asked, once for all streams that NVDEC cannot tell apart. Unverified on a GPU.
    """
    header = stream.metadata
    kind = (header.codec, header.pixel_format, header.width, header.height)
    if kind not in _refusals:
        status = VideoDecoder(
            _data(source, format_name),
            stream_index=stream.index,
            device="cuda",
            seek_mode="approximate",
        ).cpu_fallback
        _refusals[kind] = str(status).rpartition(": ")[2] if status else ""
    return _refusals[kind]
