"""Keeps one fsspec filesystem for each scheme and profile of this process."""

import importlib
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from farm.storage import profile
from farm.storage.failure import NotUsableError
from farm.storage.location import Location

_EXTRAS = {"s3": "s3", "s3a": "s3", "http": "http", "https": "http"}

_lock = threading.Lock()
_filesystems: dict[tuple[Any, ...], Any] = {}


@contextmanager
def registered(options: Mapping[str, Any]) -> Iterator[str]:
    """A profile of that name with these options for as long: `scheme://NAME@bucket/key`."""
    name = profile.register(options)
    try:
        yield name
    finally:
        profile.forget(name)
        with _lock:
            for key in [key for key in _filesystems if key[1] == name]:
                del _filesystems[key]


def filesystem(place: Location, **defaults: Any) -> Any:
    """The filesystem of a place; `defaults` are options that a profile may override.

    Where both have a mapping under one name, the profile's goes over the default key by key.
    An edited profiles file makes new ones. Raises NotUsableError with the install hint where a
    package is missing, NotAllowedError where the profile is.
    """
    known = _class(place.scheme)
    from_uri = known._get_kwargs_from_urls(place.path)  # the host and port of sftp:// and the like
    key = (place.scheme, place.profile, profile.version(), tuple(sorted(from_uri.items())))
    with _lock:
        if key not in _filesystems:
            options = from_uri | profile.options(place.scheme, place.profile)
            _filesystems[key] = _create(known, _merged(defaults, options))
        return _filesystems[key]


def _class(scheme: str) -> Any:
    fsspec = importlib.import_module("fsspec")
    try:
        return fsspec.get_filesystem_class(scheme)
    except ImportError as error:
        wanted = _EXTRAS.get(scheme)
        hint = f"pip install 'thumbfarm[{wanted}]'" if wanted else str(error)
        raise NotUsableError(f"no package for {scheme}:// is installed; {hint}") from None
    except ValueError:
        raise NotUsableError(f"expected a scheme that fsspec knows, received {scheme!r}") from None


def _merged(defaults: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
    both = {
        name: defaults[name] | options[name]
        for name in defaults.keys() & options.keys()
        if isinstance(defaults[name], dict) and isinstance(options[name], dict)
    }
    return defaults | options | both


def _create(known: Any, options: dict[str, Any]) -> Any:
    try:
        made = known(skip_instance_cache=True, **options)
    except TypeError as error:
        raise NotUsableError(f"the profile's options do not fit: {str(error)[:100]}") from None
    # Listings go by pages or folders here; a cached one would hide what other workers wrote.
    if hasattr(made, "dircache"):
        made.dircache = importlib.import_module("fsspec.dircache").DirCache(
            use_listings_cache=False
        )
    return made
