"""A cluster whose members show certificates: it works, and refuses who has none of its own."""

import socket
import ssl

import dask
import pytest
from distributed import Client

from farm.certs import make_certs
from farm.cluster import OutcomeKind
from farm.cluster.dask import DaskCluster
from farm.errors import ClusterError
from farm.settings import Settings
from tests.cluster.contract import next_outcomes, plan_shards
from tests.cluster.entries import end_of, make_entry
from tests.cluster.hand_started import HandStarted
from tests.cluster.test_dask import SETTINGS
from tests.recipes import make_ledger

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]


def words(folder, role):
    """The options of Dask's commands, as the manual has them."""
    return ["--tls-ca-file", f"{folder}/ca.pem"] + [
        f"--tls-{kind}={folder}/{role}.{end}" for kind, end in (("cert", "pem"), ("key", "key"))
    ]


@pytest.fixture(scope="module")
def certs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certs")
    make_certs(folder)
    return folder


@pytest.fixture(scope="module")
def address(certs, tmp_path_factory):
    cluster = HandStarted(
        tmp_path_factory.mktemp("dask"),
        protocol="tls",
        scheduler=["--protocol", "tls", *words(certs, "scheduler")],
        worker=words(certs, "worker"),
    )
    cluster.start()
    yield cluster.address
    cluster.end()


def test_it_works(address, certs, tmp_path):
    refs = plan_shards(tmp_path, [{}] * 4)
    cluster = DaskCluster(SETTINGS, scheduler=address, tls=certs)
    try:
        for ref in refs:
            cluster.submit(ref, 1, is_final=False)
        handle = cluster.submit_entry(make_entry(tmp_path), limits=Settings().limits)
        assert {each.kind for each in next_outcomes(cluster, 2)} == {OutcomeKind.COMMITTED}
        assert end_of(handle).error_code is None
    finally:
        cluster.close()
    assert all(make_ledger(tmp_path).is_committed(ref) for ref in refs)


def test_who_has_a_certificate_of_another_authority_is_refused(address, certs, tmp_path):
    make_certs(tmp_path)
    patience = dask.config.set({"distributed.comm.timeouts.connect": "3 s"})
    with patience, pytest.raises(ClusterError, match="cannot be used"):
        DaskCluster(SETTINGS, scheduler=address, tls=tmp_path)


def test_who_shows_no_certificate_is_refused(address, certs):
    """Also one that knows the authority, and so trusts the scheduler."""
    context = ssl.create_default_context(cafile=str(certs / "ca.pem"))
    host, _, port = address.removeprefix("tls://").rpartition(":")
    raw = socket.create_connection((host, int(port)), timeout=10)
    refusal = pytest.raises(ssl.SSLError, match=r"(?i)certificate.required|handshake.failure")
    with raw, refusal, context.wrap_socket(raw, server_hostname=host) as wrapped:
        wrapped.recv(1)


def test_who_speaks_no_tls_is_refused(address):
    with pytest.raises(OSError, match=r"Timed out|closed"):
        Client(address.replace("tls://", "tcp://"), timeout=3, set_as_default=False)
