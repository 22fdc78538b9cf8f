"""CloudConvert's API v2, as far as it has to do with thumbnails."""

from fastapi import FastAPI


def install(app: FastAPI) -> None:
    """Adds the routes to the application."""


def is_upload(path: str) -> bool:
    """Whether a path takes files, whose size its route bounds."""
    return False
