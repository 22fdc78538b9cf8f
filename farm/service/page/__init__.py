"""The pages that a person opens."""

from fastapi import FastAPI


def install(app: FastAPI) -> None:
    """Adds the routes to the application."""
