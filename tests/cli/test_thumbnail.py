"""`farm thumbnail`."""

from pathlib import Path

import av
import pytest
from PIL import Image

from farm.samples.card import read_frame_number
from farm.samples.clip import Recipe, make_clip
from tests.cli.conftest import Farm


@pytest.fixture(autouse=True)
def _default_interrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    # The command lets a Ctrl-C end its process; the test's is not the command's own.
    monkeypatch.setattr("farm.cli.thumbnail.signal.signal", lambda *_: None)


def test_makes_one(farm: Farm, source: Path, tmp_path: Path) -> None:
    out = tmp_path / "made" / "50%.webp"
    said = farm("thumbnail", source, "-o", out, "-s", "160x", "--at", "50", "--accuracy", "exact")
    assert said.code == 0, said.err
    assert said.out.startswith(f"{out}  160x120 at 50.000 s, ")
    with Image.open(out) as picture:
        assert (picture.format, picture.size) == ("WEBP", (160, 120))
    assert list(out.parent.iterdir()) == [out]


def test_makes_several(farm: Farm, source: Path, tmp_path: Path) -> None:
    said = farm("thumbnail", source, "-o", tmp_path / "x-%02d.png", "--count", 3)
    assert said.code == 0, said.err
    names = [f"x-{number:02d}.png" for number in (1, 2, 3)]
    assert sorted(path.name for path in tmp_path.glob("*.png")) == names
    assert said.out.count("320x240") == 3


def test_crops_and_finds_its_file_from_here(
    farm: Farm, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["-o", "out.JPEG", "-s", "50x50", "--fit", "crop", "--quality", 40]
    said = farm("thumbnail", source.name, *words)
    assert said.code == 0, said.err
    with Image.open(tmp_path / "out.JPEG") as picture:
        assert (picture.format, picture.size) == ("JPEG", (50, 50))


def test_sets_the_fields_that_have_no_option(farm: Farm, source: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.jpg"
    words = ["-o", out, "-s", "64x", "--set", "progressive=true,subsampling=4:4:4"]
    said = farm("thumbnail", source, *words)
    assert said.code == 0, said.err
    with Image.open(out) as picture:
        assert "progressive" in picture.info
        assert [layer[1:3] for layer in picture.layer] == [(1, 1)] * 3


def test_a_file_without_a_picture_ends_with_1(farm: Farm, tmp_path: Path) -> None:
    said = farm("thumbnail", tmp_path / "none.mp4", "-o", tmp_path / "x.jpg")
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith("farm: source_not_found: ")
    assert "none.mp4" in said.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-o", "x.gif"], "--out: expected a name ending in .jpg, .png or .webp"),
        (["-o", "{id}.jpg"], "--out: expected a name without braces"),
        (["-o", "x.jpg", "-s", "big"], "--size: expected a size like 320x180"),
        (["-o", "x.jpg", "--fit", "crop"], "expected width and height with fit 'crop'"),
        (["-o", "x.jpg", "--at", "soon"], "position: expected seconds"),
        (["-o", "x.jpg", "--count", "0"], "count: "),
        (["-o", "x-%q.jpg", "--count", "2"], "--out: unexpected '%q'"),
        (["-o", "x.jpg", "--count", "2"], "--out: expected %d in the name of several pictures"),
        (["-o", "x.jpg", "--engine", "nosuch"], "engine: expected one of nvimgcodec, "),
        (["-o", "s3://u:word@b/x.jpg"], "destination: expected no password in a URI"),
        (["-o", "x.jpg", "--set", "progressive"], "--set: expected KEY=VALUE"),
        (
            ["-o", "x.jpg", "-s", "5x", "--set", "width=3"],
            "--set: width: is told by another option",
        ),
        (["-o", "x.jpg", "--fit", "max", "--set", "fit=pad"], "--set: fit: is told by another"),
        (["-o", "x.png", "--set", "progressive=true"], "progressive: only with format jpg"),
        (["-o", "x.jpg", "--output", "kind=storyboard,interval=1"], "--out: expected %d in"),
        (["-o", "x%d.jpg", "--output", "kind=storyboard"], "expected interval or count"),
        (
            ["-o", "x.jpg", "--output", "kind=film"],
            "kind: expected 'thumbnail', 'storyboard' or 'clip', ",
        ),
        (["-o", "x.jpg", "--output", "9x,format=png"], "--output: format: is told by another"),
        (["-o", "x.mp4", "--output", "interval=1"], "--output: interval: unknown; allowed: "),
        ([], "Missing option '--out'"),
    ],
)
def test_says_what_is_wrong(farm: Farm, source: Path, words: list[str], said: str) -> None:
    ended = farm("thumbnail", source, *words)
    assert ended.code == 2
    assert said in ended.err
    assert "word@" not in ended.err


def test_a_source_with_a_password_is_refused(farm: Farm, tmp_path: Path) -> None:
    ended = farm("thumbnail", "s3://user:word@bucket/a.mp4", "-o", tmp_path / "x.jpg")
    assert ended.code == 2
    assert ended.err.startswith("farm: invalid_entry: source: expected no password in a URI")


def test_makes_a_storyboard_of_sheets(farm: Farm, source: Path, tmp_path: Path) -> None:
    spec = "64x48,kind=storyboard,interval=10,sheets=true,columns=5"
    said = farm("thumbnail", source, "-o", tmp_path / "sprite.jpg", "--output", spec)
    assert said.code == 0, said.err
    with Image.open(tmp_path / "sprite.jpg") as picture:
        assert picture.size == (5 * 64, 2 * 48)
    vtt = (tmp_path / "sprite.vtt").read_text()
    assert vtt.count("sprite.jpg#xywh=") == 10
    first, second = said.out.splitlines()
    assert first.startswith(f"{tmp_path / 'sprite.vtt'}  ")
    assert second.startswith(f"{tmp_path / 'sprite.jpg'}  320x96, ")


def test_makes_a_storyboard_of_images(farm: Farm, source: Path, tmp_path: Path) -> None:
    words = ["-o", tmp_path / "x%d.png", "-s", "32x", "--count", 3, "--set", "kind=storyboard"]
    said = farm("thumbnail", source, *words)
    assert said.code == 0, said.err
    names = sorted(path.name for path in tmp_path.iterdir() if path != source)
    assert names == ["x.vtt", "x1.png", "x2.png", "x3.png"]


def test_makes_a_clip_of_a_video(farm: Farm, tmp_path: Path) -> None:
    video = tmp_path / "a.mp4"
    video.write_bytes(make_clip(Recipe("a.mp4", "libx264", "", frames=50)))
    words = ["-o", tmp_path / "x.mp4", "-s", "160x", "--at", "0.4", "--set", "duration=1"]
    said = farm("thumbnail", video, *words)
    assert said.code == 0, said.err
    assert said.out.startswith(f"{tmp_path / 'x.mp4'}  160x90 at 0.400 s, ")
    with av.open(tmp_path / "x.mp4") as container:
        frames = [frame.to_image() for frame in container.decode(video=0)]
    assert [read_frame_number(frame) for frame in frames] == list(range(10, 35))


def test_a_clip_has_fields_of_its_own(farm: Farm, source: Path, tmp_path: Path) -> None:
    ended = farm("thumbnail", source, "-o", tmp_path / "x.mp4", "--set", "method=2")
    assert ended.code == 2
    assert ended.err.startswith("farm: invalid_job: --set: method: unknown; allowed: width, ")
    assert "keyframe_interval" in ended.err
