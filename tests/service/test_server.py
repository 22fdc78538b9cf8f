"""The process of the service: how it starts, ends, and bears what it must."""

import signal
from collections.abc import Callable

import pytest

from tests.service.live import LiveServer

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

Serve = Callable[..., LiveServer]


def test_it_describes_its_routes(server: LiveServer) -> None:
    schema = server.client.get("/openapi.json").raise_for_status().json()
    assert schema["info"]["title"] == "thumbfarm"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it(serve: Serve, number: int) -> None:
    server = serve()
    server.stop(number)
    assert "Traceback" not in server.log_text


def test_two_servers_do_not_share_a_folder(serve: Serve) -> None:
    server = serve()
    with pytest.raises(AssertionError) as second:
        LiveServer(server.folder / "second", data=str(server.data)).start()
    message = str(second.value)
    assert f"another service uses {server.data}: process {server.process.pid} on " in message
    assert "Traceback" not in message
    assert server.client.get("/openapi.json").status_code == 200
