"""Credentials come from this machine's profiles file, and no message ever holds one."""

from pathlib import Path

import pytest

from farm import errors, storage
from farm.storage import profile
from farm.storage.failure import NotAllowedError
from farm.storage.filesystem import filesystem, registered
from farm.storage.location import parse

SECRET = "hunter2"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "profiles.yaml"
    monkeypatch.setenv("FARM_PROFILES", str(path))
    return path


def test_a_named_profile_stands_alone(file: Path) -> None:
    file.write_text("profiles: {a: {key: K}}\ndefaults: {s3: {anon: true}}\n")
    assert profile.options("s3", "a") == {"key": "K"}
    assert profile.options("s3", None) == {"anon": True}
    assert profile.options("gs", None) == {}


def test_toml(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = file.with_suffix(".toml")
    monkeypatch.setenv("FARM_PROFILES", str(path))
    path.write_text('[profiles.a]\nkey = "K"\n')
    assert profile.options("s3", "a") == {"key": "K"}


def test_no_file_is_fine_without_a_profile(file: Path) -> None:
    assert profile.options("s3", None) == {}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "does not exist"),
        (f"profiles: {{b: {{secret: {SECRET}}}}}", r"it has \['b'\]"),
        (f"profiles: {{a: {SECRET}}}", "expected a mapping at profiles.a"),
        (f"profiles: [{SECRET}]", "expected a mapping 'profiles'"),
        (f"- {SECRET}", "expected a mapping in"),
        (f"profiles:\n  a: {SECRET}\n b: '", "no valid YAML, line"),
    ],
)
def test_what_is_wrong_is_told_without_values(file: Path, text: str | None, reason: str) -> None:
    if text is not None:
        file.write_text(text)
    with pytest.raises(NotAllowedError, match=reason) as caught:
        profile.options("s3", "a")
    assert SECRET not in str(caught.value)
    assert str(file) in str(caught.value)


def test_both_sides_tell_an_unknown_profile(file: Path) -> None:
    with pytest.raises(errors.SourceDeniedError, match=r"profile 'a' is not in .*profiles.yaml"):
        storage.get("memory://a@folder/x")
    with pytest.raises(errors.StoreDeniedError, match="profile 'a' is not in"):
        storage.put("memory://a@folder/x", b"")


def test_an_edited_file_makes_a_new_filesystem(file: Path) -> None:
    file.write_text("profiles: {a: {global_store: false}}")
    place = parse("memory://a@folder/x")
    first = filesystem(place)
    assert filesystem(place) is first
    file.write_text("profiles: {a: {global_store: true}} # edited")
    assert filesystem(place) is not first


def test_options_that_do_not_fit(file: Path) -> None:
    file.write_text(f"profiles: {{a: {{fo: 1, hostname: {SECRET}, profile: 1}}}}")
    with pytest.raises(errors.SourceError) as caught:
        storage.get("github://a@org:repo@main/x")
    assert SECRET not in str(caught.value)


def test_schemes_that_are_not_there() -> None:
    with pytest.raises(errors.SourceError, match="scheme that fsspec knows, received 'nosuch'"):
        storage.get("nosuch://a/b")
    with pytest.raises(errors.StoreError, match="no package for gs:// is installed"):
        storage.put("gs://bucket/key", b"")


def test_what_is_registered_stands_for_a_while(file: Path) -> None:
    options = {"global_store": False}
    with registered(options) as name, registered(options) as other:
        assert name != other
        storage.put(f"memory://{name}@folder/x", b"1")
        assert storage.get(f"memory://{name}@folder/x") == b"1"
        kept = filesystem(parse(f"memory://{name}@folder/x"))
        assert filesystem(parse(f"memory://{name}@folder/x")) is kept
        assert filesystem(parse(f"memory://{other}@folder/x")) is not kept
    for gone in (name, other):
        with pytest.raises(errors.SourceDeniedError, match="is not in"):
            storage.get(f"memory://{gone}@folder/x")


def test_mappings_of_options_are_merged(file: Path) -> None:
    with registered({"config_kwargs": {"b": 2, "c": 3}, "key": "K"}) as name:
        found = filesystem(parse(f"s3://{name}@bucket/x"), config_kwargs={"a": 1, "b": 1}, key="L")
    assert found.config_kwargs == {"a": 1, "b": 2, "c": 3}
    assert found.key == "K"
