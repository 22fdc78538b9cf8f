"""Names of made files: filename templates and default names, safe on every store.

A template is the whole key of a file, relative to the destination. `{id}` and `{tag}` are the
entry's, `{row}` is its number in the manifest, `{stem}` the source's name without extension,
`{path}` its path without scheme, `{width}` and `{height}` are the asked sides, `{ext}` is the
format, `{output}` and `{index}` number the entry's outputs and an output's files from 1, and
`{fanout}` spreads ids over 4,096 folders. `%d` and `%03d` are `{index}`; `%%` is a percent sign.
"""

import re
import unicodedata
from functools import lru_cache
from hashlib import sha256
from typing import TypeVar
from urllib.parse import unquote

from farm.errors import InvalidEntryError
from farm.geometry import Fit
from farm.spec import Entry, OutputSpec, SizedSpec, StoryboardSpec, ThumbnailSpec

_T = TypeVar("_T")

PLACEHOLDERS = (
    "id", "row", "stem", "ext", "path", "width", "height", "fanout", "tag", "index", "output",
)  # fmt: skip
_ALLOWED = (
    ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
    + ", %d and %03d (the picture's number from 1) and %% (a percent sign)"
)
_TOKEN = re.compile(r"\{([^{}]*)\}|%(d|%|0[1-9]d)")

KEY_BYTES = 1024
# Below the 255 bytes of file systems, so that a store's temporary suffix still fits.
_PART_BYTES = 240
_STEM_BYTES = 160
_TRAILING = re.compile(r"[. ]+$")
_DEVICE = r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(?=\.|$)"
_RESERVED = re.compile(f"^{_DEVICE}", re.IGNORECASE)
# What most names are, seen at once instead of character by character.
_PLAIN = re.compile(rf"(?!{_DEVICE})[a-z0-9_.~-]*[a-z0-9_~-]", re.IGNORECASE | re.ASCII)
_UNSAFE = '<>:"|?*\\/'
# A number in a template and what sets it off, or a percent sign, which is none.
_NUMBER = re.compile(r"%%|[-_.~ ]?(?:%(?:d|0[1-9]d)|\{index\})")
_EXTENSION = re.compile(r"\.(?:\{ext\}|[^.{}%]*)$")

VTT = "vtt"
VTT_INDEX = 0
"""The index of a storyboard's WebVTT file among its files; pictures count from 1."""


def default_id(source: str, own_outputs: str | None = None) -> str:
    """The id of a row that names none: 16 hex digits of the SHA-256 of its source.

    `own_outputs` is the canonical JSON of the outputs where the row has its own, so that two rows
    of one source with different outputs never overwrite each other.
    """
    return _digest(source if own_outputs is None else f"{source}\0{own_outputs}")[:16]


def entry_id(entry: Entry) -> str:
    """The entry's id, or the default one."""
    return entry.id if entry.id is not None else default_id(entry.source)


def check_template(template: str, *, several: bool) -> None:
    """Raises ValueError, saying what is allowed, where a filename template cannot be used.

    With `several` entries a template must tell them apart by {id}, {row} or {path}.
    """
    names = placeholders(template)
    if several and not names & {"id", "row", "path"}:
        raise ValueError(
            f"expected {{id}}, {{row}} or {{path}} in filename {template!r}, because several "
            "entries share it and would overwrite each other"
        )


def templates(spec: SizedSpec) -> dict[str, str]:
    """The filename templates that an output names, by their fields."""
    fields = {"filename": spec.filename, "vtt": getattr(spec, "vtt", None)}
    return {name: template for name, template in fields.items() if template is not None}


def file_format(spec: OutputSpec, index: int) -> str:
    """The format of an output's file `index`, which is also its extension."""
    return VTT if _is_vtt(spec, index) else str(spec.format)


def _is_vtt(spec: SizedSpec, index: int) -> bool:
    return index == VTT_INDEX and isinstance(spec, StoryboardSpec)


