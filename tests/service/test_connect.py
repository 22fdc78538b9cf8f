"""What is connected to is what was checked, whatever names and redirects do."""

import socket
import time
from collections.abc import Callable

import httpcore
import httpx
import pytest

from farm.service.connect import GuardedBackend, resolve, web_client
from farm.service.policy import AddressPolicy, AddressRefusedError
from farm.service.transfer import Stopwatch, Terms, TransferTimeError
from tests.service.web import DATA, Web, web

__all__ = ["web"]

LOCAL = AddressPolicy(allow_hosts=("127.0.0.1",))


def answers(*rounds: list[str]) -> Callable[[str, int], list[str]]:
    """A resolver that answers otherwise each time."""
    left = list(rounds)
    return lambda host, port: left.pop(0)


def test_a_name_is_looked_up_once(web: Web) -> None:
    # Whoever looked it up again would be let in.
    rebinding = answers(["93.184.216.34"], ["127.0.0.1"])
    backend = GuardedBackend(AddressPolicy(), resolve=rebinding)
    with pytest.raises((httpcore.ConnectError, httpcore.ConnectTimeout)):
        backend.connect_tcp("rebinding.example", web.port, timeout=0.2)


def test_the_checked_address_is_the_one_connected_to(web: Web) -> None:
    backend = GuardedBackend(LOCAL, resolve=answers(["10.0.0.1", "127.0.0.1"]))
    stream = backend.connect_tcp("any.example", web.port, timeout=5)
    assert stream.get_extra_info("server_addr") == ("127.0.0.1", web.port)
    stream.close()


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "localhost", "127.1", "0x7f.1", "2130706433", "0", "[::1]", "0.0.0.0"),
        *("[::ffff:127.0.0.1]", "169.254.169.254"),
    ],
)
def test_spellings_of_this_machine(web: Web, host: str) -> None:
    with web_client(AddressPolicy()) as client, pytest.raises(AddressRefusedError):
        client.get(f"http://{host}:{web.port}/file")


def test_the_host_is_named_to_the_server(web: Web) -> None:
    policy = AddressPolicy(allow_hosts=(f"name.example:{web.port}",))
    with web_client(policy, resolve=answers(["127.0.0.1"], ["127.0.0.1"])) as client:
        assert client.get(f"http://name.example:{web.port}/file/host").content == DATA
        asked = client.get(f"http://name.example:{web.port}/asked?of=/file/host").json()
    assert asked[0]["host"] == f"name.example:{web.port}"


def test_proxies_of_the_environment_are_left_aside(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with web_client(LOCAL) as client:
        assert client.get(web.url("file")).content == DATA


def test_the_next_address_is_tried(web: Web) -> None:
    policy = AddressPolicy(allow_hosts=("127.0.0.0/8",))
    backend = GuardedBackend(policy, resolve=answers(["127.0.0.9", "127.0.0.1"]))
    backend.connect_tcp("two.example", web.port, timeout=5).close()


def test_unknown_names() -> None:
    with web_client(AddressPolicy()) as client:
        for host in ("no-such-host.invalid", "a" * 64 + ".example"):
            with pytest.raises(httpx.ConnectError, match="no address is known"):
                client.get(f"http://{host}/")


def test_sockets_of_this_machine() -> None:
    with pytest.raises(httpcore.UnsupportedProtocol):
        GuardedBackend(AddressPolicy()).connect_unix_socket("/run/x.sock")


def test_addresses_are_told_once() -> None:
    found = resolve("localhost", 80)
    assert "127.0.0.1" in found
    assert len(found) == len(set(found))


@pytest.mark.parametrize("path", ["slow", "slowheaders", "silent"])
def test_a_stopwatch_ends_what_a_server_delays(web: Web, path: str) -> None:
    began = time.monotonic()
    watch = Stopwatch(Terms(most_bytes=1 << 20, total_seconds=0.6))
    with (
        web_client(LOCAL, watch=watch) as client,
        pytest.raises(TransferTimeError, match=r"0\.6 s"),
    ):
        client.get(web.url(path))
    assert time.monotonic() - began < 3


def test_errors_are_those_of_httpx() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/"
        with web_client(LOCAL) as client, pytest.raises(httpx.ConnectError) as caught:
            client.get(url)
    assert str(caught.value.request.url) == url
