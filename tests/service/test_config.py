"""The settings: what is refused, and that documents and example say what holds."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from farm.errors import InvalidJobError
from farm.service.config import ServiceConfig, read_config

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "configs/serve.yaml"


def test_the_example_is_valid() -> None:
    config = read_config(EXAMPLE)
    assert config.policy.allow_hosts == ("minio.internal:9000", "10.20.0.0/16")
    assert config.settings.reserved_lanes == 1


def test_the_example_shows_the_defaults() -> None:
    shown = dict(re.findall(r"^# (\w+): ([\d_]+)(?: |$)", EXAMPLE.read_text(), re.MULTILINE))
    assert len(shown) >= 7
    for name, value in shown.items():
        assert ServiceConfig.model_fields[name].default == int(value), name
    given = yaml.safe_load(EXAMPLE.read_text())
    commented = set(re.findall(r"^# (\w+):", EXAMPLE.read_text(), re.MULTILINE))
    assert given.keys() | commented == ServiceConfig.model_fields.keys()


def test_every_setting_is_documented_with_its_default() -> None:
    section = (ROOT / "docs/service.md").read_text().partition("## Settings")[2]
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+?) \|", section.partition("\n## ")[0], re.MULTILINE)
    assert [name for name, _ in rows] == list(ServiceConfig.model_fields)
    for name, said in rows:
        if said.replace(" ", "").isdigit():
            assert ServiceConfig.model_fields[name].default == int(said.replace(" ", "")), name


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"concurrency": 0}, "concurrency: Input should be greater than or equal to 1"),
        ({"colour": "red"}, "colour: Extra inputs are not permitted"),
        ({"public_url": "ftp://x"}, "public_url: .*expected a URL such as https://"),
        ({"policy": {"allow_hosts": ["a b"]}}, "policy.allow_hosts: .*received 'a b'"),
        ({"settings": {"lanes": -1}}, "settings.lanes"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, fields: dict[str, Any], words: str) -> None:
    path = tmp_path / "serve.yaml"
    path.write_text(yaml.safe_dump({"data": str(tmp_path)} | fields))
    with pytest.raises(InvalidJobError, match=words):
        read_config(path)


def test_a_password_is_not_shown(tmp_path: Path) -> None:
    url = "postgresql+psycopg://farm:s3cr3t@localhost/farm"
    config = ServiceConfig.model_validate({"data": tmp_path, "database": url})
    assert "s3cr3t" not in f"{config!r} {config}"
    with pytest.raises(InvalidJobError) as refused:
        read_config(None, data=tmp_path, database=[url])
    assert "s3cr3t" not in str(refused.value)


def test_options_override_the_file(tmp_path: Path) -> None:
    config = read_config(EXAMPLE, data=tmp_path, public_url="https://other.example/")
    assert (config.data, config.public_url) == (tmp_path, "https://other.example")


def test_a_relative_folder_counts_from_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert read_config(None, data=Path("farm")).data == tmp_path / "farm"
