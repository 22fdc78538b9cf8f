"""The test card can be read back; planes follow the standards, profiles lead back to sRGB."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from farm.geometry import Size
from farm.media import Matrix
from farm.samples.card import (
    PATCHES,
    Card,
    patch_boxes,
    read_frame_number,
    read_patches,
    timecode,
    to_image,
)
from farm.samples.profile import SRGB, SWAPPED, WIDE, Profile, encode_icc, store_in
from farm.samples.yuv import Coding, to_planes


def patch_error(image: Image.Image) -> float:
    found = read_patches(image)
    pairs = [(found[name], color) for name, color in PATCHES.items()]
    return max(abs(a - b) for got, want in pairs for a, b in zip(got, want, strict=True))


class TestCard:
    @settings(max_examples=40, deadline=None)
    @given(
        number=st.integers(0, 4095),
        width=st.integers(160, 700),
        height=st.integers(90, 700),
        scaled_width=st.integers(120, 400),
    )
    def test_number_comes_back_from_any_size(
        self, number: int, width: int, height: int, scaled_width: int
    ) -> None:
        image = to_image(Card(Size(width, height)).draw(number, "x"))
        assert image.size == (width, height)
        scaled = image.resize((scaled_width, max(40, scaled_width * height // width)))
        assert read_frame_number(scaled) == number

    def test_patches_are_exact(self) -> None:
        image = to_image(Card(Size(320, 180)).draw(3, timecode(0.12, 3)))
        assert patch_error(image) == 0
        assert patch_boxes().keys() == PATCHES.keys()

    def test_a_turned_card_is_not_read(self) -> None:
        image = to_image(Card(Size(320, 180)).draw(85, "x"))
        for turn in Image.Transpose:
            with pytest.raises(ValueError, match="expected"):
                read_frame_number(image.transpose(turn))

    def test_moves(self) -> None:
        card = Card(Size(320, 180))
        first, second = (card.draw(number, "x").astype(int) for number in (1, 2))
        assert np.abs(first - second)[:, 80:130, 100:].mean() > 5

    @pytest.mark.parametrize("pixel_aspect", [0.5, 1.0, 64 / 45])
    def test_the_ball_is_round_as_shown(self, pixel_aspect: float) -> None:
        size = Size(round(640 / pixel_aspect), 360)
        red, _, blue = Card(size, pixel_aspect=pixel_aspect).draw(9, "x").astype(int)
        is_ball = (red == 250) & (blue == 60)
        width, height = is_ball.any(axis=0).sum() * pixel_aspect, is_ball.any(axis=1).sum()
        assert width == pytest.approx(height, abs=3)

    def test_numbers_and_sizes_have_bounds(self) -> None:
        with pytest.raises(ValueError, match="received 4096"):
            Card(Size(160, 90)).draw(4096, "x")
        with pytest.raises(ValueError, match="at least 160x90 pixels; received 159x90"):
            Card(Size(159, 90))

    @pytest.mark.parametrize(
        ("seconds", "number", "text"),
        [(0, 0, "00:00:00.000 #000"), (3.4, 85, "00:00:03.400 #085"), (3725.9996, 7, None)],
    )
    def test_timecode(self, seconds: float, number: int, text: str | None) -> None:
        assert timecode(seconds, number) == (text or "01:02:06.000 #007")


class TestPlanes:
    @pytest.mark.parametrize(
        ("coding", "expected"),
        [
            (Coding("yuv444p", Matrix.BT601), (82, 90, 240)),
            (Coding("yuv444p", Matrix.BT709), (63, 102, 240)),
            (Coding("yuv444p", Matrix.BT601, full_range=True), (76, 85, 255)),
            (Coding("yuv420p10le", Matrix.BT709), (250, 409, 960)),
            # With the primaries of BT.2020, whose red is purer: R, G, B = 0.824, 0.328, 0.180.
            (Coding("yuv420p10le", Matrix.BT2020), (458, 384, 739)),
        ],
    )
    def test_pure_red(self, coding: Coding, expected: tuple[int, ...]) -> None:
        red = np.zeros((3, 4, 6), np.uint8)
        red[0] = 255
        assert tuple(int(plane[0, 0]) for plane in to_planes(red, coding)) == pytest.approx(
            expected, abs=1
        )

    @given(
        color=st.tuples(*[st.integers(0, 255)] * 3),
        matrix=st.sampled_from([Matrix.BT601, Matrix.BT709, Matrix.BT2020]),
    )
    def test_flat_colors_stay_flat_in_every_layout(
        self, color: tuple[int, int, int], matrix: Matrix
    ) -> None:
        picture = np.broadcast_to(np.array(color, np.uint8)[:, None, None], (3, 5, 7))
        full = to_planes(picture, Coding("yuv444p", matrix))
        halved = to_planes(picture, Coding("yuv420p", matrix))
        assert [plane.shape for plane in halved] == [(5, 7), (3, 4), (3, 4)]
        for one, other in zip(full, halved, strict=True):
            assert np.ptp(one) == np.ptp(other) == 0
            assert abs(int(one[0, 0]) - int(other[0, 0])) <= 1

    def test_chroma_is_sited_on_the_left_column(self) -> None:
        ramp = np.zeros((3, 2, 16), np.uint8)
        ramp[2] = np.arange(16) * 15
        blue = to_planes(ramp, Coding("yuv444p", full_range=True))[1][0].astype(float)
        halved = to_planes(ramp, Coding("yuv420p", full_range=True))[1][0].astype(float)
        assert halved[1:] == pytest.approx(blue[2::2], abs=1)


@pytest.mark.parametrize("profile", [SRGB, WIDE, SWAPPED], ids=lambda profile: profile.name)
def test_profiles_lead_back_to_srgb(profile: Profile) -> None:
    card = to_image(Card(Size(320, 180)).draw(1, "x"))
    icc = ImageCms.ImageCmsProfile(io.BytesIO(encode_icc(profile)))
    assert ImageCms.getProfileDescription(icc).strip() == profile.name
    back = ImageCms.profileToProfile(
        store_in(card, profile), icc, ImageCms.createProfile("sRGB"), outputMode="RGB"
    )
    assert back is not None
    assert patch_error(back) <= 3
