"""The software that a client and its workers must have in common, in words that they compare."""

import platform
from importlib import metadata

import farm

# What decodes and encodes: another major version gives other pictures.
_LIBRARIES = ("av", "pillow", "torch")


def own_release() -> str:
    """What this process runs, such as "thumbfarm 0.1.0, Python 3.11, av 17, pillow 12, torch 2"."""
    major, minor, _ = platform.python_version_tuple()
    libraries = (f"{name} {metadata.version(name).partition('.')[0]}" for name in _LIBRARIES)
    return ", ".join((f"thumbfarm {farm.__version__}", f"Python {major}.{minor}", *libraries))


RELEASE = own_release()
"""What this process runs."""


def difference(theirs: str, *, whose: str) -> str:
    """What another release does not have in common with ours, which is `whose`, for people."""
    pairs = zip(theirs.split(", "), RELEASE.split(", "), strict=False)
    apart = [(one, other) for one, other in pairs if one != other]
    said = ", ".join(one for one, _ in apart)
    wanted = ", ".join(other for _, other in apart)
    return f"runs {said}, {whose} {wanted}: install the same"
