import pytest
import torch

from kernels import saliency, salient_box
from tests.kernels.pictures import noise


def spot(top: int, left: int) -> torch.Tensor:
    picture = torch.full((1, 60, 80, 3), 90, dtype=torch.uint8)
    picture[:, top : top + 10, left : left + 10] = torch.tensor([230, 40, 40], dtype=torch.uint8)
    return picture


def test_what_differs_stands_out() -> None:
    (found,) = saliency(spot(20, 50))
    assert found.shape == (60, 80)
    assert found.max() == 1
    assert found[22:28, 52:58].min() > 5 * found[:15].max()


def test_one_colour_is_nowhere() -> None:
    assert saliency(torch.full((1, 9, 9, 3), 70, dtype=torch.uint8)).max() == 0


def test_each_picture_by_itself() -> None:
    both = saliency(torch.cat([spot(5, 5), spot(40, 60)]))
    assert torch.equal(both[0], saliency(spot(5, 5))[0])


@pytest.mark.parametrize(("top", "left"), [(0, 0), (50, 70), (20, 50)])
def test_the_box_holds_the_spot(top: int, left: int) -> None:
    x, y = salient_box(saliency(spot(top, left))[0], height=60, width=30)
    assert y == 0
    assert x <= left
    assert left + 10 <= x + 30


def test_the_middle_where_nothing_differs() -> None:
    assert salient_box(torch.zeros(60, 80), height=60, width=30) == (25, 0)
    assert salient_box(torch.zeros(60, 80), height=60, width=80) == (0, 0)


def test_box_equals_the_best_of_all() -> None:
    (map,) = saliency(noise(1, 12, 17, 3))
    left, top = salient_box(map, height=5, width=6)
    sums = map.unfold(0, 5, 1).unfold(1, 6, 1).sum(dim=(2, 3))
    assert sums[top, left] == pytest.approx(sums.max().item())


def test_larger_boxes_are_refused() -> None:
    with pytest.raises(ValueError, match="expected a box of 1x1 to 80x60, received 81x60"):
        salient_box(torch.zeros(60, 80), height=60, width=81)


def test_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="expected pictures as uint8"):
        saliency(noise(1, 4, 4, 4))
