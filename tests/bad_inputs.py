"""The list of bad inputs and what must come of each; `python -m tests.bad_inputs` prints it."""

from collections.abc import Sequence
from dataclasses import dataclass

from farm.errors import (
    CorruptError,
    DiskFullError,
    EmptyInputError,
    EncryptedError,
    LaneCrashError,
    LaneMemoryError,
    LaneTimeoutError,
    LimitError,
    NotMediaError,
    NoVideoStreamError,
    RefusedFormatError,
    SourceChangedError,
    SourceDeniedError,
    SourceError,
    SourceNotFoundError,
    SourceTooLargeError,
    SourceUnavailableError,
    StoreDeniedError,
    TooManyPagesError,
    TooManyPixelsError,
    TooManyStreamsError,
    TruncatedError,
    UnsupportedFormatError,
    error_classes,
)
from tests import bad_media as media
from tests.bad_media import Maker, always
from tests.bad_texts import TEXTS, Text

OK = "ok"
SALVAGED = "ok, `salvaged`"
PAGES = 10_000

FAULTS = frozenset({LaneTimeoutError.code, LaneCrashError.code, LaneMemoryError.code})
"""What becomes of entries that end their lane, and of no others."""


@dataclass(frozen=True, slots=True)
class Bad:
    """One kind of file: its outcome is a code of an error, or `ok` with any warnings.

    Either tests make it, or `files` of the corpus are of that kind.
    """

    number: int
    name: str
    outcome: str
    files: tuple[str, ...] = ()
    make: Maker | None = None


def _file(number: int, file: str, name: str, outcome: str) -> Bad:
    return Bad(number, name, outcome, (file,))


def _made(number: int, make: Maker, name: str, outcome: str) -> Bad:
    return Bad(number, name, outcome, make=make)


_ORIENTED = tuple(f"g28_exif{code}.jpg" for code in range(1, 9))
_LONG_PROFILE = b"\0" * 200_000

