import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kernels import Filter
from kernels.filter import Span, evaluate, taps, window
from kernels.reference import weight_matrix

spans = st.builds(
    lambda length, edges, count: Span(length, min(edges) * length, max(edges) * length, count),
    st.integers(1, 400),
    st.tuples(st.floats(0, 1), st.floats(0, 1)).filter(
        lambda edges: abs(edges[0] - edges[1]) > 1e-3
    ),
    st.integers(1, 300),
)
filters = st.sampled_from(Filter)


def test_the_filters_have_their_textbook_values() -> None:
    at = torch.tensor([0.0, 0.5, -0.5, 1.0, 1.5, 2.0, 2.5, 3.0], dtype=torch.float64)
    half = math.sin(math.pi / 2) / (math.pi / 2) * math.sin(math.pi / 6) / (math.pi / 6)
    assert evaluate(Filter.TRIANGLE, at).tolist() == [1, 0.5, 0.5, 0, 0, 0, 0, 0]
    assert evaluate(Filter.CATMULL_ROM, at).tolist() == [1, 0.5625, 0.5625, 0, -0.0625, 0, 0, 0]
    lanczos = evaluate(Filter.LANCZOS3, at)
    assert lanczos[:3].tolist() == pytest.approx([1, half, half])
    assert lanczos[3::2].tolist() == pytest.approx([0, 0, 0], abs=1e-15)
    assert lanczos[4] < 0 < lanczos[6]


@given(spans, filters)
def test_every_output_is_a_full_share_of_samples_that_exist(span: Span, filter: Filter) -> None:
    found = taps(span, filter)
    assert found.weights.isfinite().all()
    assert found.weights.sum(1).tolist() == pytest.approx([1.0] * span.count)
    assert (found.first >= 0).all()
    assert (found.first < span.length).all()
    assert (found.first.diff() >= 0).all()
    past = found.first[:, None] + torch.arange(found.weights.shape[1]) >= span.length
    assert not found.weights[past].any()


@given(spans, filters)
def test_a_window_holds_all_that_matters(span: Span, filter: Filter) -> None:
    needed = window(span, filter)
    matters = weight_matrix(span, filter).any(0).nonzero()
    assert needed.start <= int(matters[0]) <= int(matters[-1]) < needed.stop
    cut = weight_matrix(span.moved(needed), filter)
    whole = weight_matrix(span, filter)[:, needed]
    # The edge of a tap may fall to either side by rounding, where the filter is 0 or close to it.
    assert torch.allclose(cut, whole, atol=1e-6)


@given(st.integers(1, 50), st.data())
def test_a_copy_has_weights_of_one(length: int, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, length - 1))
    stop = data.draw(st.integers(start + 1, length))
    span = Span(length, start, stop, stop - start)
    assert span.is_copy
    for filter in Filter:
        expected = torch.eye(length, dtype=torch.float64)[start:stop]
        assert torch.allclose(weight_matrix(span, filter), expected, atol=1e-12)


@pytest.mark.parametrize("span", [Span(9, 0.5, 8.5, 8), Span(9, 0, 9, 8), Span(9, 1, 10, 9)])
def test_what_is_no_copy(span: Span) -> None:
    assert not span.is_copy
