"""The private authority, what it signs, and who may read the keys."""

import ipaddress
import stat
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID

from farm.certs import ROLES, make_certs
from farm.errors import UsageError


def certificate(folder, name):
    return x509.load_pem_x509_certificate((folder / f"{name}.pem").read_bytes())


def extension(folder, name, kind):
    return certificate(folder, name).extensions.get_extension_for_class(kind).value


@pytest.fixture
def folder(tmp_path):
    make_certs(tmp_path / "certs", hosts=["a.example.org", "10.0.0.1", "::1"], days=30)
    return tmp_path / "certs"


@pytest.mark.parametrize("role", ROLES)
def test_each_role_has_a_certificate_of_the_authority_with_its_key(folder, role):
    found, authority = certificate(folder, role), certificate(folder, "ca")
    found.verify_directly_issued_by(authority)
    key = load_pem_private_key((folder / f"{role}.key").read_bytes(), password=None)
    assert found.public_key() == key.public_key()
    assert role in found.subject.rfc4514_string()
    assert not extension(folder, role, x509.BasicConstraints).ca
    assert set(extension(folder, role, x509.ExtendedKeyUsage)) == {
        ExtendedKeyUsageOID.SERVER_AUTH,
        ExtendedKeyUsageOID.CLIENT_AUTH,
    }
    now = datetime.now(UTC)
    assert found.not_valid_before_utc < now
    left = found.not_valid_after_utc - now
    assert timedelta(days=29) < left <= timedelta(days=30)


def test_hosts_are_named_as_what_they_are(folder):
    names = extension(folder, "scheduler", x509.SubjectAlternativeName)
    assert names.get_values_for_type(x509.DNSName) == ["localhost", "a.example.org"]
    assert names.get_values_for_type(x509.IPAddress) == [
        ipaddress.ip_address(each) for each in ("127.0.0.1", "10.0.0.1", "::1")
    ]


def test_the_authority_signs_certificates_and_no_other_authority(folder):
    constraints = extension(folder, "ca", x509.BasicConstraints)
    assert (constraints.ca, constraints.path_length) == (True, 0)
    assert extension(folder, "ca", x509.KeyUsage).key_cert_sign


def test_keys_are_for_their_owner_alone(folder):
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    keys = sorted(folder.glob("*.key"))
    assert len(keys) == 4
    assert {stat.S_IMODE(key.stat().st_mode) for key in keys} == {0o600}


def test_a_key_that_others_could_read_is_replaced_by_one_that_they_cannot(folder):
    key = folder / "worker.key"
    key.chmod(0o644)
    make_certs(folder)
    assert stat.S_IMODE(key.stat().st_mode) == 0o600


def test_again_the_same_authority_signs_new_certificates(folder):
    authority, before = certificate(folder, "ca"), certificate(folder, "client")
    paths = make_certs(folder)
    assert certificate(folder, "ca") == authority
    assert certificate(folder, "client") != before
    certificate(folder, "client").verify_directly_issued_by(authority)
    assert [path.name for path in paths][:4] == [
        "ca.pem",
        "ca.key",
        "scheduler.pem",
        "scheduler.key",
    ]
    assert all(path.is_file() for path in paths)


@pytest.mark.parametrize("damage", ["missing key", "missing certificate", "noise"])
def test_an_authority_that_is_damaged_is_never_replaced(folder, damage):
    victim = folder / ("ca.pem" if damage == "missing certificate" else "ca.key")
    victim.unlink()
    if damage == "noise":
        victim.write_bytes(b"no key at all")
    before = certificate(folder, "client")
    with pytest.raises(UsageError, match="remove both to begin anew"):
        make_certs(folder)
    assert certificate(folder, "client") == before


@pytest.mark.parametrize("host", ["bücher.example", "\N{SNOWMAN}"])
def test_a_host_that_no_certificate_can_name_is_refused_before_anything_is_made(tmp_path, host):
    with pytest.raises(UsageError, match="name or address of a host in ASCII"):
        make_certs(tmp_path / "certs", hosts=[host])
    assert not (tmp_path / "certs").exists()


def test_a_folder_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot hold certificates"):
        make_certs(tmp_path / "file")