STILLS = (
    _file(1, "b01_empty.jpg", "no bytes", EmptyInputError.code),
    _file(2, "b02_one_byte.png", "one byte", NotMediaError.code),
    _file(3, "b03_html_error.jpg", "an error page named .jpg", NotMediaError.code),
    _file(4, "b04_text_as.png", "text named .png", NotMediaError.code),
    _file(5, "b05_trunc_half.jpg", "JPEG cut in half, 192 of 360 rows left", SALVAGED),
    _file(6, "b06_trunc_half.png", "PNG cut in half, less than half of its rows left",
          TruncatedError.code),
    _file(7, "b07_trunc_half.webp", "WebP cut in half", TruncatedError.code),
    _file(8, "b08_trunc_half.avif", "AVIF cut in half", TruncatedError.code),
    _file(9, "b09_header_only.jpg", "the header of a JPEG", TruncatedError.code),
    _file(10, "b10_no_eoi.jpg", "JPEG without its end marker", SALVAGED),
    _file(11, "b11_garbage_tail.jpg", "JPEG with garbage behind it", OK),
    _file(12, "b12_garbage_head.jpg", "JPEG with garbage before it", NotMediaError.code),
    _file(13, "b13_bitflip.jpg", "JPEG with 200 bytes changed", SALVAGED),
    _file(14, "b14_crc.png", "PNG with a byte of its data changed", SALVAGED),
    _file(15, "b15_zero_w.png", "PNG of width 0", CorruptError.code),
    _file(16, "b16_neg_dims.png", "PNG of 2^31 - 1 pixels a side", TooManyPixelsError.code),
    _file(17, "b17_bomb_400mp.png", "PNG of 400 megapixels in 388 kB", TooManyPixelsError.code),
    _file(18, "b18_bomb_150mp_warn.png", "PNG of 150 megapixels, of which Pillow only warns",
          TooManyPixelsError.code),
    _file(19, "b19_bomb_1bit.png", "PNG of 900 megapixels of one bit", TooManyPixelsError.code),
    _file(20, "b20_ztxt_70MB.png", "PNG with a text of 70 MB, deflated", LimitError.code),
    _file(21, "b21_iccp_bomb.png", "PNG with a profile of 64 MB, deflated", LimitError.code),
    _made(22, always(lambda: media.make_gif(3000)), "GIF of 3000 frames; one is decoded", OK),
    _file(23, "b23_gif_canvas_65535.gif", "GIF with a canvas of 65535 x 65535",
          TooManyPixelsError.code),
    _file(24, "b24_jpeg_sof_65500.jpg", "JPEG that claims 65500 x 65500", TooManyPixelsError.code),
    _file(25, "g25_cmyk.jpg", "CMYK JPEG", OK),
    _file(26, "g26_gray.jpg", "gray JPEG", OK),
    _file(27, "g27_progressive.jpg", "progressive JPEG", OK),
    Bad(28, "each orientation of Exif, 1 to 8", OK, _ORIENTED),
    _file(29, "g29_exif99.jpg", "an orientation of 99", OK),
    _file(30, "b30_exif_garbage.jpg", "garbage in place of Exif tags", "ok, `exif_ignored`"),
    _file(31, "b31_rgba_as.jpg", "PNG named .jpg", OK),
    _file(32, "b32_svg_as.png", "SVG named .png that names a local file", RefusedFormatError.code),
    _file(33, "b33_xxe.svg", "SVG with an external entity", RefusedFormatError.code),
    _made(33, media.make_xml, "the same, of a file that is there", RefusedFormatError.code),
    _file(34, "b34_eps.jpg", "EPS named .jpg", RefusedFormatError.code),
    _file(35, "b35_pdf.jpg", "PDF named .jpg", UnsupportedFormatError.code),
    _file(36, "b36_zip.png", "ZIP named .png", UnsupportedFormatError.code),
    _file(37, "b37_gz.png", "gzip named .png", UnsupportedFormatError.code),
    _file(38, "b38_tiff_5000_pages.tif", "TIFF of 5000 pages; only the first is decoded", OK),
    _made(38, always(lambda: media.make_tiff(PAGES + 1)), f"TIFF of {PAGES + 1} pages",
          TooManyPagesError.code),
    _file(39, "b39_tiff_ifd_loop.tif", "TIFF whose pages are a ring", OK),
    _file(40, "g40_1x1.png", "1 x 1", OK),
    _file(41, "g41_1x20000.png", "1 x 20000", OK),
    _file(42, "g42_20000x1.png", "20000 x 1", OK),
    _file(43, "g43_l.png", "gray PNG", OK),
    _file(44, "g44_i16.png", "PNG of 16 bits", OK),
    _file(45, "g45_rgba.png", "PNG with transparency", OK),
    _file(46, "g46_p_trns.png", "PNG with a palette and transparency", OK),
    _file(47, "g47_bilevel.png", "PNG of one bit", OK),
    _file(48, "g48_float.tif", "TIFF of floating point", OK),
    _made(49, always(lambda: media.make_jpeg(profile=_LONG_PROFILE)),
          "JPEG with a profile that is none, of 200 kB", "ok, `icc_ignored`"),
    _made(49, always(lambda: media.with_cut_adobe_marker(media.make_jpeg())),
          "JPEG whose APP14 segment is cut short", OK),
)  # fmt: skip

