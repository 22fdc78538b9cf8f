"""The contract that every engine keeps: its test module subclasses `EngineContract`."""

import io
from typing import ClassVar

import pytest

from farm.engines import Source, Wish, load
from farm.errors import LimitError, MediaError
from farm.geometry import Box, Size
from farm.media import MediaFormat, MediaKind
from farm.sampling import Target
from farm.settings import Limits
from farm.spec import Accuracy

START = Target(0.0, Accuracy.KEYFRAME)


def source_of(data: bytes, name: str = "folder/name.bin") -> Source:
    return Source(io.BytesIO(data), len(data), name)


class EngineContract:
    """What the worker relies on. Subclasses give a name, a good source and its facts."""

    engine_name: ClassVar[str]
    media_format: ClassVar[MediaFormat]
    size: ClassVar[Size]

    @pytest.fixture
    def good(self) -> bytes:
        """A source that the engine decodes."""
        raise NotImplementedError

    def open(self, data: bytes, limits: Limits | None = None):
        engine = load(self.engine_name)
        return engine.open(
            source_of(data), media_format=self.media_format, limits=limits or Limits()
        )

    def test_engine_says_what_it_is(self):
        engine = load(self.engine_name)
        assert engine.name == self.engine_name
        assert engine.version
        assert engine.kinds <= set(MediaKind)
        assert self.media_format.kind in engine.kinds
        assert engine.device in ("cpu", "cuda")

    def test_probe(self, good):
        info = self.open(good).info
        assert info.kind is self.media_format.kind
        assert info.format == self.media_format.name
        assert info.codec
        assert info.size == self.size
        assert 1 <= info.orientation <= 8

    def test_every_target_is_answered_once(self, good):
        targets = [START, Target(0.05, Accuracy.EXACT), START]
        decoder = self.open(good)
        batches = list(decoder.frames(targets, Wish()))
        answered = [index for batch in batches for answer in batch.answers for index in answer]
        assert sorted(answered) == [0, 1, 2]
        assert isinstance(decoder.notes, dict)

    def test_batches_agree_with_themselves(self, good):
        for batch in self.open(good).frames([START], Wish()):
            count = len(batch.answers)
            assert len(batch.pts_seconds) == count
            assert len(batch.planes) in (1, 3)
            assert all(plane.shape[0] == count for plane in batch.planes)
            assert batch.full_size == self.size
            assert tuple(batch.planes[0].shape[1:3]) == (self.size.height, self.size.width)
            if not batch.is_yuv:
                assert batch.planes[0].shape[3] in (3, 4)

    def test_shrinking_keeps_at_least_what_was_asked(self, good):
        least = Size(max(1, self.size.width // 3), max(1, self.size.height // 3))
        for batch in self.open(good).frames([START], Wish(at_least=least)):
            height, width = batch.planes[0].shape[1:3]
            assert batch.full_size == self.size
            assert width >= least.width
            assert height >= least.height

    def test_a_region_may_be_all_that_comes(self, good):
        width, height = self.size
        asked = Box(width * 0.4, height * 0.4, width * 0.6, height * 0.6)
        (batch,) = self.open(good).frames([START], Wish(region=asked))
        assert batch.full_size == self.size
        left, top, right, bottom = batch.region or (0, 0, width, height)
        assert tuple(batch.planes[0].shape[1:3]) == (bottom - top, right - left)
        assert 0 <= left <= asked.left < asked.right <= right <= width
        assert 0 <= top <= asked.top < asked.bottom <= bottom <= height

    def test_no_targets_no_frames(self, good):
        assert list(self.open(good).frames([], Wish())) == []

    def test_two_opens_give_equal_pixels(self, good):
        first, second = (next(iter(self.open(good).frames([START], Wish()))) for _ in range(2))
        for one, other in zip(first.planes, second.planes, strict=True):
            assert bool((one == other).all())

    def test_close_leaves_the_file_open(self, good):
        source = source_of(good)
        decoder = load(self.engine_name).open(
            source, media_format=self.media_format, limits=Limits()
        )
        decoder.close()
        assert not source.file.closed

    def test_too_many_pixels_are_refused_before_decoding(self, good):
        limits = Limits(image_pixels=10, frame_pixels=10)
        with pytest.raises(LimitError, match=r"folder/name\.bin.*10 "):
            list(self.open(good, limits).frames([START], Wish()))

    def test_a_cut_source_gives_frames_or_a_media_error(self, good):
        for length in sorted({1, 2, 9, 30, *range(0, len(good), max(1, len(good) // 12))} - {0}):
            assert self._outcome(good[:length])

    def _outcome(self, data: bytes) -> bool:
        try:
            return len(list(self.open(data).frames([START], Wish()))) == 1
        except MediaError as error:
            return "folder/name.bin" in str(error)

    def test_a_foreign_format_is_refused(self, good):
        foreign = MediaFormat(self.media_format.kind, "no-such-format")
        with pytest.raises(MediaError, match="no-such-format"):
            load(self.engine_name).open(source_of(good), media_format=foreign, limits=Limits())
