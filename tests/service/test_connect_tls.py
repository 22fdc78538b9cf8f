"""TLS is with the host that was named, although the connection is to an address."""

import datetime
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from farm.service import connect
from farm.service.connect import web_client
from farm.service.policy import AddressPolicy
from farm.service.transfer import Stopwatch, Terms, TransferTimeError

HOST = "files.example"
LOCAL = AddressPolicy(allow_hosts=("127.0.0.1",))


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *words: object) -> None:
        pass

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        if self.path != "/silent":
            self.wfile.write(b"ok")
            return
        self.server.released.wait(10)  # type: ignore[attr-defined]
        self.close_connection = True


def make_certificate(path: Path) -> None:
    """A certificate of the host, signed by itself, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, HOST)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    form = serialization.PrivateFormat.PKCS8
    pem = serialization.Encoding.PEM
    path.write_bytes(key.private_bytes(pem, form, plain) + made.public_bytes(pem))


@pytest.fixture
def port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A server with a certificate that is trusted meanwhile."""
    pem = tmp_path / "host.pem"
    make_certificate(pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.released = threading.Event()  # type: ignore[attr-defined]
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    connect._tls.cache_clear()
    yield server.server_port
    server.released.set()  # type: ignore[attr-defined]
    server.shutdown()
    server.server_close()
    connect._tls.cache_clear()


def test_the_certificate_is_of_the_named_host(port: int) -> None:
    with web_client(LOCAL, resolve=lambda host, port: ["127.0.0.1"]) as client:
        assert client.get(f"https://{HOST}:{port}/").text == "ok"
        for other in ("other.example", "127.0.0.1"):
            with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
                client.get(f"https://{other}:{port}/")


def test_a_stopwatch_runs_under_tls_too(port: int) -> None:
    watch = Stopwatch(Terms(most_bytes=10, total_seconds=1.2))
    with (
        web_client(LOCAL, watch=watch, resolve=lambda host, port: ["127.0.0.1"]) as client,
        pytest.raises(TransferTimeError),
    ):
        client.get(f"https://{HOST}:{port}/silent")