@lru_cache(maxsize=1024)
def placeholders(template: str) -> frozenset[str]:
    """The names used in a template, `index` for %d too; raises ValueError where it is malformed."""
    names = {match[1] for match in _TOKEN.finditer(template) if match[1] is not None}
    if unknown := sorted(names.difference(PLACEHOLDERS)):
        raise ValueError(
            f"unknown placeholder {{{unknown[0]}}} in filename {template!r}; allowed: {_ALLOWED}"
        )
    if stray := re.search(r"[{}]|%\d*.?", _TOKEN.sub("", template)):
        raise ValueError(f"unexpected {stray[0]!r} in filename {template!r}; allowed: {_ALLOWED}")
    if unsafe := [c for c in template if c != "/" and _is_unsafe(c)]:
        raise ValueError(
            f"unexpected {unsafe[0]!r} in filename {template!r}; folders are separated by '/', and "
            'control characters and < > : " | ? * \\ are not allowed'
        )
    if any(part in ("", ".", "..") for part in template.split("/")):
        raise ValueError(
            f"expected filename {template!r} to be relative to the destination, "
            "without empty, '.' or '..' parts"
        )
    if any(match[2] not in (None, "%") for match in _TOKEN.finditer(template)):
        names.add("index")
    return frozenset(names)


def make_key(entry: Entry, *, row: int, output: int, index: int) -> str:
    """The key, relative to the destination, of file `index` (from 1) of an output (from 0).

    Index 0 is a storyboard's WebVTT file. Raises InvalidEntryError where the output's template does
    not serve it.
    """
    spec = entry.outputs[output]
    field = f"outputs[{output}].{VTT if _is_vtt(spec, index) else 'filename'}"
    template, is_default = _template(spec, index)
    try:
        _check_number(spec, template, index, is_numbered="index" in placeholders(template))
    except ValueError as error:
        raise InvalidEntryError(f"{field}: {error}") from None

    def value(match: re.Match[str]) -> str:
        if match[2] == "%":
            return "%"
        if match[2] is not None:
            return f"%{match[2]}" % index
        if match[1] == "id" and is_default:
            return _before_tilde(entry_id(entry))
        return _value(match[1], entry, row=row, output=output, index=index)

    return _safe_key(_TOKEN.sub(value, template), field)


def _check_number(spec: SizedSpec, template: str, index: int, *, is_numbered: bool) -> None:
    """Raises ValueError where a template has no number but must, or the other way round."""
    if _is_vtt(spec, index):
        if is_numbered:
            raise ValueError(f"expected no %d or {{index}} in {template!r}")
    elif isinstance(spec, ThumbnailSpec) and (spec.count or 1) > 1 and not is_numbered:
        raise ValueError(f"expected %d or {{index}} in {template!r}, because count is {spec.count}")
    elif isinstance(spec, StoryboardSpec) and index > 1 and not is_numbered:
        raise ValueError(f"expected %d or {{index}} in {template!r}, as it names several files")


def _template(spec: SizedSpec, index: int) -> tuple[str, bool]:
    """The template of an output's file, and whether it is a default one."""
    # No folder for each entry: making one costs a file system more than storing a picture does.
    default = f"{{fanout}}/{{id}}~{_default_name(spec)}"
    template = spec.filename or default
    if not _is_vtt(spec, index):
        return template, spec.filename is None
    given: str | None = getattr(spec, "vtt", None)
    return given or _beside(template), given is None and spec.filename is None


def _beside(template: str) -> str:
    """The template of the WebVTT file beside pictures: theirs without number and extension."""
    plain = _NUMBER.sub(lambda match: "%%" if match[0] == "%%" else "", template)
    *folders, name = plain.split("/")
    name = _EXTENSION.sub("", name) or "storyboard"
    return "/".join([*filter(None, folders), f"{name}.{VTT}"])


def _default_name(spec: SizedSpec) -> str:
    match spec.width, spec.height:
        case None, None:
            label = ""
        case width, None:
            label = f"-w{width}"
        case None, height:
            label = f"-h{height}"
        case width, height:
            label = f"-{width}x{height}"
    fit = "" if spec.fit is Fit.MAX else f"-{spec.fit.value}"
    number = "-%04d" if isinstance(spec, ThumbnailSpec) and (spec.count or 1) > 1 else ""
    number = "-storyboard-%04d" if isinstance(spec, StoryboardSpec) else number
    return f"{{stem}}{label}{fit}{number}.{{ext}}"


