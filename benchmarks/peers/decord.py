"""decord, which scales while it decodes; one thread in each of several processes."""

from functools import partial

import decord
import numpy as np
from PIL import Image

from benchmarks.peers import Done, Peer, Request, Way
from benchmarks.peers.picture import encoded, fitted


def keyframes() -> Peer:
    """Frames at `get_key_indices`, the last at or before each moment."""
    return Peer(decord.__version__, Way.PROCESSES, lambda request: partial(_unit, request, True))


def exact() -> Peer:
    """The frames at the moments, all in one batch."""
    return Peer(decord.__version__, Way.PROCESSES, lambda request: partial(_unit, request, False))


def _unit(request: Request, is_key: bool, _: int) -> Done:
    # It knows the size only once it is open, and scales only if told when it opens: 16:9 it is.
    width, height = fitted(16 * 1000, 9 * 1000, request)
    reader = decord.VideoReader(request.source, width=width, height=height, num_threads=1)
    wanted = np.round(np.array(request.moments) * reader.get_avg_fps()).astype(int)
    wanted = wanted.clip(0, len(reader) - 1)
    if is_key:
        keys = np.array(reader.get_key_indices())
        wanted = keys[np.searchsorted(keys, wanted, side="right") - 1]
    batch = reader.get_batch(wanted.tolist()).asnumpy()
    return Done(sum(encoded(Image.fromarray(picture), request) > 0 for picture in batch))
