"""What a lane does: takes one entry at a time, makes its pictures and answers with bytes."""

import gc
import io
import os
import socket
from dataclasses import asdict
from typing import Any

import torch

from farm import pipeline
from farm.engines import Device, Source
from farm.errors import FarmError, InternalError, LaneError, LaneMemoryError, SourceError
from farm.isolation import pulse, wire
from farm.isolation.wire import MOST_READ_BYTES
from farm.range_file import RangeFile
from farm.settings import Limits
from farm.sniff import HEAD_BYTES
from farm.spec import Entry

# What little reads, such as those of Pillow's parsers, are made of. More would be read in vain by
# those that hop about, and longer reads go past it anyway.
_BUFFER_BYTES = 64 << 10


def warm_up() -> None:
    """Loads what every entry needs, before the fork, without starting a thread."""
    torch.set_num_threads(1)
    pipeline.warm_up()
    # All that was loaded stays: collections need not look at it, nor copy its pages to the lanes.
    gc.collect()
    gc.freeze()


def serve(sock: socket.socket, *, device: Device = "cpu") -> None:
    """Answers requests until the worker closes its end; a GPU's lane has many that do so."""
    while True:
        try:
            request = wire.receive(sock, most_fds=1)
        except (EOFError, ConnectionError):
            return
        header, payloads = _answer(sock, request, device)
        wire.send(sock, header, payloads=payloads)
        # A frame of PyAV whose side data was looked at is part of a cycle: tens of megabytes that
        # would wait for the collector, which counts objects and not bytes.
        del request, payloads
        if device == "cpu":
            gc.collect()


def _answer(
    sock: socket.socket, request: wire.Message, device: Device
) -> tuple[dict[str, Any], list[bytes]]:
    try:
        with _open(sock, request) as file, io.BufferedReader(file, _BUFFER_BYTES) as buffered:
            header, size_bytes = request.header, request.header["size_bytes"]
            source = Source(buffered, size_bytes, header["name"], file.head, file.read_at)
            header, payloads = _work(header, source, device)
            return header | {"bytes_read": file.bytes_read}, payloads
    except FarmError as error:
        return _failure(error)
    except (MemoryError, torch.OutOfMemoryError):
        return _failure(LaneMemoryError("the entry needed more memory than a lane may have"))
    except Exception as error:  # noqa: BLE001 - a lane answers for whatever a codec throws
        if "can't allocate memory" in str(error):
            return _failure(LaneMemoryError("the entry needed more memory than a lane may have"))
        message = f"{type(error).__name__}: {error}"[:500]
        if device == "cpu":
            return _failure(InternalError(message))
        pulse.end_if_lost(torch.cuda.synchronize)
        # What a GPU's libraries stumble over is no verdict on the entry: it is tried in a lane.
        return _failure(LaneError(f"the GPU's process could not make it: {message}"))


def _failure(error: FarmError) -> tuple[dict[str, Any], list[bytes]]:
    return {"op": "error", "code": error.code, "message": str(error)}, []


@torch.inference_mode()
def _work(
    header: dict[str, Any], source: Source, device: Device
) -> tuple[dict[str, Any], list[bytes]]:
    entry = Entry.model_validate(header["entry"])
    limits = Limits.model_validate(header["limits"])
    if header["op"] == "probe":
        info, plans = pipeline.probe(entry, header["row"], source, limits=limits)
        shown = [{k: v for k, v in asdict(plan).items() if k != "spec"} for plan in plans]
        return {"op": "probed", "info": asdict(info), "plans": shown}, []
    result = pipeline.make_thumbnails(entry, header["row"], source, limits=limits, device=device)
    # What `Made` reads of them; names are the worker's own.
    facts = [
        {
            "output": each.output,
            "index": each.index,
            "width": each.width,
            "height": each.height,
            "size_bytes": len(each.data),
            "pts_seconds": each.pts_seconds,
        }
        for each in result.files
    ]
    reply = {
        "op": "made",
        "files": facts,
        "engine": result.engine,
        "engine_version": result.engine_version,
        "fallback": result.fallback,
        "warnings": list(result.warnings),
        "notes": result.notes,
        "timings_ms": result.timings_ms,
    }
    return reply, [file.data for file in result.files]


def _open(sock: socket.socket, request: wire.Message) -> "_LocalFile | _BrokerFile":
    if request.fds:
        return _LocalFile(request.fds[0])
    return _BrokerFile(sock, request.header["size_bytes"], head=request.payload)


class _LocalFile(io.FileIO):
    """A local source, opened by the worker, that counts what is read of it."""

    def __init__(self, fd: int) -> None:
        super().__init__(fd)
        self.bytes_read = 0
        self.head = self.read_at(0, HEAD_BYTES)

    def readinto(self, buffer: Any) -> int | None:
        count = super().readinto(buffer)
        self.bytes_read += count or 0
        return count

    def readall(self) -> bytes:
        data = super().readall()
        self.bytes_read += len(data)
        return data

    def read_at(self, offset: int, length: int) -> bytes:
        """The bytes at an offset, which need not be where the file is."""
        data = os.pread(self.fileno(), length, offset)
        self.bytes_read += len(data)
        return data


class _BrokerFile(RangeFile):
    """A remote source: each read is asked of the worker, which alone can reach a store."""

    def __init__(self, sock: socket.socket, size_bytes: int, *, head: bytes) -> None:
        super().__init__(self.read_at, size_bytes, head=head)
        self.bytes_read = len(head)
        self.head = head
        self._sock = sock
        self._size_bytes = size_bytes

    def read_at(self, offset: int, length: int) -> bytes:
        """The bytes at an offset, in one request unless they are very many."""
        end = min(offset + length, self._size_bytes)
        steps = range(offset, end, MOST_READ_BYTES)
        return b"".join(self._ask(at, min(MOST_READ_BYTES, end - at)) for at in steps)

    def _ask(self, offset: int, length: int) -> bytes:
        wire.send(self._sock, {"op": "read", "offset": offset, "length": length})
        answer = wire.receive(self._sock)
        if "error" in answer.header:
            raise SourceError(answer.header["error"])
        self.bytes_read += len(answer.payload)
        return answer.payload
