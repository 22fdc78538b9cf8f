"""Tells a file's format from its first bytes, and refuses what must never reach a decoder."""

import re
from collections.abc import Callable

from farm.errors import (
    EmptyInputError,
    NotMediaError,
    NoVideoStreamError,
    RefusedFormatError,
    UnsupportedFormatError,
)
from farm.media import MediaFormat, MediaKind

HEAD_BYTES = 4096
"""How many first bytes `sniff` wants to see; fewer serve where the file is shorter."""

_VIDEOS = frozenset(
    {
        *("asf", "avi", "flv", "h264", "hevc", "ivf", "matroska", "mov", "mp4", "mpegps", "mpegts"),
        *("mpegvideo", "mxf", "ogg", "rm", "synthetic", "webm", "y4m"),
    }
)

_MAGIC = {
    b"FARMSYN1 ": "synthetic",
    b"\xff\xd8\xff": "jpeg",
    b"\x89PNG\r\n\x1a\n": "png",
    b"GIF87a": "gif",
    b"GIF89a": "gif",
    b"II*\0": "tiff",
    b"MM\0*": "tiff",
    b"II+\0": "tiff",
    b"MM\0+": "tiff",
    b"\0\0\0\x0cjP  \r\n\x87\n": "jp2",
    b"\xff\x4f\xff\x51": "j2k",
    b"\0\0\0\x0cJXL \r\n\x87\n": "jxl",
    b"\xff\x0a": "jxl",
    b"DDS ": "dds",
    b"8BPS": "psd",
    b"qoif": "qoi",
    b"icns": "icns",
    b"v/1\x01": "exr",
    b"#?RADIANCE": "hdr",
    b"#?RGBE": "hdr",
    b"\x59\xa6\x6a\x95": "sun",
    b"FLV\x01": "flv",
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11": "asf",
    b"OggS": "ogg",
    b"DKIF": "ivf",
    b"YUV4MPEG2 ": "y4m",
    b"\x06\x0e\x2b\x34\x02\x05\x01\x01\x0d\x01\x02": "mxf",
    b".RMF": "rm",
    b"\0\0\x01\xba": "mpegps",
    b"\0\0\x01\xb3": "mpegvideo",
}

_UNSUPPORTED = {
    b"%PDF-": "a PDF document",
    b"PK\x03\x04": "a ZIP archive",
    b"PK\x05\x06": "a ZIP archive",
    b"\x1f\x8b": "gzip data",
    b"BZh": "bzip2 data",
    b"\xfd7zXZ\0": "xz data",
    b"\x28\xb5\x2f\xfd": "Zstandard data",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!\x1a\x07": "a RAR archive",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "an OLE document",
    b"\xd7\xcd\xc6\x9a": "a Windows metafile",
    b"gimp xcf": "a GIMP picture",
    b"BPG\xfb": "a BPG picture",
    b"AT&TFORM": "a DjVu document",
    b"SIMPLE  =": "a FITS picture",
    b"FUJIFILMCCD-RAW": "a Fujifilm raw picture",
    b"IIRO": "an Olympus raw picture",
    b"IIU\0": "a Panasonic raw picture",
}

_AUDIO = {b"ID3": "MP3", b"fLaC": "FLAC", b"MThd": "MIDI", b"#!AMR": "AMR"}