VIDEOS = (
    _file(50, "b50_moov_missing.mp4", "MP4 without its index", TruncatedError.code),
    _file(51, "b51_trunc90.mp4", "MP4 cut at 90 %, its index lost", TruncatedError.code),
    _file(52, "b52_faststart_trunc30.mp4", "MP4 cut at 30 %, its index first", OK),
    _file(53, "b53_mdat_flips.mp4", "MP4 with 300 bytes of its samples changed",
          "ok, `salvaged`, `damaged`"),
    _file(54, "b54_ftyp_only.mp4", "the first box of an MP4", TruncatedError.code),
    _file(55, "b55_zero_filled.mp4", "MP4 filled with zeros", TruncatedError.code),
    _file(56, "b56_audio_only.mp4", "sound only", NoVideoStreamError.code),
    _file(57, "g57_one_frame.mp4", "a single frame", OK),
    _file(58, "g58_no_duration.mkv", "Matroska without a duration", "ok, `duration_unknown`"),
    _file(59, "g59_odd_444.mp4", "63 x 35 pixels of 4:4:4", OK),
    _file(60, "g60_10bit.mp4", "10 bits", OK),
    _made(61, always(media.make_rotated), "a display matrix that turns", OK),
    _made(62, always(media.make_huge_avi), "Motion JPEG of 16384 x 16384 that lacks nearly all",
          CorruptError.code),
    _made(62, always(media.make_huge_mp4), "16384 x 16384 by the index of an MP4",
          TooManyPixelsError.code),
    _file(63, "b63_stsz_huge_count.mp4", "an index of 2^31 - 1 samples", CorruptError.code),
    _file(64, "b64_dup_moov.mp4", "two indexes", OK),
    _file(65, "b65_timescale0.mp4", "a timescale of 0", OK),
    _file(66, "b66_duration_max.mp4", "a duration of 2^32 - 1", OK),
    _file(67, "b67_box_size0.mp4", "a box of size 0 before the index", TruncatedError.code),
    _file(68, "b68_nested.mp4", "20000 nested boxes", CorruptError.code),
    _made(69, media.make_playlist, "HLS playlist of a local file", RefusedFormatError.code),
    _made(70, media.make_web_playlist, "HLS playlist of an internal address",
          RefusedFormatError.code),
    _made(71, media.make_relative_concat, "ffconcat list by a relative path",
          RefusedFormatError.code),
    _made(72, media.make_concat, "ffconcat list by an absolute path", RefusedFormatError.code),
    _made(73, media.make_dash, "DASH manifest", RefusedFormatError.code),
    _made(74, media.make_sdp, "SDP session description", RefusedFormatError.code),
    _made(75, media.make_subtitled_avi, "AVI with a playlist for subtitles; it is not looked at",
          OK),
    _made(76, always(media.make_attachments), f"Matroska with {media.FONTS} attached fonts",
          TooManyStreamsError.code),
    _made(77, always(media.make_encrypted), "encrypted samples (cenc)", EncryptedError.code),
    _made(78, always(media.make_av1), "AV1 in MP4", OK),
    _made(79, always(media.make_uneven), "a variable frame rate", OK),
    _made(79, always(media.make_late), "times that start at 2 s", OK),
    _made(79, always(media.make_early), "times that start before 0", OK),
    _made(80, always(media.make_hang), "a decoder that hangs", LaneTimeoutError.code),
    _made(81, always(media.make_crash), "a decoder that crashes", LaneCrashError.code),
    _made(82, always(media.make_glutton), "a decoder that takes all memory", LaneMemoryError.code),
)  # fmt: skip

FILES = STILLS + VIDEOS


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """What other tests show: `test` is a file and a function of it."""

    number: int
    name: str
    outcome: str
    test: str


_HTTP = "storage/test_http.py::test_what_goes_wrong"
_FAILURE = "storage/test_failure.py::test_translate"
_FETCH = "service/test_fetch.py::test_what_fails_is_told_and_leaves_nothing"

