"""Outputs written in one word of a command line."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.cli.output_text import output_text, parse_output, parse_size
from farm.errors import InvalidJobError
from farm.geometry import Fit
from farm.position import Position, parse_position
from farm.spec import FORMAT_OPTIONS, Accuracy, ImageFormat, SizedSpec, Subsampling, ThumbnailSpec


def test_reads_a_size_and_fields() -> None:
    spec = parse_output(
        "320x180,fit=crop,format=webp,quality=70,position=15%,accuracy=exact,"
        "filename={id}-%04d.jpg,engine=pyav,timeout=12.5"
    )
    assert spec == ThumbnailSpec(
        width=320,
        height=180,
        fit=Fit.CROP,
        format=ImageFormat.WEBP,
        quality=70,
        position=Position(**parse_position("15%")),
        accuracy=Accuracy.EXACT,
        filename="{id}-%04d.jpg",
        engine="pyav",
        timeout=12.5,
    )


@pytest.mark.parametrize(
    ("text", "sides"),
    [("320x180", (320, 180)), ("320x", (320, None)), ("x180", (None, 180)),
     ("width=7", (7, None)), ('{"height": 9}', (None, 9)), ("320x, fit=max", (320, None))],
)  # fmt: skip
def test_reads_sides(text: str, sides: tuple[int | None, int | None]) -> None:
    spec = parse_output(text)
    assert (spec.width, spec.height) == sides


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "expected a size"),
        ("x", "expected a size"),
        ("320", "expected a size"),
        ("320x180x3", "expected a size"),
        ("-320x180", "expected a size"),
        ("0x180", "width: expected at least 1, received 0"),
        ("320x180,crop", "expected KEY=VALUE"),
        ("320x180,fit=cropp", "fit: expected 'max', 'crop', 'scale' or 'pad'"),
        ("320x180,width=3", "width: expected once"),
        ("320x180,colour=red", "colour: unknown; allowed: width, height, fit"),
        ("320x,fit=crop", "expected width and height"),
        ("320x,quality=high", "quality: "),
        ("320x,position=1,count=2", "expected position or count"),
        ('{"width": 3', "expected a JSON object"),
    ],
)
def test_says_what_is_wrong(text: str, said: str) -> None:
    with pytest.raises(InvalidJobError) as caught:
        parse_output(text)
    assert str(caught.value).startswith(f"output {text!r}: ")
    assert said in str(caught.value)


_OPTIONS = {
    "progressive": st.booleans(),
    "subsampling": st.none() | st.sampled_from(Subsampling),
    "lossless": st.booleans(),
    "method": st.none() | st.integers(0, 6),
    "compression": st.none() | st.integers(0, 9),
}
_SIDES = st.none() | st.integers(1, 65_535)
_POSITIONS = st.one_of(
    st.decimals(0, 99_999, places=3).map(str),
    st.integers(0, 100).map(lambda percent: f"{percent}%"),
    st.integers(0, 10**6).map(lambda frame: f"frame:-{frame}"),
).map(lambda text: Position(**parse_position(text)))


@st.composite
def _specs(draw: st.DrawFn) -> ThumbnailSpec:
    width, height = draw(_SIDES), draw(_SIDES)
    fits = list(Fit) if width and height else [Fit.MAX, Fit.SCALE]
    is_counted = draw(st.booleans())
    image_format = draw(st.sampled_from(ImageFormat))
    own_options = [name for name, own in FORMAT_OPTIONS.items() if own is image_format]
    options = {name: draw(_OPTIONS[name]) for name in own_options}
    return ThumbnailSpec(
        **options,
        width=width,
        height=height,
        fit=draw(st.sampled_from(fits)),
        format=image_format,
        quality=draw(st.integers(1, 100)),
        background=draw(st.none() | st.from_regex(r"#[0-9a-f]{6}", fullmatch=True)),
        position=None if is_counted else draw(st.none() | _POSITIONS),
        count=draw(st.integers(1, 100_000)) if is_counted else None,
        accuracy=draw(st.sampled_from(Accuracy)),
        # Commas, equals signs and quotes too.
        filename=draw(st.none() | st.text(min_size=1, max_size=20)),
        engine=draw(st.none() | st.sampled_from(["pyav", "pillow"])),
        timeout=draw(st.integers(1, 86_400)),
    )


@given(_specs())
def test_reads_what_it_writes(spec: ThumbnailSpec) -> None:
    assert parse_output(output_text(spec)) == spec


@given(st.text(max_size=40))
def test_refuses_any_text_with_an_error_of_ours(text: str) -> None:
    with suppress(InvalidJobError):
        assert isinstance(parse_output(text), SizedSpec)


@given(st.integers(1, 10**6), st.integers(1, 10**6))
def test_size_has_both_sides(width: int, height: int) -> None:
    assert parse_size(f"{width}x{height}") == {"width": width, "height": height}


@pytest.mark.parametrize(
    "text",
    [
        "160x90,kind=storyboard,interval=10,sheets=true,columns=5",
        "kind=storyboard,count=20,webvtt=false",
        "x90,kind=clip,start=10%,duration=2.5,audio=false",
    ],
)
def test_other_kinds_are_written_as_they_are_read(text: str) -> None:
    spec = parse_output(text)
    assert parse_output(output_text(spec)) == spec
    assert sorted(output_text(spec).split(",")) == sorted(text.split(","))


def test_the_fields_of_a_kind_are_allowed_wherever_it_stands() -> None:
    assert parse_output("interval=5,kind=storyboard") == parse_output("kind=storyboard,interval=5")
    with pytest.raises(InvalidJobError, match=r"position: unknown; allowed: .*, interval"):
        parse_output("kind=storyboard,interval=5,position=3")
