"""The application: routes of both dialects and the pages, over one running service."""

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import uvicorn
from fastapi import FastAPI
from uvicorn.config import LOGGING_CONFIG

import farm
from farm import journal
from farm.cluster import Cluster
from farm.service import cloudconvert, download, page, qencode
from farm.service.asgi import BodyLimitMiddleware, PathMiddleware
from farm.service.config import ServiceConfig
from farm.service.delivery import Courier
from farm.service.service import Service

_LAST_ANSWERS_SECONDS = 5

_DESCRIPTION = """\
Thumbnails by two published APIs: CloudConvert's v2 and Qencode's v1, as far as they have to do with
thumbnails. Jobs run on the farm's own cluster.
"""


def create_app(config: ServiceConfig, cluster: Callable[[], Cluster]) -> FastAPI:
    """The ASGI application over a service that is opened here and closed when it ends.

    Raises RunError or InvalidJobError where the service cannot be opened.
    """
    service = Service.open(config, cluster, ended=lambda _: courier.wake())
    courier = Courier(service)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.service = service
        service.runner.start()
        courier.start()
        try:
            yield
        finally:
            courier.close()
            service.close()

    app = FastAPI(
        title="thumbfarm",
        version=farm.__version__,
        description=_DESCRIPTION,
        lifespan=lifespan,
        redirect_slashes=False,
        # `page.reference` is in their place.
        docs_url=None,
        redoc_url=None,
    )
    for part in (cloudconvert, qencode, page):
        part.install(app)
    app.include_router(download.router)
    app.add_middleware(BodyLimitMiddleware, config.inline_bytes, is_upload)
    app.add_middleware(PathMiddleware)
    return app


def listen(app: FastAPI, *, host: str, port: int, ready: Callable[[str], None]) -> None:
    """Answers requests until a signal ends it; `ready` gets the address once it does."""
    server = _Server(
        uvicorn.Config(
            app,
            host=host,
            port=port,
            log_level="warning",
            # Without one of its own its lines go where all others do.
            log_config=None if journal.is_wanted() else LOGGING_CONFIG,
            server_header=False,
            # Who takes a file slowly would keep the service from ending.
            timeout_graceful_shutdown=_LAST_ANSWERS_SECONDS,
        ),
        ready=ready,
        ending=lambda: app.state.service.watch.close(),
    )
    server.run()


class _Server(uvicorn.Server):
    def __init__(
        self,
        config: uvicorn.Config,
        *,
        ready: Callable[[str], None],
        ending: Callable[[], None],
    ) -> None:
        super().__init__(config)
        self._ready = ready
        self._ending = ending

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            host, port = self.servers[0].sockets[0].getsockname()[:2]
            self._ready(f"http://{host}:{port}")

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._ending()
        await super().shutdown(sockets)


def is_upload(path: str) -> bool:
    """Whether a path takes files, whose size its route bounds."""
    return cloudconvert.is_upload(path) or qencode.is_upload(path)
