"""The choice of an engine: groups of outputs, hand-over between engines, versions."""

import io

import pytest

from farm import engines
from farm.choice import Choice, choices, decode_with
from farm.engines import PassedOnError, Source
from farm.errors import (
    EngineUnavailableError,
    NoFrameError,
    UnsupportedColorError,
    UnsupportedFormatError,
)
from farm.media import MediaFormat, MediaKind
from farm.settings import Limits
from farm.spec import Entry

VIDEO = MediaFormat(MediaKind.VIDEO, "mp4")


class Fake:
    """An engine that opens or raises, and counts what it opened and closed."""

    kinds = frozenset({MediaKind.VIDEO})

    def __init__(self, name, *, error=None, version="2.10.1+x"):
        self.name, self.error, self.version = name, error, version
        self.opened = self.closed = 0

    def open(self, source, **_):
        assert source.file.tell() == 0
        source.file.read(1)
        if self.error:
            raise self.error
        self.opened += 1
        return self

    def close(self):
        self.closed += 1


@pytest.fixture
def install(monkeypatch):
    """Makes these fakes the known engines, best first."""

    def replace(*fakes):
        known = {fake.name: fake for fake in fakes}
        monkeypatch.setattr(engines, "load", known.__getitem__)
        monkeypatch.setattr(engines, "candidates", lambda _, *, device: tuple(known))
        return fakes

    return replace


def run(choice=Choice(), action=lambda engine, decoder: engine.name, media_format=VIDEO):
    source = Source(io.BytesIO(b"x"), 1, "a.mp4")
    return decode_with(choice, action, source=source, media_format=media_format, limits=Limits())


def test_outputs_are_grouped_by_what_they_say():
    outputs = [{}, {"engine": "a"}, {}, {"engine": "a", "engine_version": "1"}, {"engine": "a"}]
    entry = Entry.model_validate({"source": "s", "destination": "d", "outputs": outputs})
    assert choices(entry) == {Choice(): [0, 2], Choice("a"): [1, 4], Choice("a", "1"): [3]}


def test_the_best_engine_needs_no_fallback(install):
    first, second = install(Fake("first"), Fake("second"))
    assert run() == ("first", None)
    assert (first.opened, first.closed, second.opened) == (1, 1, 0)


def test_every_hand_over_is_told(install):
    no = UnsupportedFormatError("no AV1")
    gone = EngineUnavailableError("gone")
    install(Fake("a", error=no), Fake("b", error=gone), Fake("c"))
    assert run() == ("c", "a -> b: no AV1; b -> c: gone")


def test_an_engine_that_gives_up_while_decoding_hands_over(install):
    first, _ = install(Fake("first"), Fake("second"))

    def action(engine, decoder):
        if engine is first:
            raise UnsupportedFormatError("no such profile")
        return engine.name

    assert run(action=action) == ("second", "first -> second: no such profile")
    assert first.closed == 1


def test_colours_that_cannot_be_shown_are_not_handed_over(install):
    error = UnsupportedColorError("its colours are ICtCp")
    _, second = install(Fake("first", error=error), Fake("second"))
    with pytest.raises(UnsupportedColorError, match="ICtCp"):
        run()
    assert second.opened == 0


def test_a_file_that_is_passed_on_is_no_fallback(install):
    passed = PassedOnError("has 4 components")
    install(Fake("a", error=passed), Fake("b"))
    assert run() == ("b", None)
    with pytest.raises(UnsupportedFormatError, match="has 4 components"):
        run(Choice("a"))


def test_a_file_that_all_pass_on_or_refuse_is_unsupported(install):
    passed, no = PassedOnError("is lossless"), UnsupportedFormatError("no lossless")
    install(Fake("a", error=passed), Fake("b", error=no))
    with pytest.raises(UnsupportedFormatError, match="no lossless"):
        run()


def test_other_errors_end_the_search(install):
    _, second = install(Fake("first", error=NoFrameError("none")), Fake("second"))
    with pytest.raises(NoFrameError):
        run()
    assert second.opened == 0


@pytest.mark.parametrize("asked", ["2", "2.10", "2.10.1", "2.10.1+x"])
def test_a_version_may_be_told_in_part(install, asked):
    install(Fake("a"))
    assert run(Choice("a", asked)) == ("a", None)


@pytest.mark.parametrize("asked", ["2.1", "10", "2.10.1+xy", "2x10", "."])
def test_another_version_is_unavailable(install, asked):
    install(Fake("a"))
    with pytest.raises(EngineUnavailableError, match=r"installed is 2\.10\.1\+x"):
        run(Choice("a", asked))


def test_a_kind_that_no_engine_has(install):
    install(Fake("a"))
    with pytest.raises(UnsupportedFormatError, match=r"engine a decodes video only.*png, image"):
        run(Choice("a"), media_format=MediaFormat(MediaKind.IMAGE, "png"))
    install()
    with pytest.raises(UnsupportedFormatError, match="no engine here decodes mp4"):
        run()
