"""Which engine decodes an entry: the named one or an error, else the first that can."""

import re
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import TypeVar

from farm import engines
from farm.engines import Decoder, Device, Engine, PassedOnError, Source
from farm.errors import (
    EngineUnavailableError,
    FarmError,
    UnsupportedColorError,
    UnsupportedFormatError,
)
from farm.media import MediaFormat
from farm.settings import Limits
from farm.spec import Entry, PictureSpec

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Choice:
    """The engine and version that an output names, if any."""

    name: str | None = None
    version: str | None = None


def choices(entry: Entry) -> dict[Choice, list[int]]:
    """The entry's outputs of pictures, counted from 0, by what they say of the engine."""
    found: dict[Choice, list[int]] = {}
    for output, spec in enumerate(entry.outputs):
        if isinstance(spec, PictureSpec):
            found.setdefault(Choice(spec.engine, spec.engine_version), []).append(output)
    return found


def decode_with(
    choice: Choice,
    action: Callable[[Engine, Decoder], _T],
    *,
    source: Source,
    media_format: MediaFormat,
    limits: Limits,
    device: Device = "cpu",
) -> tuple[_T, str | None]:
    """What `action` makes of the opened source, and which engines gave up before it and why.

    Without a name, an engine that is missing or does not know the format hands over to the next;
    where all do, the error is that of the first, which is the one to be helped. An engine that
    passes a file on leaves no trace, except where it was named: a named engine never hands over.
    Raises EngineUnavailableError, UnsupportedFormatError and what `action` does.
    """
    names = (choice.name,) if choice.name else engines.candidates(media_format, device=device)
    failures: list[tuple[str, FarmError]] = []
    for name in names:
        try:
            engine = _load(name, choice.version, source, media_format)
            source.file.seek(0)
            opened = engine.open(source, media_format=media_format, limits=limits)
            with closing(opened) as decoder:
                made = action(engine, decoder)
        except PassedOnError:
            if choice.name:
                raise
        except UnsupportedColorError:
            raise
        except (EngineUnavailableError, UnsupportedFormatError) as error:
            failures.append((name, error))
        else:
            return made, _fallback(failures, name)
    if failures:
        raise failures[0][1]
    raise UnsupportedFormatError(f"{source.name}: no engine here decodes {media_format.name}")


def _load(name: str, version: str | None, source: Source, media_format: MediaFormat) -> Engine:
    engine = engines.load(name)
    if version is not None and not _is_version(engine.version, version):
        raise EngineUnavailableError(
            f"expected engine {name} in version {version}; installed is {engine.version}"
        )
    if media_format.kind not in engine.kinds:
        raise UnsupportedFormatError(
            f"{source.name}: engine {name} decodes {', '.join(sorted(engine.kinds))} only; this is "
            f"{media_format.name}, {media_format.kind.value}"
        )
    return engine


def _is_version(installed: str, asked: str) -> bool:
    """Whether `asked` is the installed version or its first parts: 18 and 18.1 of 18.1.0."""
    return re.match(rf"{re.escape(asked)}(?![0-9A-Za-z])", installed) is not None


def _fallback(failures: list[tuple[str, FarmError]], name: str) -> str | None:
    tried = [failed for failed, _ in failures] + [name]
    steps = zip(tried, tried[1:], (error for _, error in failures), strict=False)
    return "; ".join(f"{one} -> {other}: {error}" for one, other, error in steps) or None
