"""Qencode's API v1, as far as it has to do with thumbnails."""

from fastapi import FastAPI

from farm.service.qencode import routes, storage, tus


def install(app: FastAPI) -> None:
    """Adds the routes to the application."""
    for part in (routes, storage, tus):
        app.include_router(part.router)


def is_upload(path: str) -> bool:
    """Whether a path takes files, whose size its route bounds."""
    return path.startswith(f"{tus.PATH}/")
