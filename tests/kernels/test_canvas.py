import pytest
import torch
from PIL import Image

from kernels import flatten_alpha, is_opaque, orient, pad, tile
from tests.kernels.pictures import assert_near, noise


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_pad_lays_pictures_on_a_colour(channels: int) -> None:
    pictures, color = noise(2, 3, 4, channels), (9, 8, 7, 255)[:channels]
    canvas = pad(pictures, left=2, top=1, height=6, width=7, color=color)
    assert canvas.shape == (2, 6, 7, channels)
    assert torch.equal(canvas[:, 1:4, 2:6], pictures)
    outside = torch.ones(6, 7, dtype=torch.bool)
    outside[1:4, 2:6] = False
    assert (canvas[:, outside] == torch.tensor(color)).all()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"left": 4}, r"inside the canvas of 7x6, received 4x3 at \(4, 1\)"),
        ({"top": -1}, r"inside the canvas of 7x6, received 4x3 at \(2, -1\)"),
        ({"color": (1, 2)}, r"expected a color of 3 values, received \(1, 2\)"),
    ],
)
def test_pad_says_what_is_wrong(wrong: dict, message: str) -> None:
    arguments = {"left": 2, "top": 1, "height": 6, "width": 7, "color": (0, 0, 0)} | wrong
    with pytest.raises(ValueError, match=message):
        pad(noise(1, 3, 4, 3), **arguments)


def test_flatten_puts_a_colour_under_alpha_as_pillow_does() -> None:
    pictures = noise(1, 16, 16, 4)
    image = Image.new("RGBA", (16, 16), (10, 200, 90, 255))
    image.alpha_composite(Image.fromarray(pictures[0].numpy()))
    expected = torch.tensor(list(image.convert("RGB").tobytes()), dtype=torch.uint8)
    result = flatten_alpha(pictures, color=(10, 200, 90))
    assert_near(result, expected.view(1, 16, 16, 3))


def test_flatten_at_the_ends_of_alpha_is_exact() -> None:
    pictures = noise(1, 5, 5, 4)
    pictures[..., 3] = torch.arange(25).view(5, 5) % 2 * 255
    result = flatten_alpha(pictures, color=(1, 2, 3))
    opaque = pictures[..., 3] == 255
    assert torch.equal(result[opaque], pictures[opaque][:, :3])
    assert (result[~opaque] == torch.tensor([1, 2, 3])).all()


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_flatten_widens_gray_and_keeps_opaque_pictures(channels: int) -> None:
    pictures = noise(2, 4, 5, channels)
    if channels == 2:
        pictures[..., 1] = 255
    result = flatten_alpha(pictures, color=(0, 0, 0))
    gray = pictures[..., :1] if channels < 3 else pictures
    assert torch.equal(result, gray.expand(2, 4, 5, 3))


def test_flatten_refuses_other_channel_counts() -> None:
    with pytest.raises(ValueError, match="expected 1 to 4 channels, received 5"):
        flatten_alpha(noise(1, 2, 2, 5), color=(0, 0, 0))


def test_orient_refuses_other_codes() -> None:
    with pytest.raises(ValueError, match="expected an Exif orientation from 1 to 8, received 0"):
        orient(noise(1, 2, 2, 3), 0)


@pytest.mark.parametrize("channels", [2, 4])
@pytest.mark.parametrize("alpha", [0, 1, 127, 128, 254, 255])
def test_one_pixel_that_is_not_opaque_is_seen(channels: int, alpha: int) -> None:
    pictures = noise(2, 5, 6, channels)
    pictures[..., -1] = 255
    assert is_opaque(pictures)
    pictures[1, 3, 2, -1] = alpha
    assert is_opaque(pictures) is (alpha == 255)
    assert is_opaque(pictures[:, :, :2])
    assert is_opaque(pictures[:0])


class TestTile:
    def test_row_by_row(self) -> None:
        pictures = torch.arange(5, dtype=torch.uint8).view(5, 1, 1, 1).expand(5, 2, 3, 3)
        sheet = tile(pictures, columns=2, color=(9, 8, 7))
        assert sheet.shape == (6, 6, 3)
        assert sheet[::2, ::3, 0].tolist() == [[0, 1], [2, 3], [4, 9]]
        assert sheet[5, 5].tolist() == [9, 8, 7]

    def test_a_single_column(self) -> None:
        pictures = noise(3, 4, 5, 4)
        assert torch.equal(
            tile(pictures, columns=1, color=(0, 0, 0, 0)), pictures.reshape(12, 5, 4)
        )

    @pytest.mark.parametrize(("count", "columns"), [(0, 2), (3, 0)])
    def test_nothing_is_refused(self, count: int, columns: int) -> None:
        with pytest.raises(ValueError, match=f"received {count} and {columns} columns"):
            tile(noise(count, 2, 2, 3), columns=columns)

    def test_a_color_of_other_channels_is_refused(self) -> None:
        with pytest.raises(ValueError, match="expected a color of 4 values"):
            tile(noise(1, 2, 2, 4), columns=1)
