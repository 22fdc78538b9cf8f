import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels import Filter
from kernels.bag import Bags, bags, resample_lines, resample_premultiplied
from kernels.filter import Span, taps
from kernels.reference import weight_matrix
from tests.kernels.pictures import assert_near, noise
from tests.kernels.test_filter import filters, spans


def as_matrix(piece: Bags, span: Span) -> torch.Tensor:
    matrix = torch.zeros(len(piece.offsets), span.length)
    bag = torch.searchsorted(piece.offsets, torch.arange(len(piece.members)), right=True) - 1
    # Adding shows both a weight that is missing and one that is there twice.
    return matrix.index_put_((bag, piece.members + piece.start), piece.weights, accumulate=True)


@given(spans, filters, st.integers(0, 500))
def test_bags_are_the_weights_of_the_span(span: Span, filter: Filter, most: int) -> None:
    matrix = torch.cat([as_matrix(piece, span) for piece in bags(span, filter, most)])
    assert torch.equal(matrix, weight_matrix(span, filter).to(torch.float32))


@given(spans, filters, st.integers(0, 500))
def test_a_piece_needs_few_lines(span: Span, filter: Filter, most: int) -> None:
    reach = taps(span, filter).weights.shape[1]
    scale = (span.stop - span.start) / span.count
    for piece in bags(span, filter, most):
        assert 0 <= piece.start < piece.stop <= span.length
        assert int(piece.members.min()) == 0
        assert int(piece.members.max()) == piece.stop - piece.start - 1
        assert piece.stop - piece.start <= max(most, reach + scale) + 1


@given(spans, filters, st.sampled_from([torch.uint8, torch.int16, torch.int32, torch.float32]))
@settings(deadline=None, max_examples=50)
def test_lines_of_any_type_equal_the_reference(
    span: Span, filter: Filter, dtype: torch.dtype
) -> None:
    lines = noise(span.length, 3, 2)
    result = resample_lines(lines.to(dtype), span, filter)
    assert result.dtype == torch.float32
    assert result.is_contiguous()
    expected = torch.einsum("kl,lab->kab", weight_matrix(span, filter), lines.to(torch.float64))
    assert 6 <= result.shape[1] <= 64
    assert_near(result[:, :6], expected.flatten(1))


def test_bytes_give_the_floats_that_floats_give() -> None:
    lines, span = noise(300, 70), Span(300, 1.5, 298.25, 77)
    of_bytes = resample_lines(lines, span, Filter.LANCZOS3)
    of_floats = resample_lines(lines.float(), span, Filter.LANCZOS3)
    assert torch.equal(of_bytes[:, :70], of_floats[:, :70])


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_long_lines_in_pieces_equal_short_ones_at_once(dtype: torch.dtype) -> None:
    short, span = noise(120, 8).to(dtype), Span(120, 0, 120, 50)
    # As columns of a matrix, these lines are not contiguous and so go through a table.
    long = short.repeat(1, 10_000).t().contiguous().t()
    result = resample_lines(long, span, Filter.LANCZOS3)
    expected = resample_lines(short, span, Filter.LANCZOS3)[:, :8]
    assert torch.equal(result[:, :80_000], expected.repeat(1, 10_000))


@pytest.mark.parametrize("channels", [2, 4])
@pytest.mark.parametrize("span", [Span(400, 0.5, 399, 60), Span(400, 20, 340, 320)])
def test_lines_are_multiplied_by_alpha_where_they_are_not_opaque(channels: int, span: Span) -> None:
    # Wide enough for several pieces, of which the last are opaque.
    lines = noise(400, 9_000 // channels, channels)
    lines[200:, :, -1] = 255
    result = resample_premultiplied(lines, span, Filter.LANCZOS3)
    exact = lines.to(torch.float64).transpose(1, 2)
    exact[:, :-1] *= exact[:, -1:] / 255
    expected = weight_matrix(span, Filter.LANCZOS3) @ exact.flatten(1)
    assert_near(result[:, :9_000], expected)


def test_opaque_lines_are_summed_as_if_they_had_no_alpha() -> None:
    lines, span = noise(300, 70, 4), Span(300, 1.5, 298.25, 77)
    lines[..., -1] = 255
    result = resample_premultiplied(lines, span, Filter.LANCZOS3)[:, :280].view(77, 4, 70)
    expected = resample_lines(lines, span, Filter.LANCZOS3)[:, :280].view(77, 70, 4)
    assert torch.equal(result, expected.transpose(1, 2))
