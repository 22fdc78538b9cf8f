import io
from fractions import Fraction

import av
import pytest

from farm.engines.dali_index import FrameIndex, is_hidden, read_index
from farm.engines.still import OddError
from farm.errors import LimitError, NoFrameError
from farm.media import MediaFormat, MediaKind
from farm.settings import Limits
from tests.engines.clips import Clip, make
from tests.engines.contract import source_of

INDEX = FrameIndex(ticks=(0, 10, 20, 35, 50), keys=(0, 3), time_base=Fraction(1, 10))


def index_of(data: bytes, container: str = "mp4", limits: Limits | None = None) -> FrameIndex:
    media_format = MediaFormat(MediaKind.VIDEO, container)
    return read_index(source_of(data, "clip"), media_format=media_format, limits=limits or Limits())


@pytest.mark.parametrize(
    ("ticks", "number"), [(-5, 0), (0, 0), (9, 0), (10, 1), (34, 2), (35, 3), (999, 4)]
)
def test_the_frame_at_a_time(ticks, number):
    assert INDEX.number_at(ticks) == number


def test_the_keyframe_of_a_frame():
    assert [INDEX.key_of(number) for number in range(5)] == [0, 0, 0, 3, 3]


def test_numbers_from_both_ends():
    assert [INDEX.numbered(n, name="clip") for n in (0, 4, -1, -5)] == [0, 4, 4, 0]
    for number in (5, -6):
        with pytest.raises(NoFrameError, match=f"clip: no frame {number} among 5 frames"):
            INDEX.numbered(number, name="clip")


def test_how_many_frames_are_decoded_for_some():
    assert INDEX.decoded_for([]) == 0
    assert INDEX.decoded_for([0]) == 1
    assert INDEX.decoded_for([2, 0]) == 3
    assert INDEX.decoded_for([1, 2, 4]) == 5


def hiding(data: bytes, number: int) -> bytes:
    """A VP8 video of which one frame is not to be shown."""
    file = io.BytesIO()
    with av.open(io.BytesIO(data)) as source, av.open(file, "w", format="webm") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for place, packet in enumerate(source.demux(video=0)):
            if not packet.size:
                continue
            changed = bytearray(packet)
            if place == number:
                changed[0] &= 0xEF
            copy = av.Packet(bytes(changed))
            copy.pts, copy.dts, copy.time_base = packet.pts, packet.dts, packet.time_base
            copy.is_keyframe, copy.stream = packet.is_keyframe, stream
            target.mux(copy)
    return file.getvalue()


@pytest.mark.parametrize("bframes", [0, 2])
def test_frames_are_counted_as_they_are_shown(bframes):
    index = index_of(make(Clip(bframes=bframes)))
    assert len(index.ticks) == 50
    assert index.keys == (0, 10, 20, 30, 40)
    assert index.seconds(10) - index.seconds(0) == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("codec", "packet", "hidden"),
    [
        ("vp8", b"\x10\0\0", False),
        ("vp8", b"\x00\0\0", True),
        ("vp9", b"\x82\0\0", False),  # shown
        ("vp9", b"\x80\0\0", True),
        ("vp9", b"\x88\0\0", False),  # an earlier frame is shown
        ("vp9", b"\x80\0\xc9", False),  # a superframe
        ("vp9", b"\xb1\0\0", False),  # profile 3
        ("vp9", b"\xb2\0\0", True),
        ("h264", b"\0\0\0", False),
        ("h264", b"", True),
    ],
)
def test_packets_that_show_nothing(codec, packet, hidden):
    assert is_hidden(codec, memoryview(packet)) == hidden


def test_what_may_be_counted_otherwise_is_refused():
    with pytest.raises(OddError, match="is mpegts, whose frames"):
        index_of(make(Clip(container="mpegts")), "mpegts")
    with pytest.raises(OddError, match="frames that are not to be shown"):
        index_of(hiding(make(Clip("libvpx", "webm", count=12)), 5), "webm")


def test_limits():
    with pytest.raises(LimitError, match="clip: more than 100 packets"):
        index_of(make(Clip(count=120)), limits=Limits(frames=1))
