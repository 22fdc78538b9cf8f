import ast
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import farm.sniff
from farm.errors import (
    EmptyInputError,
    MediaError,
    NotMediaError,
    NoVideoStreamError,
    RefusedFormatError,
    UnsupportedFormatError,
)
from farm.media import MediaFormat, MediaKind
from farm.sniff import HEAD_BYTES, sniff


def box(kind: bytes, body: bytes = b"") -> bytes:
    return (8 + len(body)).to_bytes(4, "big") + kind + body


def ftyp(major: bytes, *compatible: bytes) -> bytes:
    return box(b"ftyp", major + b"\0\0\0\0" + b"".join(compatible))


def packets(stride: int, count: int, *, lead: int = 0) -> bytes:
    packet = b"\x47\x40\x11\x10" + bytes(184)
    extra = stride - 188
    wrapped = bytes(4) + packet if stride == 192 else packet + bytes(extra)
    return bytes(lead) + wrapped * count


BMP = b"BM" + bytes(12) + b"\x28\0\0\0" + bytes(40)
PICTURES = {
    "jpeg": [b"\xff\xd8\xff\xe0\0\x10JFIF"],
    "png": [b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"],
    "gif": [b"GIF87a", b"GIF89a"],
    "webp": [b"RIFF\x10\0\0\0WEBPVP8 "],
    "tiff": [b"II*\0\x08\0\0\0", b"MM\0*", b"II+\0", b"MM\0+"],
    "bmp": [BMP],
    "avif": [ftyp(b"avif"), ftyp(b"avis"), ftyp(b"mif1", b"avif", b"miaf")],
    "heic": [ftyp(b"heic", b"mif1"), ftyp(b"mif1", b"heic"), ftyp(b"msf1", b"hevc")],
    "cr3": [ftyp(b"crx ", b"isom")],
    "jp2": [b"\0\0\0\x0cjP  \r\n\x87\n"],
    "j2k": [b"\xff\x4f\xff\x51\0"],
    "jxl": [b"\xff\x0a\0\0", b"\0\0\0\x0cJXL \r\n\x87\n"],
    "ico": [b"\0\0\x01\0\x02\0"],
    "cur": [b"\0\0\x02\0\x01\0"],
    "ppm": [b"P%d\n# note\n3 2\n255\n" % kind for kind in range(1, 7)],
    "dds": [b"DDS \x7c"],
    "psd": [b"8BPS\0\1"],
    "qoi": [b"qoif"],
    "icns": [b"icns"],
    "exr": [b"v/1\1"],
    "hdr": [b"#?RADIANCE\n", b"#?RGBE\n"],
    "sgi": [b"\x01\xda\x01\x01\0\x03" + bytes(20)],
    "pcx": [b"\x0a\x05\x01\x08" + bytes(20)],
    "sun": [b"\x59\xa6\x6a\x95"],
}
VIDEOS = {
    "mp4": [
        ftyp(b"isom", b"mp42"),
        ftyp(b"mp42"),
        ftyp(b"3gp4"),
        ftyp(b"isom", b"mif1"),
        box(b"moof"),
    ],
    "mov": [ftyp(b"qt  "), box(b"moov"), b"\0\0\0\1mdat", box(b"wide"), b"\0\0\0\0mdat"],
    "matroska": [b"\x1a\x45\xdf\xa3\x93\x42\x82\x88matroska"],
    "webm": [
        b"\x1a\x45\xdf\xa3\x9f\x42\x82\x84webm",
        b"\x1a\x45\xdf\xa3\x9f\x42\x82\x01\0\0\0\0\0\0\4webm",
    ],
    "mpegts": [
        packets(188, 9),
        packets(192, 9),
        packets(204, 9),
        packets(188, 9, lead=100),
        packets(188, 3),
    ],
    "mpegps": [b"\0\0\1\xba\x44"],
    "mpegvideo": [b"\0\0\1\xb3\x14"],
    "avi": [b"RIFF\x10\0\0\0AVI LIST"],
    "flv": [b"FLV\1\5"],
    "asf": [b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9"],
    "ogg": [b"OggS\0\2"],
    "ivf": [b"DKIF\0\0"],
    "y4m": [b"YUV4MPEG2 W8 H8 F25:1"],
    "mxf": [b"\x06\x0e\x2b\x34\x02\x05\x01\x01\x0d\x01\x02\x01"],
    "rm": [b".RMF\0\0"],
    "h264": [b"\0\0\0\1\x67\x42", b"\0\0\1\x67\x42", b"\0\0\0\1\x09\xf0\0\0"],
    "hevc": [b"\0\0\0\1\x40\1\x0c", b"\0\0\0\1\x46\1\x50"],
    "synthetic": [b'FARMSYN1 {"width": 3}'],
}


@pytest.mark.parametrize(
    ("name", "head"), [(name, head) for name, heads in PICTURES.items() for head in heads]
)
def test_pictures(name, head):
    assert sniff(head, name="x") == MediaFormat(MediaKind.IMAGE, name)


@pytest.mark.parametrize(
    ("name", "head"), [(name, head) for name, heads in VIDEOS.items() for head in heads]
)
def test_videos(name, head):
    assert sniff(head, name="x") == MediaFormat(MediaKind.VIDEO, name)


def test_the_name_does_not_count():
    assert sniff(PICTURES["png"][0], name="x.jpg").name == "png"


def test_tga_needs_its_name_and_a_plausible_header():
    head = bytes([0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 2, 0, 24, 0])
    assert sniff(head, name="A.TGA").name == "tga"
    with pytest.raises(NotMediaError):
        sniff(head, name="a.jpg")
    with pytest.raises(NotMediaError):
        sniff(head[:12] + bytes(6), name="a.tga")
    with pytest.raises(NotMediaError):
        sniff(head[:17], name="a.tga")


REFUSED = [
    b"#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:0\nfile:///etc/passwd\n",
    b"ffconcat version 1.0\nfile secret.mp4\n",
    b"v=0\no=- 0 0 IN IP4 127.0.0.1\n",
    b'<?xml version="1.0"?><MPD/>',
    b"<MPD xmlns='x'>",
    b"<svg xmlns='x'>",
    b"<!DOCTYPE svg><svg>",
    b"<!-- hello --><svg>",
    b"<smil>",
    b"<ASX version='3'>",
    b"[playlist]\nFile1=a",
    b"%!PS-Adobe-3.0 EPSF-3.0",
    b"\xc5\xd0\xd3\xc6 \0\0\0",
]


@pytest.mark.parametrize("head", REFUSED)
@pytest.mark.parametrize("lead", [b"", b"\xef\xbb\xbf", b" \r\n\t", b"\xef\xbb\xbf\n"])
def test_what_opens_other_files_is_refused(head, lead):
    with pytest.raises(RefusedFormatError, match=r"^photo\.jpg: begins with ['\"].*never opened$"):
        sniff(lead + head, name="photo.jpg")


def test_errors_quote_the_start_and_escape_it():
    with pytest.raises(NotMediaError, match=r"^a: begins with '<html><body>403"):
        sniff(b"<html><body>403 Forbidden", name="a")
    with pytest.raises(NotMediaError) as caught:
        sniff(b"\x1b[31m\xe9\0\n", name="a")
    assert r"'\x1b[31m\xe9\x00\n'" in str(caught.value)


def test_empty():
    with pytest.raises(EmptyInputError, match="a: the file is empty"):
        sniff(b"", name="a")


@pytest.mark.parametrize(
    ("head", "what"),
    [
        (b"%PDF-1.4", "PDF"),
        (b"PK\3\4", "ZIP"),
        (b"\x1f\x8b\x08", "gzip"),
        (b"7z\xbc\xaf\x27\x1c", "7z"),
        (bytes(128) + b"DICM", "DICOM"),
    ],
)
def test_foreign_formats_are_named(head, what):
    with pytest.raises(UnsupportedFormatError, match=what):
        sniff(head, name="a")


@pytest.mark.parametrize(("head", "what"), [(b"ID3\4", "MP3"), (b"RIFF\0\0\0\0WAVEfmt ", "WAVE")])
def test_audio_has_no_picture(head, what):
    with pytest.raises(NoVideoStreamError, match=what):
        sniff(head, name="a")


@pytest.mark.parametrize(
    "head",
    [
        b"G" * 4096,
        b"\x47\x80\0\x10" * 1024,
        b"export const value = 1;\n",
        packets(188, 2),
        b"BMX\4" + bytes(30),
        b"P7\n",
        b"\0\0\0\2moov",
        b"\0\0\1\0\0\0",
        b"RIFF\0\0\0\0ACON",
        bytes(4096),
    ],
)
def test_weak_likenesses_are_not_media(head):
    with pytest.raises(NotMediaError):
        sniff(head, name="a.ts")


def outcome(head: bytes, *, name: str) -> bool:
    try:
        return bool(sniff(head, name=name).name)
    except MediaError as error:
        return str(error).startswith(f"{name}: ")


@given(st.binary(max_size=HEAD_BYTES), st.text(max_size=20))
def test_any_bytes_give_a_format_or_a_media_error(head, name):
    assert outcome(head, name=name)


GOOD = [head for heads in (*PICTURES.values(), *VIDEOS.values()) for head in heads]


@given(st.sampled_from(GOOD + REFUSED), st.integers(0, 30), st.binary(max_size=64))
def test_cut_and_continued_heads(head, cut, tail):
    assert outcome(head[: len(head) - cut] + tail, name="x.tga")


def test_only_the_head_counts():
    png = PICTURES["png"][0]
    assert sniff(png + bytes(2 * HEAD_BYTES), name="x") == sniff(png, name="x")


def test_module_imports_no_codec():
    tree = ast.parse(Path(farm.sniff.__file__).read_text())
    roots = {
        node.module.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)
    }
    assert roots == {"collections", "farm"}
