"""The pages that a person opens: a key's jobs, their pictures, and what went wrong."""

from fastapi import FastAPI

from farm.service.page import reference, routes
from farm.service.page.login import WrongTries


def install(app: FastAPI) -> None:
    """Adds the routes to the application."""
    app.state.wrong_tries = WrongTries()
    app.include_router(routes.router)
    app.include_router(reference.router)
