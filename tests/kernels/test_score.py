import pytest
import torch

from kernels import score_frames
from tests.kernels.pictures import noise


def flat(value: int) -> torch.Tensor:
    return torch.full((1, 20, 30, 3), value, dtype=torch.uint8)


def test_flat_pictures() -> None:
    scores = score_frames(torch.cat([flat(0), flat(255), flat(51)]))
    assert scores.brightness.tolist() == pytest.approx([0, 1, 0.2], abs=1e-5)
    for score in (scores.contrast, scores.sharpness, scores.entropy):
        assert score.tolist() == pytest.approx([0, 0, 0], abs=1e-5)


def test_half_black_half_white_is_all_contrast() -> None:
    picture = flat(0)
    picture[:, :, 15:] = 255
    scores = score_frames(picture)
    assert scores.brightness.item() == pytest.approx(0.5)
    assert scores.contrast.item() == pytest.approx(1)
    # Two of 64 colours, evenly.
    assert scores.entropy.item() == pytest.approx(1 / 6)


def test_blurred_is_less_sharp_and_of_fewer_colours() -> None:
    sharp = noise(1, 40, 40, 3)
    blurred = sharp.to(torch.float32).permute(0, 3, 1, 2)
    blurred = torch.nn.functional.avg_pool2d(blurred, 5, stride=1, padding=2)
    both = score_frames(torch.cat([sharp, blurred.permute(0, 2, 3, 1).to(torch.uint8)]))
    assert both.sharpness[0] > 5 * both.sharpness[1]
    assert both.entropy[0] > both.entropy[1] > 0


def test_every_colour_alike_is_all_entropy() -> None:
    shades = torch.tensor([10, 80, 150, 220], dtype=torch.uint8)
    picture = torch.cartesian_prod(shades, shades, shades).view(1, 8, 8, 3)
    assert score_frames(picture).entropy.item() == pytest.approx(1)


def test_tiny_pictures_have_scores_too() -> None:
    scores = score_frames(noise(2, 1, 1, 3))
    assert scores.sharpness.tolist() == [0, 0]


def test_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"received uint8 \[1, 4, 4, 4\]"):
        score_frames(noise(1, 4, 4, 4))
