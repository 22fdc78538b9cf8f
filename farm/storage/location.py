"""Reads URIs: which store, which profile and which path they name."""

import re
from dataclasses import dataclass

from farm.storage.failure import NotAllowedError

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_AUTHORITY = re.compile(r"[^/?#]*")


@dataclass(frozen=True, slots=True)
class Location:
    """One parsed URI.

    `path` is a path of the operating system where `is_local`, else the URI without its profile.
    Neither is percent-decoded: keys are taken as they stand.
    """

    uri: str
    scheme: str
    path: str
    profile: str | None = None

    @property
    def is_local(self) -> bool:
        """Whether the operating system opens it."""
        return self.scheme == "file"


def parse(uri: str) -> Location:
    """The parts of a URI `scheme://profile@bucket/key`, or of a plain path.

    Raises NotAllowedError where the URI carries a password.
    """
    match = _SCHEME.match(uri)
    if match is None:
        return Location(uri, "file", uri)
    scheme, rest = match[1].lower(), uri[match.end() :]
    if scheme == "file":
        return Location(uri, scheme, rest.removeprefix("localhost") if rest[9:10] == "/" else rest)
    authority = _AUTHORITY.match(rest)[0]  # type: ignore[index]  # matches the empty string too
    profile = authority.rpartition("@")[0]
    if ":" in profile:
        raise NotAllowedError(
            "expected no password in a URI; name a profile instead: scheme://profile@bucket/key"
        )
    place = rest[len(profile) + 1 :] if "@" in authority else rest
    return Location(uri, scheme, f"{scheme}://{place}", profile or None)


def join(base: str, key: str) -> str:
    """The URI of a key below a base; a key's leading slashes do not lead out of it."""
    key = key.lstrip("/")
    return f"{base}{key}" if not base or base.endswith("/") else f"{base}/{key}"
