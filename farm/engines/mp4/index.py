"""Finds a file's index with few small reads, and gives the samples it lists."""

from farm.engines.mp4.box import NotIndexedError, ReadAt
from farm.engines.mp4.movie import Movie, Track
from farm.engines.mp4.samples import Samples


class Index:
    """The index of one file; what costs time or reads is done when it is asked for, and kept."""

    def __init__(self, movie: Movie, read_at: ReadAt, size_bytes: int) -> None:
        self.movie = movie
        self._read_at = read_at
        self._size_bytes = size_bytes

    def samples(self, track: Track) -> Samples:
        """All samples of a track; a fragmented file's are gathered from all its fragments.

        Raises NotIndexedError where libavformat must have a look, EncryptedError for encrypted
        samples, LimitError for more samples than are allowed.
        """
        raise NotIndexedError("not written yet")

    def samples_near(self, track: Track, ticks: int) -> Samples:
        """Samples that hold at least the group shown at `ticks`, with the fewest reads.

        Without fragments these are all samples. Indexes are not those of `samples`.
        """
        return self.samples(track)


def open_index(read_at: ReadAt, size_bytes: int, *, head: bytes = b"") -> Index:
    """The index of a file of which `head` are the first bytes, as far as they were read already.

    Raises NotIndexedError where the index is damaged, missing or unusual, so that libavformat has
    the last word.
    """
    raise NotIndexedError("not written yet")
