"""Opens a file's index with few small reads, and gives the samples it lists."""

from dataclasses import replace
from fractions import Fraction

from farm.engines.mp4.box import NotIndexedError, ReadAt, boxes
from farm.engines.mp4.edit import Edit, apply_edits, time_offset
from farm.engines.mp4.file import BoxFile
from farm.engines.mp4.fragments import Fragments
from farm.engines.mp4.moof import Defaults, read_defaults
from farm.engines.mp4.movie import Movie, Track
from farm.engines.mp4.samples import Samples
from farm.engines.mp4.table import read_table
from farm.engines.mp4.track import Media, read_movie_header, read_track
from farm.errors import EncryptedError

_MOST_TRACKS = 256
_UNSUPPORTED = frozenset((b"cmov", b"rmra"))


class Index:
    """The index of one file; what costs time or reads is done when it is asked for, and kept.

    All methods are for video tracks. They raise NotIndexedError where libavformat must have a look
    instead, and EncryptedError for encrypted samples.
    """

    def __init__(
        self,
        movie: Movie,
        media: tuple[Media, ...],
        *,
        name: str,
        file: BoxFile,
        defaults: dict[int, Defaults],
        end: int,
    ) -> None:
        self.movie = movie
        self._media = media
        self._name = name
        self._file = file
        self._defaults = defaults
        self._end = end
        self._samples: dict[int, Samples] = {}
        self._fragments: dict[int, Fragments] = {}

    def samples(self, track: Track) -> Samples:
        """All samples of a track; a fragmented file's are gathered from all its fragments."""
        if track.number not in self._samples:
            self._check(track)
            found = (
                self._fragments_of(track).samples()
                if self.movie.is_fragmented
                else self._listed(track)
            )
            self._samples[track.number] = _checked(found, track)
        return self._samples[track.number]

    def samples_near(self, track: Track, ticks: int) -> Samples:
        """Samples with all that is needed to show the moment `ticks`, found with the fewest reads.

        They begin with a sync sample. Without fragments these are all samples. Indexes and
        the length are not those of `samples`.
        """
        if not self.movie.is_fragmented or track.number in self._samples:
            return self.samples(track)
        self._check(track)
        return _checked(self._fragments_of(track).samples_near(ticks), track)

    def duration(self, track: Track) -> int:
        """The track's duration in ticks, which in a fragmented file has to be looked for."""
        if not self.movie.is_fragmented:
            return track.duration
        self._check(track)
        end = self._fragments_of(track).end()
        return track.duration if end is None else end

    def average_rate(self, track: Track) -> Fraction | None:
        """Frames a second, in a fragmented file those of the fragments read so far."""
        if not self.movie.is_fragmented:
            return track.average_rate
        count, ticks = self._fragments_of(track).counted()
        return Fraction(count * track.timescale, ticks) if ticks else None

    def _check(self, track: Track) -> None:
        if track.protection:
            raise EncryptedError(
                f"{self._name}: the samples of its video stream are encrypted ({track.protection})"
            )
        if self._media[track.number].is_external:
            raise NotIndexedError("the samples lie in another file")

    def _listed(self, track: Track) -> Samples:
        """The samples that the movie header lists."""
        media = self._media[track.number]
        table = read_table(media.table, most_bytes=self._file.size_bytes)
        return apply_edits(table, self._edits(track))

    def _edits(self, track: Track) -> tuple[Edit, ...]:
        edits = self._media[track.number].edits
        if edits is None:
            raise NotIndexedError("a damaged edit list")
        return edits

    def _fragments_of(self, track: Track) -> Fragments:
        if track.number not in self._fragments:
            self._fragments[track.number] = Fragments(
                self._file,
                start=self._end,
                track_id=track.id,
                timescale=track.timescale,
                defaults=self._defaults,
                time_offset=time_offset(self._edits(track)),
                before=self._listed(track) if track.frame_count else None,
            )
        return self._fragments[track.number]


def _checked(samples: Samples, track: Track) -> Samples:
    if not 0 <= int(samples.entry.min()) <= int(samples.entry.max()) < len(track.entries):
        raise NotIndexedError("samples with a description that is not there")
    return samples


def open_index(read_at: ReadAt, size_bytes: int, *, name: str, head: bytes = b"") -> Index:
    """The index of the file that errors call `name`; `head` are its first bytes, if read already.

    Raises NotIndexedError where the index is damaged, missing or unusual, so that libavformat has
    the last word.
    """
    file = BoxFile(read_at, size_bytes, head=head)
    brand = ""
    for at, header in file.boxes(looks_for_tail=True):
        if header.kind == b"ftyp":
            brand = file.read(at + header.head, 4).decode("latin-1")
        if header.kind == b"moov":
            moov = file.content(at, header)
            return _open(moov, brand=brand, name=name, file=file, end=at + header.size)
    raise NotIndexedError("no movie header")


def _open(moov: memoryview, *, brand: str, name: str, file: BoxFile, end: int) -> Index:
    found = list(boxes(moov))
    by_kind = dict(reversed(found))
    if by_kind.keys() & _UNSUPPORTED:
        raise NotIndexedError("a compressed header, or a reference to other files")
    header = read_movie_header(by_kind.get(b"mvhd"))
    traks = [content for kind, content in found if kind == b"trak"]
    if len(traks) > _MOST_TRACKS:
        raise NotIndexedError(f"{len(traks)} tracks")
    read = [read_track(trak, header, number=number) for number, trak in enumerate(traks)]
    chapters = {identity for _, media in read for identity in media.chapters}
    tracks = (replace(track, is_picture=track.id in chapters) for track, _ in read)
    mvex = by_kind.get(b"mvex")
    return Index(
        Movie(tuple(tracks), brand, is_fragmented=mvex is not None),
        tuple(media for _, media in read),
        name=name,
        file=file,
        defaults={} if mvex is None else read_defaults(mvex),
        end=end,
    )
