from itertools import pairwise

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels import Filter, reference, resize_crop, torch_cpu
from kernels.filter import Span, taps
from tests.kernels.pictures import assert_near, noise
from tests.kernels.test_filter import filters, spans


@given(spans, filters)
def test_strips_are_the_weights_of_the_span(span: Span, filter: Filter) -> None:
    matrix = torch.zeros(span.count, span.length)
    for strip in torch_cpu.strips(span, filter):
        # Adding shows both a weight that is missing and one that is there twice.
        matrix[strip.first : strip.past, strip.start : strip.stop] += strip.weights
    assert torch.equal(matrix, reference.weight_matrix(span, filter).to(torch.float32))


@given(spans, filters)
def test_strips_touch_no_more_than_they_must(span: Span, filter: Filter) -> None:
    cut = torch_cpu.strips(span, filter)
    found = taps(span, filter)
    last = int(found.first[-1]) + found.weights.shape[1]
    assert cut[0].start == int(found.first[0])
    assert cut[-1].stop == min(last, span.length)
    assert all(before.stop == after.start for before, after in pairwise(cut))
    assert all(strip.weights.shape[0] == strip.past - strip.first for strip in cut)


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
