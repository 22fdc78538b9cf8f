"""Finds the credentials of a URI's profile in a file of this machine or this process's memory.

The file at $FARM_PROFILES (default ~/.config/thumbfarm/profiles.yaml; YAML, or TOML by its suffix):

    profiles:
      archive: {key: ..., secret: ..., endpoint_url: "https://s3.example.org"}
    defaults:
      s3: {anon: true}

A profile holds options of the fsspec filesystem. `s3://archive@bucket/key` uses profile `archive`
alone; a URI without a profile uses `defaults` of its scheme, if there are any.

A process may also register a profile for a while, under a name that nobody can guess: that is how
credentials which came with a request are used.
"""

import os
import secrets
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from farm.storage.failure import NotAllowedError

_DEFAULT_PATH = "~/.config/thumbfarm/profiles.yaml"


_registered: dict[str, dict[str, Any]] = {}


def register(options: Mapping[str, Any]) -> str:
    """Keeps options in this process until they are forgotten; the name to use in URIs."""
    name = f"registered-{secrets.token_hex(16)}"
    _registered[name] = dict(options)
    return name


def forget(name: str) -> None:
    """Drops what was registered."""
    _registered.pop(name, None)


def profiles_path() -> Path:
    """Where this machine keeps its profiles."""
    return Path(os.environ.get("FARM_PROFILES") or _DEFAULT_PATH).expanduser()


def version() -> tuple[str, int]:
    """Changes when another profiles file is named or the file is edited."""
    path = profiles_path()
    try:
        return str(path), path.stat().st_mtime_ns
    except OSError:
        return str(path), 0


def options(scheme: str, profile: str | None) -> dict[str, Any]:
    """The filesystem options for a scheme and a profile.

    Raises NotAllowedError, whose text names no value.
    """
    if profile in _registered:
        return dict(_registered[profile])
    path = profiles_path()
    document = _read(path)
    section, name = ("defaults", scheme) if profile is None else ("profiles", profile)
    entries = document.get(section) or {}
    if not isinstance(entries, dict):
        raise NotAllowedError(f"expected a mapping {section!r} in {path}")
    if name not in entries and profile is None:
        return {}
    if name not in entries:
        there = "the file does not exist" if not document else f"it has {sorted(entries)}"
        raise NotAllowedError(f"profile {profile!r} is not in {path} ({there})")
    found = entries[name] or {}
    if not isinstance(found, dict):
        raise NotAllowedError(f"expected a mapping at {section}.{name} in {path}")
    return {str(key): value for key, value in found.items()}


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise NotAllowedError(f"cannot read {path}: {type(error).__name__}") from None
    document = _read_toml(text, path) if path.suffix == ".toml" else _read_yaml(text, path)
    if not isinstance(document, dict):
        raise NotAllowedError(f"expected a mapping in {path}")
    return document


def _read_toml(text: str, path: Path) -> Any:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        raise NotAllowedError(f"{path} is no valid TOML") from None


def _read_yaml(text: str, path: Path) -> Any:
    import yaml

    try:
        return yaml.safe_load(text) or {}
    except yaml.YAMLError as error:  # its text quotes the file, which holds secrets
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise NotAllowedError(f"{path} is no valid YAML{where}") from None
