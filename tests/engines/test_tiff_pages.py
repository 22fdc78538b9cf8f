import io
import struct

import pytest
from PIL import Image

from farm.engines import Source, Wish, load
from farm.engines.tiff_pages import check_pages, count_pages
from farm.errors import TooManyPagesError
from farm.media import MediaFormat, MediaKind
from farm.range_file import RangeFile
from farm.settings import Limits
from tests.engines.contract import START, source_of

TIFF = MediaFormat(MediaKind.IMAGE, "tiff")


def pages_of(count: int) -> bytes:
    first, *others = (Image.new("L", (8, 8), number) for number in range(count))
    target = io.BytesIO()
    first.save(target, "TIFF", save_all=True, append_images=others)
    return target.getvalue()


def big_pages_of(count: int) -> bytes:
    """A BigTIFF of empty directories."""
    data = b"MM" + struct.pack(">HHHQ", 43, 8, 0, 16)
    for number in range(1, count + 1):
        data += struct.pack(">QQ", 0, 16 + number * 16 if number < count else 0)
    return data


@pytest.mark.parametrize("make", [pages_of, big_pages_of])
@pytest.mark.parametrize("count", [1, 2, 7])
def test_pages_are_counted(make, count):
    source = source_of(make(count))
    assert count_pages(source, most=100) == count
    assert count_pages(source, most=3) == min(count, 4)


def test_more_pages_than_allowed_are_refused():
    source = source_of(pages_of(5))
    check_pages(source, limits=Limits(pages=5))
    with pytest.raises(TooManyPagesError, match=r"folder/name\.bin: more than the 4 pages"):
        check_pages(source, limits=Limits(pages=4))


def test_a_directory_that_names_itself_ends_the_count():
    data = bytearray(pages_of(2))
    (place,) = struct.unpack_from("<I", data, 4)
    (fields,) = struct.unpack_from("<H", data, place)
    struct.pack_into("<I", data, place + 2 + 12 * fields, place)
    assert count_pages(source_of(bytes(data)), most=100) == 1


@pytest.mark.parametrize("data", [b"", b"II*\0", b"II*\0\xff\xff\xff\xff", b"II+\0" + b"\xff" * 12])
def test_offsets_that_point_nowhere_end_the_count(data):
    assert count_pages(source_of(data), most=100) == 0


def test_a_remote_file_is_not_read_for_its_pages():
    data = pages_of(5)
    asked = []

    def read_at(offset: int, length: int) -> bytes:
        asked.append(offset)
        return data[offset : offset + length]

    file = io.BufferedReader(RangeFile(read_at, len(data)))
    remote = Source(file, len(data), "scan", head=data[:64], ranges=read_at)
    check_pages(remote, limits=Limits(pages=1))
    assert asked == []
    with pytest.raises(TooManyPagesError):
        check_pages(Source(file, len(data), "scan", data, read_at), limits=Limits(pages=1))


def test_the_first_page_is_the_one_decoded():
    decoder = load("pillow").open(source_of(pages_of(3)), media_format=TIFF, limits=Limits())
    (batch,) = decoder.frames([START], Wish())
    assert int(batch.planes[0].max()) == 0
