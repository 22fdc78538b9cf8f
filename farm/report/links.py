"""Where a report's pages find a stored file: by a relative link, or an address for browsers."""

import os
import posixpath
from urllib.parse import quote

from farm.storage import profile, redact
from farm.storage.failure import NotAllowedError
from farm.storage.location import Location, parse

# What may stand in an address as it is; a percent sign only where the address has one already.
_ADDRESS_SAFE = ":/?#[]@!$&'()*+,;=%~"
_SCHEMES = {"s3a": "s3", "gcs": "gs"}


class Links:
    """Links from the pages of a report in `folder`, a URI."""

    def __init__(self, folder: str) -> None:
        self._folder = parse(folder)

    def to(self, uri: str) -> str | None:
        """The link to a stored file, None where no browser could open it from there.

        Relative within one file system or bucket, unless nothing but the root of the file system is
        shared. A relative link never begins with a scheme, whatever the file is called.
        """
        try:
            place = parse(uri)
        except NotAllowedError:
            return None
        if place.is_local and self._folder.is_local:
            return _local_link(os.path.abspath(place.path), os.path.abspath(self._folder.path))
        if not place.is_local and _store(place) == _store(self._folder):
            return _remote_link(_key(place), _key(self._folder))
        return _address(place)


def _local_link(path: str, folder: str) -> str:
    if os.path.commonpath([path, folder]) == "/":
        return f"file://{quote(os.fsencode(path))}"
    return quote(os.fsencode(os.path.relpath(path, folder)))


def _remote_link(key: str, folder: str) -> str | None:
    # Browsers drop such parts, stores keep them.
    if {"", ".", ".."} & set(key.split("/")):
        return None
    return quote(posixpath.relpath(f"/{key}", f"/{folder}"))


def _store(place: Location) -> tuple[str, str | None, str]:
    """What all that shares relative links has in common."""
    scheme = _SCHEMES.get(place.scheme, place.scheme)
    return scheme, place.profile, place.path.partition("://")[2].partition("/")[0]


def _key(place: Location) -> str:
    return place.path.partition("://")[2].partition("/")[2].rstrip("/")


def _address(place: Location) -> str | None:
    scheme, _, bucket = _store(place)
    if scheme in ("http", "https"):
        return quote(redact(place.path), safe=_ADDRESS_SAFE)
    key = quote(_key(place))
    if scheme == "gs":
        return f"https://storage.googleapis.com/{quote(bucket)}/{key}"
    if scheme == "s3":
        endpoint = _endpoint(place)
        return f"{endpoint}/{quote(bucket)}/{key}" if endpoint else _amazon(bucket, key)
    return None


def _endpoint(place: Location) -> str | None:
    """The server of a bucket, where the profile of this machine names one."""
    try:
        named = profile.options(place.scheme, place.profile).get("endpoint_url")
    except NotAllowedError:
        return None
    is_address = isinstance(named, str) and named.startswith(("http://", "https://"))
    return redact(str(named)).rstrip("/") if is_address else None


def _amazon(bucket: str, key: str) -> str:
    return f"https://{quote(bucket)}.s3.amazonaws.com/{key}"
