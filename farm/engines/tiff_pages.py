"""Counts the pages of a TIFF (TIFF 6.0, section 2; BigTIFF), without looking into them."""

from farm.engines import Source
from farm.errors import TooManyPagesError
from farm.range_file import RangeFile
from farm.settings import Limits

_ORDERS = {b"II": "little", b"MM": "big"}
# By version: where the first offset stands, its size, and the sizes of a count and of a field.
_LAYOUTS = {42: (4, 4, 2, 12), 43: (8, 8, 8, 20)}


def check_pages(source: Source, *, limits: Limits) -> None:
    """Raises TooManyPagesError for a TIFF of more pages than allowed.

    Its directories are a chain, so that each costs a look at the file. Where a remote one is read
    in ranges that would be a request for each page, for nothing: only the first is ever decoded.
    """
    file = getattr(source.file, "raw", source.file)
    if isinstance(file, RangeFile) and len(source.head) < source.size_bytes:
        return
    if count_pages(source, most=limits.pages) > limits.pages:
        raise TooManyPagesError(f"{source.name}: more than the {limits.pages} pages allowed")


def count_pages(source: Source, *, most: int) -> int:
    """How many directories follow one another, up to `most` + 1; one that comes back ends them."""
    head = source.read_at(0, 16)
    order = _ORDERS.get(head[:2])
    layout = _LAYOUTS.get(_integer(head[2:4], order)) if order else None
    if order is None or layout is None:
        return 0
    start, offset_bytes, count_bytes, field_bytes = layout
    place = _integer(head[start : start + offset_bytes], order)
    seen = set[int]()
    while 0 < place < source.size_bytes and place not in seen and len(seen) <= most:
        seen.add(place)
        fields = _integer(source.read_at(place, count_bytes), order)
        end = place + count_bytes + field_bytes * fields
        place = _integer(source.read_at(end, offset_bytes), order) if end < source.size_bytes else 0
    return len(seen)


def _integer(data: bytes, order: str | None) -> int:
    return int.from_bytes(data, "big" if order == "big" else "little")
