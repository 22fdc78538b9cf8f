"""Which addresses may be connected to, and what an operator may add."""

import pytest
from pydantic import ValidationError

from farm.errors import InvalidEntryError
from farm.service.policy import AddressPolicy, AddressRefusedError, is_public


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.8.9.10", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1"),
        *("169.254.169.254", "100.64.0.1", "100.127.255.255", "0.0.0.0", "255.255.255.255"),
        *("224.0.0.1", "239.255.255.255", "240.0.0.1", "192.0.0.192", "192.0.2.1", "198.18.0.1"),
        *("198.51.100.1", "203.0.113.1", "168.63.129.16", "192.88.99.1"),
        *("::", "::1", "::7f00:1", "fe80::1", "fec0::1", "fc00::1", "fd00:ec2::254", "ff02::1"),
        *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254"),
        *("64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2002:7f00:1::", "2002:a00:1::"),
        *("2001::1", "2001:db8::1", "100::1", "3fff::1", "5f00::1"),
    ],
)
def test_not_public(address: str) -> None:
    assert not is_public(address)
    assert not AddressPolicy().admits(address, host="x.example", port=443)


@pytest.mark.parametrize(
    "address",
    [
        *("8.8.8.8", "93.184.216.34", "172.32.0.1", "100.128.0.1", "11.0.0.1"),
        *("2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"),
    ],
)
def test_public(address: str) -> None:
    assert AddressPolicy().admits(address, host="x.example", port=443)


@pytest.mark.parametrize(
    ("entry", "address", "host", "port", "expected"),
    [
        ("127.0.0.1", "127.0.0.1", "localhost", 80, True),
        ("127.0.0.1", "127.0.0.2", "localhost", 80, False),
        ("127.0.0.1/32", "127.0.0.1", "127.0.0.1", 9000, True),
        ("127.0.0.1:9000", "127.0.0.1", "127.0.0.1", 9000, True),
        ("127.0.0.1:9000", "127.0.0.1", "127.0.0.1", 9001, False),
        ("10.1.0.0/16", "10.1.2.3", "a.internal", 80, True),
        ("10.1.0.0/16", "10.2.2.3", "a.internal", 80, False),
        ("::1", "::1", "localhost", 80, True),
        ("[::1]:9000", "::1", "localhost", 9000, True),
        ("[::1]:9000", "::1", "localhost", 80, False),
        ("fe80::/10", "fe80::1%eth0", "x", 80, True),
        ("minio.internal", "10.0.0.5", "minio.internal", 80, True),
        ("MinIO.internal:9000", "10.0.0.5", "minio.INTERNAL.", 9000, True),
        ("minio.internal:9000", "10.0.0.5", "minio.internal", 80, False),
        ("minio.internal", "10.0.0.5", "evil.minio.internal", 80, False),
        ("minio.internal", "10.0.0.5", "10.0.0.5", 80, False),
    ],
)
def test_allowed_in_addition(
    entry: str, address: str, host: str, port: int, expected: bool
) -> None:
    assert AddressPolicy(allow_hosts=(entry,)).admits(address, host=host, port=port) is expected


@pytest.mark.parametrize("entry", ["", "a b", "http://x", "10.0.0.1/8", "x:0", "x:99999", "x:y"])
def test_entries_that_are_none(entry: str) -> None:
    with pytest.raises(ValidationError, match="expected an address, a network, a name"):
        AddressPolicy(allow_hosts=(entry,))


def test_ports() -> None:
    policy = AddressPolicy(ports=frozenset({80, 443}), allow_hosts=("x.internal:9000",))
    assert policy.admits("8.8.8.8", host="x", port=443)
    assert not policy.admits("8.8.8.8", host="x", port=22)
    assert policy.admits("10.0.0.1", host="x.internal", port=9000)
    with pytest.raises(AddressRefusedError, match=r"port 22 of 'x' is refused; allowed: \[80, 443"):
        policy.admitted(["8.8.8.8"], host="x", port=22)


def test_of_many_addresses_the_public_ones_remain() -> None:
    policy = AddressPolicy()
    found = policy.admitted(["10.0.0.1", "8.8.8.8", "::1"], host="x", port=80)
    assert found == ["8.8.8.8"]
    with pytest.raises(AddressRefusedError, match="'x' leads to an address that is not public"):
        policy.admitted(["10.0.0.1"], host="x", port=80)


def test_a_refusal_does_not_tell_the_address() -> None:
    with pytest.raises(AddressRefusedError) as caught:
        AddressPolicy().admitted(["10.9.8.7"], host="intranet.example", port=80)
    assert "10.9.8.7" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        *("file:///etc/passwd", "ftp://x/y", "gopher://x", "data:,x", "/etc/passwd", "", "http://"),
        *(
            "http:///x",
            "http://[::1",
            "http://x:99999/",
            "http://x:0/",
            "http://a b/",
            "http://x\n",
        ),
        *("http://x\\@y/", "HTTPS:x", "jar:http://x!/"),
    ],
)
def test_urls_that_are_refused(url: str) -> None:
    with pytest.raises(InvalidEntryError, match="expected a URL"):
        AddressPolicy().check_url(url)


@pytest.mark.parametrize("url", ["http://x", "HTTPS://x.example:8443/a?b#c", "s3://bucket/key"])
def test_urls_that_are_fine(url: str) -> None:
    AddressPolicy().check_url(url)


def test_a_refused_url_shows_no_password() -> None:
    with pytest.raises(InvalidEntryError) as caught:
        AddressPolicy().check_url("ftp://me:hunter2@x/y?token=hunter2")
    assert "hunter2" not in str(caught.value)


def test_plain_http() -> None:
    policy = AddressPolicy(plain_http_hosts=("minio:9000", "127.0.0.1"))
    assert policy.speaks_plain_http("minio", 9000)
    assert not policy.speaks_plain_http("minio", None)
    assert policy.speaks_plain_http("127.0.0.1", 5000)
    assert not policy.speaks_plain_http("s3.example.org", None)
