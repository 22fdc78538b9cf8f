"""torchcodec: one FFmpeg thread in each of several processes, seeking by the header's facts."""

from functools import partial

import torch
import torchcodec
from torchcodec.decoders import VideoDecoder
from torchvision.io import encode_jpeg
from torchvision.transforms.v2 import functional

from benchmarks.peers import Done, Peer, Request, Way
from benchmarks.peers.picture import fitted


def approximate() -> Peer:
    """Exact frames with `seek_mode="approximate"`, which scans nothing."""
    torch.set_num_threads(1)
    return Peer(torchcodec.__version__, Way.PROCESSES, lambda request: partial(_unit, request))


def _unit(request: Request, _: int) -> Done:
    decoder = VideoDecoder(request.source, num_ffmpeg_threads=1, seek_mode="approximate")
    start = decoder.metadata.begin_stream_seconds or 0.0
    batch = decoder.get_frames_played_at([start + moment for moment in request.moments])
    height, width = batch.data.shape[-2:]
    width, height = fitted(width, height, request)
    small = functional.resize(batch.data, [height, width], antialias=True)
    return Done(sum(encode_jpeg(picture, request.quality).numel() > 0 for picture in small))
