"""The sample archive is what it says it is, by plain PyAV and Pillow alone."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from farm.errors import error_classes
from farm.media import Matrix, Transfer
from farm.samples import EXPECTED_NAME, MANIFEST_NAME, make_samples
from farm.samples.card import (
    PATCHES,
    read_frame_number,
    read_patches,
)
from farm.samples.clip import describe, make_clip
from farm.samples.pictures import make_pictures
from farm.samples.sample import Patches, Sample
from farm.samples.videos import RECIPES

THUMBNAIL_WIDTH = 320
# A seek-free reader finds start and length to a frame or two in MPEG program streams.
TIME_TOLERANCE_SECONDS = 0.065
UPRIGHT = {
    1: None,
    3: Image.Transpose.ROTATE_180,
    6: Image.Transpose.ROTATE_270,
    8: Image.Transpose.ROTATE_90,
}
VIDEOS = [describe(recipe, "videos") for recipe in RECIPES]
RECIPE_BY_NAME = {recipe.name: recipe for recipe in RECIPES}


def files_of(folder: Path) -> dict[str, dict[str, Any]]:
    files: dict[str, dict[str, Any]] = json.loads((folder / EXPECTED_NAME).read_text("utf-8"))[
        "files"
    ]
    return files


def thumbnail(image: Image.Image, *, orientation: int, shown: tuple[int, int]) -> Image.Image:
    turn = UPRIGHT[orientation]
    upright = image if turn is None else image.transpose(turn)
    size = (THUMBNAIL_WIDTH, round(THUMBNAIL_WIDTH * shown[1] / shown[0]))
    return upright.resize(size, Image.Resampling.BOX if upright.width > 640 else None)


def patch_error(image: Image.Image, patches: Patches) -> float:
    expected = dict(PATCHES)
    if patches is Patches.GRAY:
        for name, color in expected.items():
            level = Image.new("RGB", (1, 1), color).convert("L").getpixel((0, 0))
            assert isinstance(level, int)
            expected[name] = (level, level, level)
    found = read_patches(image)
    return max(
        abs(got - want)
        for name, color in expected.items()
        for got, want in zip(found[name], color, strict=True)
    )


def decoded(path: Path) -> Iterator[tuple[float, av.VideoFrame]]:
    with av.open(path) as container:
        for frame in container.decode(container.streams.video[0]):
            yield frame.time, frame


class TestArchive:
    def test_lists_every_file_in_manifest_and_expectations(self, samples: Path) -> None:
        lines = (samples / MANIFEST_NAME).read_text("utf-8").splitlines()
        rows = [json.loads(line) for line in lines]
        media = {path for path in samples.glob("*/*") if path.is_file()}
        assert {Path(row["source"]) for row in rows} == media
        assert len({row["id"] for row in rows}) == len(rows) == len(files_of(samples))
        assert all(Path(row["source"]).is_absolute() for row in rows)

    def test_is_rich_but_small(self, samples: Path) -> None:
        files = files_of(samples)
        assert len(files) >= 75
        assert sum((samples / path).stat().st_size for path in files) < 15 << 20
        assert {file["codec"] for file in files.values()} >= {
            *("h264", "hevc", "vp8", "vp9", "av1", "mpeg2video", "mpeg4", "mjpeg", "prores"),
            *("jpeg", "png", "gif", "webp", "tiff", "bmp", "avif", "ico"),
        }

    def test_errors_are_codes_of_the_tree(self, samples: Path) -> None:
        codes = {file["error"] for file in files_of(samples).values()} - {""}
        assert len(codes) >= 7
        assert codes <= error_classes().keys()

    def test_expectations_place_the_patches(self, samples: Path) -> None:
        patches = json.loads((samples / EXPECTED_NAME).read_text("utf-8"))["patches"]
        assert {name: tuple(patch["rgb"]) for name, patch in patches.items()} == PATCHES
        assert all(0 < edge < 1 for patch in patches.values() for edge in patch["box"])

    def test_tells_its_progress_and_returns_absolute_paths(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        one = (Sample(path="videos/a.mp4", kind="video"), b"abc")
        for maker in ("make_videos", "make_pictures", "make_broken"):
            monkeypatch.setattr(f"farm.samples.{maker}", lambda: iter([one]))
        monkeypatch.chdir(tmp_path)
        told: list[str] = []
        assert make_samples(Path("deep/in"), progress=told.append)[0].is_absolute()
        assert told == ["videos/a.mp4"] * 3
        assert (tmp_path / "deep/in/videos/a.mp4").read_bytes() == b"abc"


@pytest.mark.parametrize("sample", VIDEOS, ids=lambda sample: sample.path)
class TestVideos:
    def test_is_tagged_as_expected(self, samples: Path, sample: Sample) -> None:
        coding = RECIPE_BY_NAME[Path(sample.path).name].coding
        with av.open(samples / sample.path) as container:
            stream = container.streams.video[0]
            frame = next(container.decode(stream))
            assert (frame.width, frame.height) == (sample.width, sample.height)
            assert stream.codec_context.codec.canonical_name == sample.codec
            aspect = stream.sample_aspect_ratio or 1
            assert float(aspect) == pytest.approx(sample.pixel_aspect, abs=1e-5)
            assert frame.rotation % 360 == {1: 0, 3: 180, 6: 270, 8: 90}[sample.orientation]
            formats = (frame.format.name, coding.pixel_format)
            assert len({name.replace("yuvj", "yuv") for name in formats}) == 1
            if coding.is_tagged:
                matrix = {Matrix.BT709: 1, Matrix.BT601: 6, Matrix.BT2020: 9}[coding.matrix]
                transfer = {Transfer.PQ: 16, Transfer.HLG: 18}.get(coding.transfer)
                assert frame.colorspace == frame.color_primaries == matrix
                assert transfer in (None, frame.color_trc)
                assert frame.color_range == (2 if coding.full_range else 1)

    def test_shows_the_right_frame_at_each_time(self, samples: Path, sample: Sample) -> None:
        assert sample.first_number is not None
        frames = [(time, frame) for time, frame in decoded(samples / sample.path)]
        assert len(frames) == sample.frame_count
        start = frames[0][0]
        if sample.start_seconds is not None:
            assert start == pytest.approx(sample.start_seconds, abs=1e-3)
        shown = (sample.shown_width, sample.shown_height)
        for index in {*range(0, len(frames), 12), len(frames) - 1}:
            time, frame = frames[index]
            image = thumbnail(frame.to_image(), orientation=sample.orientation, shown=shown)
            assert read_frame_number(image) == sample.first_number + index
            offset = sample.frame_seconds[index] if sample.frame_seconds else index / sample.fps
            assert time - start == pytest.approx(offset, abs=2e-3)
            # PyAV's own RGB keeps wide primaries and HDR as they are.
            if RECIPE_BY_NAME[Path(sample.path).name].coding.matrix is not Matrix.BT2020:
                assert patch_error(image, sample.patches) <= sample.patch_tolerance

    def test_lasts_as_long_as_expected(self, samples: Path, sample: Sample) -> None:
        with av.open(samples / sample.path) as container:
            stream = container.streams.video[0]
            if container.duration is None:
                assert "live" in sample.path
                return
            seconds = container.duration / av.time_base
            if stream.duration is not None and stream.time_base is not None:
                seconds = float(stream.duration * stream.time_base)
        assert seconds == pytest.approx(sample.duration_seconds, abs=TIME_TOLERANCE_SECONDS)


def keyframe_numbers(path: Path) -> list[int]:
    with av.open(path) as container:
        frames = container.decode(container.streams.video[0])
        return [number for number, frame in enumerate(frames) if frame.key_frame]


class TestStructure:
    def test_keyframes_lie_every_two_seconds(self, samples: Path) -> None:
        assert keyframe_numbers(samples / "videos/h264-720p.mp4") == [0, 50, 100, 150]

    def test_a_single_keyframe_serves_ten_seconds(self, samples: Path) -> None:
        assert keyframe_numbers(samples / "videos/h264-one-keyframe.mp4") == [0]

    @pytest.mark.parametrize(
        ("name", "is_open"), [("h264-open-gop.mkv", True), ("h264-720p.mp4", False)]
    )
    def test_open_gops_have_frames_shown_before_their_keyframe(
        self, samples: Path, name: str, is_open: bool
    ) -> None:
        with av.open(samples / "videos" / name) as container:
            packets = [p for p in container.demux(video=0) if p.pts is not None]
        keys = [index for index, packet in enumerate(packets) if packet.is_keyframe][1:]
        leading = [packets[index + 1].pts < packets[index].pts for index in keys]
        assert keys
        assert any(leading) == is_open

    def test_one_video_has_sound(self, samples: Path) -> None:
        with av.open(samples / "videos/h264-720p.mp4") as container:
            assert [stream.type for stream in container.streams] == ["video", "audio"]

    def test_the_edit_list_hides_frames_that_are_there(self, samples: Path) -> None:
        with av.open(samples / "videos/h264-edit-list.mp4") as container:
            packets = [p for p in container.demux(video=0) if p.size]
        assert len(packets) == 75
        assert files_of(samples)["videos/h264-edit-list.mp4"]["frame_count"] == 50


class TestPictures:
    def test_every_one_decodes_to_its_card(self, samples: Path) -> None:
        pictures = {p: f for p, f in files_of(samples).items() if f["kind"] == "image"}
        assert len(pictures) >= 40
        for path, file in pictures.items():
            with Image.open(samples / path) as image:
                assert (image.format or "").lower() == file["codec"], path
                assert image.size == (file["width"], file["height"]), path
                assert getattr(image, "n_frames", 1) == file["frame_count"], path
                shown = upright_srgb(image)
            assert shown.size == (file["shown_width"], file["shown_height"]), path
            if file["first_number"] is not None:
                small = shown.resize((THUMBNAIL_WIDTH, round(320 * shown.height / shown.width)))
                assert read_frame_number(small) == file["first_number"], path
            if file["patches"] != Patches.NONE:
                error = patch_error(shown, Patches(file["patches"]))
                assert error <= file["patch_tolerance"] + 0.5, path

    @pytest.mark.parametrize(
        ("name", "mode"),
        [
            ("cmyk.jpg", "CMYK"),
            ("gray.jpg", "L"),
            ("alpha.png", "RGBA"),
            ("palette.png", "P"),
            ("palette-transparent.png", "P"),
            ("gray-alpha.png", "LA"),
            ("gray-16bit.png", "I;16"),
            ("one-bit.png", "1"),
        ],
    )
    def test_is_stored_in_its_mode(self, samples: Path, name: str, mode: str) -> None:
        with Image.open(samples / "pictures" / name) as image:
            assert image.mode == mode
            assert image.has_transparency_data == ("alpha" in name or "transparent" in name)

    def test_see_through_pixels_lie_at_the_edges_only(self, samples: Path) -> None:
        for name in ("alpha.png", "gray-alpha.png", "palette-transparent.png", "lossy-alpha.webp"):
            with Image.open(samples / "pictures" / name) as image:
                alpha = np.asarray(image.convert("RGBA"))[..., 3]
            assert alpha[:, [0, -1]].max() == 0, name
            assert alpha[:, 32:-32].min() == 255, name

    def test_the_16_bit_png_has_16_bits(self, samples: Path) -> None:
        header = (samples / "pictures/rgb-16bit.png").read_bytes()[:33]
        assert header[24:26] == bytes((16, 2))

    def test_ignoring_the_swapped_profile_shows(self, samples: Path) -> None:
        with Image.open(samples / "pictures/icc-swapped.jpg") as image:
            assert patch_error(image, Patches.COLOR) > 100

    def test_later_pages_carry_the_next_numbers(self, samples: Path) -> None:
        with Image.open(samples / "pictures/animated.webp") as image:
            for number in range(getattr(image, "n_frames", 1)):
                image.seek(number)
                assert read_frame_number(image.convert("RGB")) == number


def upright_srgb(image: Image.Image) -> Image.Image:
    icc = image.info.get("icc_profile")
    upright = ImageOps.exif_transpose(image)
    if icc:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        upright_rgb = ImageCms.profileToProfile(
            upright, profile, ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
        assert upright_rgb is not None
        return upright_rgb
    if upright.mode == "I;16":
        return Image.fromarray((np.asarray(upright) >> 8).astype(np.uint8)).convert("RGB")
    return upright.convert("RGBA").convert("RGB")


class TestBroken:
    @pytest.mark.parametrize(
        "name", ["empty.jpg", "noise.jpg", "text.jpg", "page.jpg", "drawing.png", "document.png"]
    )
    def test_is_no_picture(self, samples: Path, name: str) -> None:
        with pytest.raises(UnidentifiedImageError):
            Image.open(samples / "broken" / name)

    @pytest.mark.parametrize("name", ["truncated.jpg", "truncated.png"])
    def test_ends_too_soon(self, samples: Path, name: str) -> None:
        with Image.open(samples / "broken" / name) as image, pytest.raises(OSError, match="trunc"):
            image.load()

    def test_the_cut_video_has_no_index(self, samples: Path) -> None:
        with pytest.raises(av.error.InvalidDataError):
            av.open(samples / "broken/truncated.mp4")

    def test_the_bomb_is_small_and_claims_much(self, samples: Path) -> None:
        path = samples / "broken/bomb.png"
        assert path.stat().st_size < 300
        with pytest.raises(Image.DecompressionBombError):
            Image.open(path)

    def test_the_playlist_names_a_file_of_the_archive(self, samples: Path) -> None:
        lines = (samples / "broken/playlist.mp4").read_text("ascii").splitlines()
        (target,) = (line for line in lines if not line.startswith("#"))
        assert lines[0] == "#EXTM3U"
        assert (samples / "broken" / target).is_file()

    def test_sound_comes_without_a_picture(self, samples: Path) -> None:
        with av.open(samples / "broken/audio-only.mp4") as container:
            assert [stream.type for stream in container.streams] == ["audio"]


class TestSameBytes:
    def test_pictures(self, samples: Path) -> None:
        for sample, data in make_pictures():
            assert (samples / sample.path).read_bytes() == data, sample.path

    @pytest.mark.parametrize(
        "name", ["vp8-live.webm", "vp9-odd.webm", "av1.mp4", "h264-odd-444.mp4", "mpeg1.mpg"]
    )
    def test_videos(self, samples: Path, name: str) -> None:
        assert (samples / "videos" / name).read_bytes() == make_clip(RECIPE_BY_NAME[name])
