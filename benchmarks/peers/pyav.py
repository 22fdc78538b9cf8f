"""PyAV as its documentation shows it: seek, then decode until the frame comes."""

from functools import partial
from typing import Literal

import av

from benchmarks.peers import Done, Peer, Request, Way
from benchmarks.peers.picture import encoded, fitted


def keyframes() -> Peer:
    """Keyframes: `skip_frame` is `NONKEY`."""
    return Peer(av.__version__, Way.PROCESSES, lambda request: partial(_unit, request, "NONKEY"))


def exact() -> Peer:
    """The frames shown at the moments."""
    return Peer(av.__version__, Way.PROCESSES, lambda request: partial(_unit, request, "DEFAULT"))


def _unit(request: Request, skip: Literal["NONKEY", "DEFAULT"], _: int) -> Done:
    pictures = frames = 0
    with av.open(request.source) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        stream.codec_context.skip_frame = skip
        base, start = stream.time_base, stream.start_time or 0
        assert base is not None
        for moment in request.moments:
            wanted = start + round(moment / base)
            container.seek(wanted, stream=stream)
            best = None
            for frame in container.decode(stream):
                frames += 1
                is_late = frame.pts is not None and frame.pts > wanted
                best = frame if best is None or not is_late else best
                if skip == "NONKEY" or is_late:
                    break
            if best is None:
                continue
            width, height = fitted(best.width, best.height, request)
            small = best.reformat(width=width, height=height, interpolation="BICUBIC")
            picture = small.to_image()  # type: ignore[no-untyped-call]
            pictures += encoded(picture, request) > 0
    return Done(pictures, frames)
