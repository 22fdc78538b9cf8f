"""Names of files that callers and servers choose, made safe to be names of files here."""

import re
import unicodedata
from collections.abc import Container
from urllib.parse import unquote, urlsplit

MOST_BYTES = 200
NAMELESS = "file"

# Of all systems that such a file may be taken to.
_FORBIDDEN = re.compile(r'[<>:"|?*]')
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])\s*(\.|$)", re.IGNORECASE)
_EXTENSION = re.compile(r"\.[^.\s]{1,20}$")

_ENCODED = re.compile(r";\s*filename\*\s*=\s*([\w-]+)'[^']*'([^;\s]+)", re.IGNORECASE)
_QUOTED = re.compile(r';\s*filename\s*=\s*"((?:[^"\\]|\\.)*)"', re.IGNORECASE)
_TOKEN = re.compile(r";\s*filename\s*=\s*([^;\"]+)", re.IGNORECASE)


def safe_filename(name: str) -> str:
    """The last part of a name as a name that every system takes and that leads nowhere else.

    Without separators, control and direction characters, dots and blanks at its ends, and names
    that systems reserve; at most 200 bytes of UTF-8, of which the extension stays; never empty.
    A safe name stays as it is.
    """
    text = name.encode("utf-8", "ignore").decode("utf-8")  # lone surrogates are no text
    text = re.split(r"[/\\]", text.rstrip("/\\"))[-1]
    text = unicodedata.normalize("NFC", "".join(filter(_is_shown, text)))
    text = _trimmed(_FORBIDDEN.sub("_", text))
    if len(text.encode()) > MOST_BYTES:
        found = _EXTENSION.search(text)
        extension = found[0] if found else ""
        stem = text[: len(text) - len(extension)]
        text = _trimmed(_cut(stem, MOST_BYTES - len(extension.encode())) + extension)
    if _RESERVED.match(text):
        text = _cut(f"_{text}", MOST_BYTES)
    return _trimmed(text) or NAMELESS


def unique_filename(name: str, taken: Container[str]) -> str:
    """The safe name, with a number where it is taken, whatever its letters' case."""
    safe = safe_filename(name)
    found, number = safe, 2
    while found.casefold() in taken:
        extension = match[0] if (match := _EXTENSION.search(safe)) else ""
        stem = _cut(safe[: len(safe) - len(extension)], MOST_BYTES - 12 - len(extension.encode()))
        found, number = f"{stem}-{number}{extension}", number + 1
    return found


def disposition_filename(header: str | None) -> str | None:
    """The name in a Content-Disposition header, unsafe as it stands (RFC 6266, RFC 8187)."""
    text = f";{header or ''}"
    if match := _ENCODED.search(text):
        try:
            return unquote(match[2], encoding=match[1], errors="strict")
        except (LookupError, UnicodeDecodeError):
            pass  # the plain form may stand beside it
    if match := _QUOTED.search(text):
        return re.sub(r"\\(.)", r"\1", match[1]) or None
    if match := _TOKEN.search(text):
        return match[1].strip() or None
    return None


def url_filename(url: str) -> str | None:
    """The last part of a URL's path, unsafe as it stands; None where there is none."""
    return unquote(urlsplit(url).path).rstrip("/").rpartition("/")[2] or None


def _is_shown(character: str) -> bool:
    """Whether it is no control, line or direction character, which make a name look another."""
    is_direction = unicodedata.bidirectional(character) in _DIRECTIONS
    return unicodedata.category(character) not in ("Cc", "Zl", "Zp") and not is_direction


_DIRECTIONS = frozenset({"LRE", "RLE", "PDF", "LRO", "RLO", "LRI", "RLI", "FSI", "PDI"})


def _trimmed(text: str) -> str:
    # Dots in front would hide the file.
    return re.sub(r"^[\s.]+|[\s.]+$", "", text)


def _cut(text: str, most_bytes: int) -> str:
    return text.encode()[:most_bytes].decode("utf-8", "ignore")
