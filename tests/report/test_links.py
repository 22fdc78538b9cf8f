"""Links: relative where they can be, addresses that browsers open, and never a script."""

import json
from pathlib import Path

import pytest

from farm.report.links import Links


@pytest.mark.parametrize(
    ("uri", "folder", "link"),
    [
        ("/data/thumbs/a.jpg", "/data/thumbs/_report", "../a.jpg"),
        ("file:///data/thumbs/a.jpg", "/data/thumbs/_report/", "../a.jpg"),
        ("/data/t/a b#?%20é.jpg", "/data/_report", "../t/a%20b%23%3F%2520%C3%A9.jpg"),
        ("/data/report/javascript:alert(1)", "/data/report", "javascript%3Aalert%281%29"),
        ("/data/report///evil.org/a.jpg", "/data/report", "evil.org/a.jpg"),
        ("/else/a b.jpg", "/data/_report", "file:///else/a%20b.jpg"),
        ("s3://bucket/t/a.jpg", "s3://bucket/t/_report", "../a.jpg"),
        ("s3a://bucket/t/a&b.jpg", "s3://bucket/r", "../t/a%26b.jpg"),
        ("s3://p@bucket/a.jpg", "s3://p@bucket", "a.jpg"),
        ("s3://bucket/t//a.jpg", "s3://bucket/t/_report", None),
        ("s3://bucket/t/../a.jpg", "s3://bucket/t/_report", None),
        ("s3://bucket/t/a b.jpg", "s3://other/_report", "https://bucket.s3.amazonaws.com/t/a%20b.jpg"),
        ("s3://bucket/a.jpg", "/data/_report", "https://bucket.s3.amazonaws.com/a.jpg"),
        ("gs://bucket/a.jpg", "/data/_report", "https://storage.googleapis.com/bucket/a.jpg"),
        ("https://h/a.jpg?token=abc&w=1", "/r", "https://h/a.jpg?token=***&w=1"),
        ("/data/a.jpg", "s3://bucket/_report", None),
        ("memory://a.jpg", "/data/_report", None),
        ("javascript://alert", "/data/_report", None),
        ("data://text", "/data/_report", None),
        ("s3://key:secret@bucket/a.jpg", "/data/_report", None),
    ],
)  # fmt: skip
def test_links(uri: str, folder: str, link: str | None) -> None:
    assert Links(folder).to(uri) == link


def test_a_bucket_of_a_profile_is_at_its_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile = {"key": "k", "secret": "s", "endpoint_url": "https://store.example.org/"}
    path = tmp_path / "profiles.yaml"
    path.write_text(json.dumps({"profiles": {"archive": profile}}))
    monkeypatch.setenv("FARM_PROFILES", str(path))
    links = Links("/data/_report")
    assert links.to("s3://archive@bucket/a b.jpg") == "https://store.example.org/bucket/a%20b.jpg"
    assert links.to("s3://unknown@bucket/a.jpg") == "https://bucket.s3.amazonaws.com/a.jpg"
    # Another profile may lead to another server.
    assert Links("s3://bucket/_report").to("s3://archive@bucket/a.jpg") != "../a.jpg"