def _value(name: str, entry: Entry, *, row: int, output: int, index: int) -> str:
    spec = entry.outputs[output]
    match name:
        case "id":
            return _safe_part(entry_id(entry), distinct=True)
        case "fanout":
            return _digest(entry_id(entry))[:3]
        case "stem":
            return _stem(entry.source)
        case "path":
            return _path(entry.source)
        case "ext":
            return file_format(spec, index)
        case "width" | "height":
            return str(_required(getattr(spec, name), name, output))
        case "tag":
            return _safe_part(_required(entry.tag, name, output), limit=_STEM_BYTES)
        case _:
            return str({"row": row, "index": index, "output": output + 1}[name])


def _before_tilde(id: str) -> str:
    """The id without a tilde, so that the first one of a default name ends it."""
    part = _safe_part(id, distinct=True)
    return _digest(id)[:16] if "~" in part else part


def _required(value: _T | None, name: str, output: int) -> _T:
    if not value:
        raise InvalidEntryError(
            f"outputs[{output}].filename: expected a {name} to be given, because the template "
            f"uses {{{name}}}"
        )
    return value


def _split(source: str) -> tuple[str, str]:
    """A source's path without scheme, credentials and leading slash, and its query."""
    scheme, separator, path = source.partition("://")
    if not separator:
        return source.lstrip("/"), ""
    query = ""
    if scheme in ("http", "https"):
        # In the names of other stores '?' and '#' are ordinary characters.
        path, _, query = path.partition("#")[0].partition("?")
    host, slash, rest = path.partition("/")
    return f"{host.rpartition('@')[2]}{slash}{rest}".lstrip("/"), query


def _stem(source: str) -> str:
    name = _split(source)[0].rstrip("/").rpartition("/")[2]
    if "://" in source:
        name = unquote(name)
    stem, _, extension = name.rpartition(".")
    return _safe_part(stem or extension, limit=_STEM_BYTES) or "_"


def _path(source: str) -> str:
    path, query = _split(source)
    parts = [_safe_part(part, distinct=True) for part in path.split("/") if part not in ("", ".")]
    # A query may hold a signature, so only its digest tells sources apart.
    return "/".join(parts) + (f"~{_digest(query)[:8]}" if query else "") or "_"


def _safe_key(key: str, field: str) -> str:
    key = "/".join(_safe_part(part, distinct=True) for part in key.split("/"))
    if len(key.encode()) > KEY_BYTES:
        raise InvalidEntryError(
            f"{field}: expected a name of at most {KEY_BYTES} bytes; received "
            f"{len(key.encode())} bytes, {key[:60]!r}..."
        )
    return key


def _safe_part(text: str, *, limit: int = _PART_BYTES, distinct: bool = False) -> str:
    """One part of a key that every file system and object store takes, at most `limit` bytes.

    `distinct`: a part that had to be changed ends in a digest of what it was, before its
    extension, so that different texts stay different.
    """
    if len(text) <= limit and _PLAIN.fullmatch(text):
        return text
    safe = "".join("_" if _is_unsafe(character) else character for character in text)
    safe = unicodedata.normalize("NFC", safe)
    safe = _RESERVED.sub(r"\1_", _untrailed(safe))
    if safe == text and len(safe.encode()) <= limit:
        return safe
    head, dot, extension = safe.rpartition(".")
    if not head or len(extension) > 8 or not extension.isalnum():
        head, dot, extension = safe, "", ""
    tail = (f"~{_digest(text)[:8]}" if distinct else "") + dot + extension
    return _cut(head, limit - len(tail.encode())) + tail


def _is_unsafe(character: str) -> bool:
    return character in _UNSAFE or unicodedata.category(character) in ("Cc", "Zl", "Zp")


def _untrailed(text: str) -> str:
    """The text with underscores for the trailing dots and spaces that Windows would drop."""
    return _TRAILING.sub(lambda match: "_" * len(match[0]), text)


def _cut(text: str, limit: int) -> str:
    return _untrailed(text.encode()[:limit].decode(errors="ignore"))


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()
