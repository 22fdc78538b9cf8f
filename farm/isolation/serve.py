"""What a lane does: takes one entry at a time, makes its pictures and answers with bytes."""

import io
import socket
from dataclasses import asdict
from typing import Any, BinaryIO

import torch

from farm import pipeline
from farm.engines import Source
from farm.errors import FarmError, InternalError, LaneMemoryError, SourceError
from farm.isolation import wire
from farm.range_file import RangeFile
from farm.settings import Limits
from farm.spec import Entry

_READ_BYTES = 256 << 10


def warm_up() -> None:
    """Loads what every entry needs, before the fork, without starting a thread."""
    torch.set_num_threads(1)
    pipeline.warm_up()


def serve(sock: socket.socket) -> None:
    """Answers requests until the worker closes its end."""
    while True:
        try:
            request = wire.receive(sock, most_fds=1)
        except (EOFError, ConnectionError):
            return
        header, payloads = _answer(sock, request)
        wire.send(sock, header, payloads=payloads)


def _answer(sock: socket.socket, request: wire.Message) -> tuple[dict[str, Any], list[bytes]]:
    try:
        with _open(sock, request) as file, io.BufferedReader(file, _READ_BYTES) as buffered:
            header, payloads = _work(request.header, buffered)
            return header | {"bytes_read": file.bytes_read}, payloads
    except FarmError as error:
        return _failure(error)
    except MemoryError:
        return _failure(LaneMemoryError("the entry needed more memory than a lane may have"))
    except Exception as error:  # noqa: BLE001 - a lane answers for whatever a codec throws
        if "can't allocate memory" in str(error):
            return _failure(LaneMemoryError("the entry needed more memory than a lane may have"))
        return _failure(InternalError(f"{type(error).__name__}: {error}"[:500]))


def _failure(error: FarmError) -> tuple[dict[str, Any], list[bytes]]:
    return {"op": "error", "code": error.code, "message": str(error)}, []


@torch.inference_mode()
def _work(header: dict[str, Any], file: BinaryIO) -> tuple[dict[str, Any], list[bytes]]:
    entry = Entry.model_validate(header["entry"])
    limits = Limits.model_validate(header["limits"])
    source = Source(file, header["size_bytes"], header["name"])
    if header["op"] == "probe":
        info, plans = pipeline.probe(entry, header["row"], source, limits=limits)
        shown = [{k: v for k, v in asdict(plan).items() if k != "spec"} for plan in plans]
        return {"op": "probed", "info": asdict(info), "plans": shown}, []
    result = pipeline.make_thumbnails(entry, header["row"], source, limits=limits)
    facts = [
        {name: value for name, value in asdict(_).items() if name != "data"}
        | {"size_bytes": len(_.data)}
        for _ in result.thumbnails
    ]
    reply = {
        "op": "made",
        "thumbnails": facts,
        "engine": result.engine,
        "engine_version": result.engine_version,
        "fallback": result.fallback,
        "warnings": list(result.warnings),
        "notes": result.notes,
        "timings_ms": result.timings_ms,
    }
    return reply, [thumbnail.data for thumbnail in result.thumbnails]


def _open(sock: socket.socket, request: wire.Message) -> "_LocalFile | _BrokerFile":
    if request.fds:
        return _LocalFile(request.fds[0])
    return _BrokerFile(sock, request.header["size_bytes"])


class _LocalFile(io.FileIO):
    """A local source, opened by the worker, that counts what is read of it."""

    bytes_read = 0

    def readinto(self, buffer: Any) -> int | None:
        count = super().readinto(buffer)
        self.bytes_read += count or 0
        return count

    def readall(self) -> bytes:
        data = super().readall()
        self.bytes_read += len(data)
        return data


class _BrokerFile(RangeFile):
    """A remote source: each read is asked of the worker, which alone can reach a store."""

    def __init__(self, sock: socket.socket, size_bytes: int) -> None:
        super().__init__(self._ask, size_bytes)
        self._sock = sock

    def _ask(self, offset: int, length: int) -> bytes:
        wire.send(self._sock, {"op": "read", "offset": offset, "length": length})
        answer = wire.receive(self._sock)
        if "error" in answer.header:
            raise SourceError(answer.header["error"])
        return answer.payload
