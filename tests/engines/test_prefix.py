"""The beginning of a source: read once, and only as far as a parser needs."""

import io

from farm.engines import Source
from farm.engines.prefix import Prefix

DATA = bytes(range(256)) * 8


def prefix(data: bytes = DATA, *, size: int | None = None) -> tuple[Prefix, io.BytesIO]:
    file = io.BytesIO(data)
    return Prefix(Source(file, len(data) if size is None else size, "a")), file


def test_no_more_is_read_than_is_asked() -> None:
    some, file = prefix()
    assert some.first(10) == DATA[:10]
    assert file.tell() == 10
    assert some.first(4) == DATA[:10]
    assert not some.is_all
    assert some.all() == DATA
    assert some.is_all


def test_a_source_may_be_shorter_than_it_was_said_to_be() -> None:
    some, _ = prefix(DATA, size=5000)
    assert some.all() == DATA
    assert some.is_all


def test_a_parser_gets_more_until_it_has_enough() -> None:
    some, file = prefix()
    seen: list[int] = []

    def parse(data: memoryview) -> str | None:
        seen.append(len(data))
        return "found" if len(data) >= 160 else None

    assert some.parsed(parse, first=10, most=1000) == "found"
    assert seen == [10, 40, 160]
    assert file.tell() == 160


def test_a_parser_that_never_has_enough_ends() -> None:
    some, file = prefix()
    assert some.parsed(lambda _: None, first=10, most=100) is None
    assert file.tell() < 1000
    assert some.parsed(lambda _: None, first=10, most=1 << 20) is None
    assert some.is_all
