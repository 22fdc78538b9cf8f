"""Finds a file's index with few small reads, and gives the samples it lists."""

from collections.abc import Iterator

from farm.engines.mp4.box import HEADER_BYTES, Header, NotIndexedError, ReadAt, boxes, read_header
from farm.engines.mp4.edit import apply_edits
from farm.engines.mp4.movie import Movie, Track
from farm.engines.mp4.samples import Samples
from farm.engines.mp4.table import read_table
from farm.engines.mp4.track import Media, read_movie_header, read_track
from farm.errors import EncryptedError

MOST_MOOV_BYTES = 64 << 20
"""The longest movie header that is read; a day of video takes half of it."""

_MOST_BOXES = 1000
_MOST_TRACKS = 256
_HOP_BYTES = 4096
# What follows the media data is mostly the movie header, so one read may bring it whole.
_TAIL_BYTES = 256 << 10
_UNSUPPORTED = frozenset((b"cmov", b"rmra"))


class Index:
    """The index of one file; what costs time or reads is done when it is asked for, and kept."""

    def __init__(self, movie: Movie, media: tuple[Media, ...], *, name: str) -> None:
        self.movie = movie
        self._media = media
        self._name = name
        self._samples: dict[int, Samples] = {}

    def samples(self, track: Track) -> Samples:
        """All samples of a video track; a fragmented file's are gathered from all its fragments.

        Raises NotIndexedError where libavformat must have a look, EncryptedError for encrypted
        samples.
        """
        if track.number not in self._samples:
            self._samples[track.number] = self._read(track)
        return self._samples[track.number]

    def samples_near(self, track: Track, ticks: int) -> Samples:
        """Samples that hold at least the group shown at `ticks`, with the fewest reads.

        Without fragments these are all samples. Indexes are not those of `samples`.
        """
        return self.samples(track)

    def _read(self, track: Track) -> Samples:
        media = self._media[track.number]
        if track.protection:
            raise EncryptedError(
                f"{self._name}: the samples of its video stream are encrypted ({track.protection})"
            )
        if media.is_external:
            raise NotIndexedError("the samples lie in another file")
        if media.edits is None:
            raise NotIndexedError("an edit list of several parts")
        if self.movie.is_fragmented:
            raise NotIndexedError("fragments")
        samples = apply_edits(read_table(media.table), media.edits)
        if int(samples.entry.max()) >= len(track.entries):
            raise NotIndexedError("stsc: a description that is not there")
        return samples


def open_index(read_at: ReadAt, size_bytes: int, *, name: str, head: bytes = b"") -> Index:
    """The index of the file that errors call `name`; `head` are its first bytes, if read already.

    Raises NotIndexedError where the index is damaged, missing or unusual, so that libavformat has
    the last word.
    """
    file = _File(read_at, size_bytes, head)
    brand = ""
    for at, header in file.boxes():
        if header.kind == b"ftyp":
            brand = file.read(at + header.head, 4).decode("latin-1")
        if header.kind == b"moov":
            if header.size > MOST_MOOV_BYTES:
                raise NotIndexedError(f"a movie header of {header.size} bytes")
            moov = file.read(at + header.head, header.size - header.head)
            return _open(memoryview(moov), brand=brand, name=name)
    raise NotIndexedError("no movie header")


def _open(moov: memoryview, *, brand: str, name: str) -> Index:
    found = list(boxes(moov))
    kinds = {kind for kind, _ in found}
    if kinds & _UNSUPPORTED:
        raise NotIndexedError("a compressed header, or a reference to other files")
    header = read_movie_header(next((box for kind, box in found if kind == b"mvhd"), None))
    traks = [content for kind, content in found if kind == b"trak"][:_MOST_TRACKS]
    read = [read_track(trak, header, number=number) for number, trak in enumerate(traks)]
    tracks = tuple(track for track, _ in read)
    movie = Movie(tracks, brand, is_fragmented=b"mvex" in kinds)
    return Index(movie, tuple(media for _, media in read), name=name)


class _File:
    """Serves the file's box headers from few reads."""

    def __init__(self, read_at: ReadAt, size_bytes: int, head: bytes) -> None:
        self._read_at = read_at
        self._size_bytes = size_bytes
        self._block = head
        self._start = 0

    def boxes(self) -> Iterator[tuple[int, Header]]:
        """Offset and header of the boxes of the file's first level, with their true sizes."""
        at = 0
        for _ in range(_MOST_BOXES):
            if at + 8 > self._size_bytes:
                return
            header = read_header(self._peek(at))
            if header is None:
                return
            size = header.size or self._size_bytes - at
            yield at, header._replace(size=size)
            at += size

    def _peek(self, at: int) -> bytes:
        """The bytes of a box header, out of a block that may bring the whole box."""
        if not self._holds(at, min(HEADER_BYTES, self._size_bytes - at)):
            left = self._size_bytes - at
            length = _TAIL_BYTES if at and left <= MOST_MOOV_BYTES else _HOP_BYTES
            self._block, self._start = self._read_at(at, min(left, length)), at
        return self._block[at - self._start : at - self._start + HEADER_BYTES]

    def _holds(self, at: int, length: int) -> bool:
        return self._start <= at and at + length <= self._start + len(self._block)

    def read(self, at: int, length: int) -> bytes:
        """That many bytes, of which those of the block are not read again.

        Raises NotIndexedError where the file ends before.
        """
        if at + length > self._size_bytes:
            raise NotIndexedError("the file ends within its movie header")
        known = self._block[at - self._start : at - self._start + length]
        if not self._holds(at, 0):
            known = b""
        rest = length - len(known)
        found = known + self._read_at(at + len(known), rest) if rest else known
        if len(found) < length:
            raise NotIndexedError("the file ends within its movie header")
        return found
