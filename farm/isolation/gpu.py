"""The process of one GPU: many seats, each a thread that answers requests as a lane does.

It is started as `python -m farm.isolation FD BYTES --device cuda`, never forked: CUDA does not
survive that. Its address space is not bounded, because CUDA reserves far more than it uses. What
ends one of its threads badly ends it whole; the worker starts it anew. Unverified on a GPU: tests
run it on the device `cpu`.
"""

import contextlib
import gc
import os
import resource
import signal
import socket
import threading
from collections.abc import Callable

import torch

import kernels
from farm import engines, pipeline
from farm.engines import Device
from farm.errors import EngineUnavailableError
from farm.isolation import pulse, wire
from farm.isolation.serve import serve
from farm.isolation.zygote import be_first_to_go, silence

# Before the worker, after lanes.
_OOM_SCORE = 500
_WARM_SIDE_PIXELS = 64


def main(control_fd: int, memory_bytes: int, *, device: Device) -> None:
    """Gets the GPU ready, or says why it cannot, then opens seats until the worker is gone.

    `memory_bytes` bounds what it uses of the host's memory beyond what it has when it is ready.
    """
    for quiet in (signal.SIGINT, signal.SIGTERM):
        signal.signal(quiet, signal.SIG_IGN)
    control = socket.socket(fileno=control_fd)
    try:
        check = _warm_up(device)
    except Exception as error:  # noqa: BLE001 - whatever a library throws is why it cannot be used
        reason = f"{type(error).__name__}: {error}"[:500]
        wire.send(control, {"op": "unready", "reason": reason})
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    be_first_to_go(_OOM_SCORE)
    silence()
    bound_bytes = pulse.own_bytes() + memory_bytes
    threading.Thread(target=pulse.keep_watch, args=(check, bound_bytes), daemon=True).start()
    wire.send(control, {"op": "ready", "pid": os.getpid()})
    try:
        _open_seats(control, device)
    finally:
        # Threads may be stuck in a library: nothing waits for them.
        os._exit(0)


def _open_seats(control: socket.socket, device: Device) -> None:
    while True:
        try:
            request = wire.receive(control, most_fds=1)
        except (EOFError, ConnectionError):
            return
        (seat_fd,) = request.fds
        threading.Thread(target=_sit, args=(seat_fd, device), name="seat", daemon=True).start()
        wire.send(control, {"op": "forked", "pid": os.getpid()})


def _sit(seat_fd: int, device: Device) -> None:
    # The worker may leave a seat in the middle of an answer.
    with socket.socket(fileno=seat_fd) as seat, contextlib.suppress(ConnectionError):
        serve(seat, device=device)


def _warm_up(device: Device) -> Callable[[], object]:
    """Loads what entries need and compiles the kernels; gives the check that the GPU answers."""
    # Seats are the parallelism.
    torch.set_num_threads(1)
    check = pulse.check_of(device)
    check()
    with torch.inference_mode():
        kernels.resample(_warm_items(device))
    pipeline.warm_up()
    if device == "cuda":
        # Here, because two seats that did it at once would make two of each.
        for name in engines.names():
            with contextlib.suppress(EngineUnavailableError):
                engines.load(name)
    # All that was loaded stays: collections need not look at it.
    gc.collect()
    gc.freeze()
    return check


def _warm_items(device: Device) -> list[kernels.Item]:
    """One picture of each kind that engines of a GPU give: RGB, NV12 and planar."""
    side = _WARM_SIDE_PIXELS
    resize = kernels.Resize((0, 0, side, side), side // 4, side // 4)
    color = kernels.Color("bt709", full_range=False, siting="left", bits=8)
    rgb = torch.zeros((side, side, 3), dtype=torch.uint8, device=device)
    luma, chroma = rgb[..., 0], rgb[: side // 2, : side // 2]
    return [
        kernels.Item((rgb,), resize),
        kernels.Item((luma, chroma[..., :2].contiguous()), resize, color),
        kernels.Item((luma, chroma[..., 0], chroma[..., 1]), resize, color),
    ]
