import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kernels.layout import packed, transposed
from tests.kernels.pictures import noise

sizes = st.integers(1, 40)


@given(sizes, sizes, sizes, st.sampled_from([torch.uint8, torch.float32]))
def test_transposed_turns_each_matrix(
    count: int, rows: int, columns: int, dtype: torch.dtype
) -> None:
    matrices = noise(count, rows, columns).to(dtype)
    result = transposed(matrices)
    assert result.is_contiguous()
    assert torch.equal(result, matrices.transpose(1, 2))


def test_nothing_is_transposed_to_nothing() -> None:
    assert transposed(noise(0, 3, 5)).shape == (0, 5, 3)


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (0, 2, 3, 1), (0, 1, 3, 2), (3, 1, 0, 2)])
@pytest.mark.parametrize("shape", [(2, 30, 41, 3), (1, 1, 7, 4), (3, 9, 1, 1)])
def test_packed_keeps_the_pictures(order: tuple[int, ...], shape: tuple[int, ...]) -> None:
    stored = noise(*(shape[axis] for axis in order))
    pictures = stored.permute(*(order.index(axis) for axis in range(4)))
    assert pictures.shape == shape
    result = packed(pictures)
    assert result.is_contiguous()
    assert torch.equal(result, pictures)
