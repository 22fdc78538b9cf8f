import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels import Filter, reference, resize_crop, torch_cpu
from kernels.filter import Span
from tests.kernels.pictures import assert_near, noise
from tests.kernels.test_filter import filters, spans


@given(spans, spans, filters, st.booleans())
@settings(deadline=None, max_examples=50)
def test_floats_equal_the_reference(
    rows: Span, columns: Span, filter: Filter, premultiply: bool
) -> None:
    samples = noise(1, rows.length, columns.length, 2)
    arguments = {"rows": rows, "columns": columns, "filter": filter, "premultiply": premultiply}
    result = torch_cpu.resample(samples, **arguments)
    assert result.dtype == torch.float32
    assert_near(result, reference.resample(samples, **arguments))


def test_reads_only_the_box_even_beyond_two_gib() -> None:
    # Sample (y, x) is stored at y + x: a picture of 2.4 GB of addresses in 100 kB of memory.
    stored = noise(100_000)
    pictures = stored.as_strided((1, 40_000, 60_000, 1), (0, 1, 1, 0))
    corner = pictures[:, -64:, -64:]
    result = resize_crop(pictures, box=(59_980.5, 39_990, 60_000, 40_000), height=5, width=9)
    expected = resize_crop(
        corner.contiguous(), box=(44.5, 54, 64, 64), height=5, width=9, implementation="reference"
    )
    assert_near(result, expected)
