"""Sealed values open with the keys that sealed them, and with no others."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from farm.errors import InvalidJobError, VaultError
from farm.service.vault import Vault

SECRETS = {"secret_access_key": "hunter2", "nested": {"x": [1, None, "é"]}}


def test_what_is_sealed_is_opened(tmp_path: Path) -> None:
    vault = Vault(tmp_path / "keys" / "vault.key")
    sealed = vault.seal(SECRETS)
    assert "hunter2" not in sealed
    assert vault.open(sealed) == SECRETS
    assert Vault(tmp_path / "keys" / "vault.key").open(sealed) == SECRETS
    assert vault.seal(SECRETS) != sealed


def test_the_key_file_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "vault.key"
    vault = Vault(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]
    key = path.read_text().strip()
    assert key not in f"{vault!r} {vault} {vars(vault)}"
    path.chmod(0o640)
    with pytest.raises(InvalidJobError, match=r"open to others: chmod 600"):
        Vault(path)


def test_of_many_processes_one_makes_the_file(tmp_path: Path) -> None:
    path = tmp_path / "vault.key"
    with ThreadPoolExecutor(16) as pool:
        vaults = list(pool.map(lambda _: Vault(path), range(32)))
    sealed = vaults[0].seal(SECRETS)
    assert all(vault.open(sealed) == SECRETS for vault in vaults)


def test_rotation(tmp_path: Path) -> None:
    path = tmp_path / "vault.key"
    before = Vault(path).seal(SECRETS)
    first = path.read_text()
    path.write_text(f"{Vault.new_key()}\n{first}")
    both = Vault(path)
    assert both.open(before) == SECRETS
    after = both.seal(SECRETS)
    path.write_text(path.read_text().splitlines()[0])
    assert Vault(path).open(after) == SECRETS
    with pytest.raises(VaultError, match=r"none of the keys in .*vault\.key made it"):
        Vault(path).open(before)


@pytest.mark.parametrize("sealed", ["", "x", "é", "gAAAAA" + "x" * 100])
def test_what_was_never_sealed(tmp_path: Path, sealed: str) -> None:
    with pytest.raises(VaultError):
        Vault(tmp_path / "vault.key").open(sealed)


@pytest.mark.parametrize(
    ("text", "reason"),
    [("", "is empty"), ("hunter2", "line 1 of the key file .* is no key"), ("é", "cannot read")],
)
def test_files_that_hold_no_keys(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "vault.key"
    path.touch(0o600)
    path.write_text(text)
    with pytest.raises(InvalidJobError, match=reason) as caught:
        Vault(path)
    assert "hunter2" not in str(caught.value)


def test_a_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InvalidJobError, match="cannot make the key file"):
        Vault(tmp_path / "file" / "vault.key")