# Formats that tell a library to open further files, addresses or an interpreter.
_REFUSED = {
    b"#extm3u": "an HLS playlist",
    b"ffconcat": "a list of files to join",
    b"v=0": "a session description (SDP)",
    b"[playlist]": "a playlist",
    b"[reference]": "a playlist",
    b"rtsptext": "a stream address",
    b"<mpd": "a DASH manifest",
    b"<smil": "a SMIL presentation",
    b"<asx": "a playlist",
    b"<svg": "an SVG drawing",
    b"<?xml": "an XML document",
    b"%!ps": "a PostScript program",
    b"\x04%!ps": "a PostScript program",
    b"\xc5\xd0\xd3\xc6": "an EPS picture",
}

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_HEIF_BRANDS = frozenset(
    {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}
)
_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_MOV_BOXES = frozenset({b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"})
_MP4_BOXES = frozenset({b"styp", b"moof", b"sidx"})
_BMP_HEADER_BYTES = frozenset({12, 16, 40, 52, 56, 64, 108, 124})
_TS_STRIDES = (188, 192, 204)
_TS_PACKETS = 5
_TS_LEAST_PACKETS = 3
_NETPBM = re.compile(rb"P[1-6][ \t\r\n#]")
_ANNEX_B = re.compile(rb"\0?\0\0\x01(?:(?P<h264>[\x67\x27\x47]|\x09[\x10-\xf0]\0)|[\x40\x46]\x01)")


def sniff(head: bytes, *, name: str) -> MediaFormat:
    """The format that the first `HEAD_BYTES` of a file show.

    Only the content counts, except for TGA, which has no magic number and also needs the file
    name's `.tga`. `name` is what errors call the source. Raises EmptyInputError,
    RefusedFormatError (playlists, XML, SVG, PostScript), UnsupportedFormatError (documents,
    archives), NoVideoStreamError (audio) or NotMediaError.
    """
    if not head:
        raise EmptyInputError(f"{name}: the file is empty")
    head = head[:HEAD_BYTES]
    _refuse(head, name=name)
    for detect in _DETECTORS:
        if found := detect(head):
            return format_of(found)
    if name.lower().endswith((".tga", ".targa")) and _is_tga(head):
        return format_of("tga")
    _explain_foreign(head, name=name)
    raise NotMediaError(
        f"{name}: begins with {_quoted(head)}, which no known picture or video format does"
    )


def format_of(name: str) -> MediaFormat:
    """The format of that name, which is one that `sniff` tells."""
    return MediaFormat(MediaKind.VIDEO if name in _VIDEOS else MediaKind.IMAGE, name)


def _quoted(head: bytes) -> str:
    return ascii(head[:40].decode("latin-1"))


def _refuse(head: bytes, *, name: str) -> None:
    text = head.removeprefix(_BYTE_ORDER_MARK).lstrip().lower()
    what = next((what for start, what in _REFUSED.items() if text.startswith(start)), None)
    if text.startswith(b"<") and b"<svg" in text:
        what = "an SVG drawing"
    if what:
        raise RefusedFormatError(
            f"{name}: begins with {_quoted(head)}: {what}, which is never opened"
        )


def _explain_foreign(head: bytes, *, name: str) -> None:
    for start, what in _UNSUPPORTED.items():
        if head.startswith(start):
            raise UnsupportedFormatError(f"{name}: is {what}, neither a picture nor a video")
    if head[128:132] == b"DICM":
        raise UnsupportedFormatError(f"{name}: is a DICOM file, which no engine here decodes")
    audio = next((what for start, what in _AUDIO.items() if head.startswith(start)), None)
    if audio or (head[:4] in (b"RIFF", b"RF64") and head[8:12] == b"WAVE"):
        raise NoVideoStreamError(f"{name}: is {audio or 'WAVE'} audio, without a picture")


def _by_magic(head: bytes) -> str | None:
    return next((name for start, name in _MAGIC.items() if head.startswith(start)), None)


def _by_riff(head: bytes) -> str | None:
    if not head.startswith(b"RIFF"):
        return None
    return {b"WEBP": "webp", b"AVI ": "avi", b"AVIX": "avi"}.get(head[8:12])


def _by_ebml(head: bytes) -> str | None:
    if not head.startswith(b"\x1a\x45\xdf\xa3"):
        return None
    return "webm" if re.search(rb"\x42\x82[\x01-\xff][\0-\x08]*webm", head[:256]) else "matroska"


def _by_box(head: bytes) -> str | None:
    """The first box of an ISO base media file (ISO/IEC 14496-12, 4.2 and 4.3)."""
    size, box = int.from_bytes(head[:4], "big"), head[4:8]
    if 1 < size < 8:
        return None
    if box == b"ftyp":
        return _by_brand(head[8:12], {head[at : at + 4] for at in range(16, min(size, 256), 4)})
    if box in _MOV_BOXES:
        return "mov"
    return "mp4" if box in _MP4_BOXES else None


def _by_brand(major: bytes, compatible: set[bytes]) -> str | None:
    if major in _AVIF_BRANDS:
        return "avif"
    if major in _HEIF_BRANDS:
        # mif1 and msf1 name the structure only, so the codec stands among the compatible brands.
        structural = major in (b"mif1", b"msf1")
        return "avif" if structural and compatible & _AVIF_BRANDS else "heic"
    if major == b"crx ":
        return "cr3"
    return "mov" if major == b"qt  " else "mp4"


def _by_header(head: bytes) -> str | None:
    """Formats whose magic number is too short to be trusted alone."""
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BMP_HEADER_BYTES:
        return "bmp"
    if head[:4] in (b"\0\0\x01\0", b"\0\0\x02\0") and int.from_bytes(head[4:6], "little"):
        return "ico" if head[2] == 1 else "cur"
    if _NETPBM.match(head):
        return "ppm"
    if len(head) < 12:
        return None
    if head[:2] == b"\x01\xda" and head[2] <= 1 and head[3] in (1, 2) and head[5] in (1, 2, 3):
        return "sgi"
    if head[0] == 10 and head[1] in (0, 2, 3, 4, 5) and head[2] <= 1 and head[3] in (1, 2, 4, 8):
        return "pcx"
    return None


def _by_annex_b(head: bytes) -> str | None:
    """A bare H.264 or HEVC stream begins with a parameter set or an access unit delimiter."""
    if not (found := _ANNEX_B.match(head)):
        return None
    return "h264" if found["h264"] else "hevc"


def _by_sync(head: bytes) -> str | None:
    """An MPEG transport stream, which may begin in the middle of a packet (ISO/IEC 13818-1)."""
    return "mpegts" if any(_is_ts(head, stride) for stride in _TS_STRIDES) else None


def _is_ts(head: bytes, stride: int) -> bool:
    for start in range(stride):
        packets = range(start, len(head) - 3, stride)[:_TS_PACKETS]
        if len(packets) >= _TS_LEAST_PACKETS and all(_is_ts_packet(head, at) for at in packets):
            return True
    return False


def _is_ts_packet(head: bytes, at: int) -> bool:
    # The sync byte, no transport error, and an adaptation field control that is not reserved.
    return head[at] == 0x47 and not head[at + 1] & 0x80 and bool(head[at + 3] & 0x30)


def _is_tga(head: bytes) -> bool:
    if len(head) < 18:
        return False
    width, height = (int.from_bytes(head[at : at + 2], "little") for at in (12, 14))
    known_type = head[2] in (1, 2, 3, 9, 10, 11)
    known_depth = head[16] in (1, 8, 15, 16, 24, 32)
    return head[1] <= 1 and known_type and known_depth and width > 0 and height > 0


_DETECTORS: tuple[Callable[[bytes], str | None], ...] = (
    _by_magic,
    _by_riff,
    _by_ebml,
    _by_box,
    _by_header,
    _by_annex_b,
    _by_sync,
)
