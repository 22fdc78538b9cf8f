"""What is measured: each case is one file, what is made of it, and who takes part."""

from dataclasses import dataclass
from enum import StrEnum

from benchmarks.video import LONG, all_videos


class Work(StrEnum):
    """What is made of a file."""

    STILL = "still"
    KEYFRAME = "keyframe"
    EXACT = "exact"
    STORYBOARD = "storyboard"
    REMOTE = "remote"


@dataclass(frozen=True, slots=True)
class Case:
    """One file and one way to make `count` thumbnails of it; a group is summed over its cases."""

    group: str
    name: str
    file: str
    work: Work
    peers: tuple[str, ...]
    count: int = 1
    width: int = 320
    height: int = 320
    format: str = "jpg"
    fidelity: str = "balanced"

    @property
    def title(self) -> str:
        """The case's own name, unique among all."""
        return f"{self.group}/{self.name}"


GROUPS = {
    "12mp": "12 MP JPEG to 320 px JPEG",
    "2mp-jpg": "2 MP JPEG to 320 px JPEG",
    "2mp-png": "2 MP JPEG to 320 px PNG",
    "2mp-webp": "2 MP JPEG to 320 px WebP",
    "24mp": "24 MP JPEG to 320 px JPEG",
    "progressive": "12 MP progressive JPEG, fidelity fast",
    "png-source": "2 MP PNG to 320 px JPEG",
    "webp-source": "2 MP WebP to 320 px JPEG",
    "one-key": "one keyframe thumbnail of each kind of video, summed",
    "one-key-20min": "one keyframe thumbnail of a 20-minute video",
    "one-key-hevc": "one keyframe thumbnail of HEVC",
    "ten-keys": "8 kinds of video, 10 keyframe thumbnails each",
    "storyboard": "a keyframe every 10 s of 20 minutes, 160x90",
    "ten-exact": "10 exact thumbnails of each kind of video, summed",
    "remote": "one keyframe thumbnail of a remote MP4",
}

_STILL_PEERS = ("sharp", "pyvips", "vipsthumbnail", "pillow", "opencv")
_KEY_PEERS = ("ffmpeg9-key", "ffmpeg-key", "ffmpegthumbnailer", "pyav-key", "decord-key")
_EXACT_PEERS = ("pyav-exact", "torchcodec", "decord-exact", "ffmpeg9-exact", "ffmpeg-exact")
_BOARD_PEERS = ("ffmpeg9-discard", "ffmpeg-discard", "ffmpeg9-skip", "ffmpeg-skip", "decord-key")
_BARE = ("bare",)

_QUICK = frozenset({
    "12mp/12mp.jpg", "2mp-jpg/2mp.jpg", "progressive/12mp-progressive.jpg",
    "png-source/2mp.png", "webp-source/2mp.webp", "one-key/h264-1080p-2s",
    "ten-keys/h264-1080p-2s", "ten-exact/h264-1080p-2s", "one-key/h264-720p-20min",
    "storyboard/h264-720p-20min", "remote/h264-1080p-2s",
})  # fmt: skip


def all_cases(*, is_quick: bool) -> tuple[Case, ...]:
    """Every case; a quick look has those that take least time of each sort."""
    videos = all_videos(is_quick=is_quick)
    cases = list(_stills())
    for video in videos:
        kind = video.kind
        cases.append(Case("one-key", kind, video.name, Work.KEYFRAME, _KEY_PEERS + _BARE))
        if video.name == LONG.name:
            board = Case("storyboard", kind, video.name, Work.STORYBOARD, _BOARD_PEERS,
                         count=video.seconds // 10, width=160, height=90)  # fmt: skip
            cases.append(board)
        else:
            cases.append(
                Case("ten-keys", kind, video.name, Work.KEYFRAME, _KEY_PEERS[:4], count=10)
            )
        cases.append(Case("ten-exact", kind, video.name, Work.EXACT, _EXACT_PEERS, count=10))
    for video in videos:
        if video.name.endswith(".mp4") and "h264" in video.name:
            peers = ("ffmpeg9-key", "ffmpeg-key")
            cases.append(Case("remote", video.kind, video.name, Work.REMOTE, peers))
    return tuple(case for case in cases if not is_quick or case.title in _QUICK)


def _stills() -> tuple[Case, ...]:
    def still(group: str, file: str, format: str = "jpg", fidelity: str = "balanced") -> Case:
        is_whole = file.endswith(".jpg") and format == "jpg" and fidelity != "fast"
        peers = _STILL_PEERS + (_BARE if is_whole else ())
        return Case(group, file, file, Work.STILL, peers, format=format, fidelity=fidelity)

    return (
        still("12mp", "12mp.jpg"),
        still("2mp-jpg", "2mp.jpg"),
        still("2mp-png", "2mp.jpg", "png"),
        still("2mp-webp", "2mp.jpg", "webp"),
        still("24mp", "24mp.jpg"),
        still("progressive", "12mp-progressive.jpg", fidelity="fast"),
        still("png-source", "2mp.png"),
        still("webp-source", "2mp.webp"),
    )