ELSEWHERE = (
    Elsewhere(83, "a source replaced while it is read, by HTTP", SourceChangedError.code,
              "storage/test_http.py::test_a_replaced_source_is_noticed"),
    Elsewhere(83, "the same on S3", SourceChangedError.code,
              "storage/test_s3.py::test_a_replaced_source_is_noticed"),
    Elsewhere(83, "another size than the manifest tells", SourceChangedError.code,
              "test_storage.py::test_limits_on_bytes"),
    Elsewhere(84, "HTTP 404, 410", SourceNotFoundError.code, _HTTP),
    Elsewhere(84, "HTTP 403", SourceDeniedError.code, _HTTP),
    Elsewhere(84, "HTTP 429, 500, 503, each three times", SourceUnavailableError.code, _HTTP),
    Elsewhere(84, "Retry-After", "kept, within bounds",
              "service/test_fetch.py::test_retry_after_is_kept_within_bounds"),
    Elsewhere(85, "a body shorter than it says", SourceUnavailableError.code, _HTTP),
    Elsewhere(85, "a range shorter than it says", SourceChangedError.code,
              "storage/test_http.py::test_a_short_answer_is_noticed"),
    Elsewhere(85, "a body that says it is too long", SourceTooLargeError.code,
              "storage/test_http.py::test_too_large_is_known_from_the_first_answer"),
    Elsewhere(85, "an endless body", SourceTooLargeError.code,
              "storage/test_http.py::test_an_endless_body_ends_at_the_limit"),
    Elsewhere(85, "a body that comes byte by byte", "bounded by the time for all tries",
              "service/test_fetch.py::test_all_tries_together_are_bounded"),
    Elsewhere(86, "redirects in a loop, or to file://", SourceError.code, _HTTP),
    Elsewhere(86, "a redirect to a link-local address", SourceDeniedError.code, _HTTP),
    Elsewhere(86, "a redirect to the service's own network", SourceDeniedError.code, _FETCH),
    Elsewhere(87, "a server that ignores ranges, or packs by gzip", OK,
              "storage/test_http.py::test_without_ranges_there_is_a_file"),
    Elsewhere(87, "a part of another place than asked", OK,
              "storage/test_http.py::test_a_part_that_is_of_no_use"),
    Elsewhere(88, "S3: SlowDown", SourceUnavailableError.code, _FAILURE),
    Elsewhere(88, "S3: expired credentials", SourceDeniedError.code, _FAILURE),
    Elsewhere(88, "S3: a checksum that does not match", SourceError.code, _FAILURE),
    Elsewhere(88, "keys with %, +, \u00e9, ? and #, or long ones", OK,
              "test_storage.py::test_any_key_goes"),
    Elsewhere(92, "a full disk, or a quota that is used up", DiskFullError.code, _FAILURE),
    Elsewhere(92, "a full disk while a picture is stored", "`disk_full`; what was there stays",
              "storage/test_local.py::test_a_full_disk_leaves_the_old_file_and_no_stray"),
    Elsewhere(92, "a file system that may only be read", StoreDeniedError.code, _FAILURE),
)  # fmt: skip

_INTRODUCTION = """\
# Bad inputs

What becomes of inputs that are broken, hostile or merely odd. Each ends with one outcome: `ok`,
perhaps with [warnings](outputs.md#records), or the code of an [error](errors.md). None takes down
anything but the [lane](security.md#lanes) that works on it, which only those do that are made for
it (80 to 82), and none makes a lane read another file or reach for the network.

This page is printed by `python -m tests.bad_inputs`, and tests compare it with what happens.
"""


def document() -> str:
    """The page of all bad inputs."""
    sections: dict[str, Sequence[Bad | Elsewhere | Text]] = {
        "Stills": STILLS,
        "Videos and playlists": VIDEOS,
        "Sources and stores": ELSEWHERE,
        "Manifests, requests and names": TEXTS,
    }
    return _INTRODUCTION + "".join(_section(title, cases) for title, cases in sections.items())


def _section(title: str, cases: Sequence[Bad | Elsewhere | Text]) -> str:
    lines = (f"| {each.number} | {each.name} | {_shown(each.outcome)} |\n" for each in cases)
    return f"\n## {title}\n\n| | input | outcome |\n|---|---|---|\n{''.join(lines)}"


def _shown(outcome: str) -> str:
    return f"`{outcome}`" if outcome in error_classes() else outcome


if __name__ == "__main__":
    print(document(), end="")  # noqa: T201 - the page is what this is for
