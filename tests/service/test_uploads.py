"""Uploads in parts and tokens: what is here after a crash, and what expires."""

import time
from contextlib import suppress
from pathlib import Path

import pytest

from farm.service.database import Database
from farm.service.tokens import TokenKind, TokenStore
from farm.service.uploads import TooManyUploadsError, Upload, UploadStore, upload_path


@pytest.fixture
def database(tmp_path: Path):
    database = Database(f"sqlite:///{tmp_path / 'service.db'}")
    yield database
    database.close()


@pytest.fixture
def uploads(database: Database, tmp_path: Path) -> UploadStore:
    (tmp_path / "uploads").mkdir()
    return UploadStore(database, tmp_path)


def _found(uploads: UploadStore, upload: Upload) -> Upload:
    found = uploads.find(upload.id, upload.job_id)
    assert found is not None
    return found


def test_parts(uploads: UploadStore, tmp_path: Path) -> None:
    upload = uploads.add("job", name="a.mp4", length_bytes=10, most=1)
    with uploads.writing(upload) as writer:
        writer.write(b"01234")
    assert _found(uploads, upload).offset_bytes == 5
    with suppress(ConnectionError), uploads.writing(_found(uploads, upload)) as writer:
        writer.write(b"567")
        raise ConnectionError
    upload = _found(uploads, upload)
    assert upload.offset_bytes == 8
    assert not upload.is_complete
    with uploads.writing(upload) as writer:
        assert writer.left_bytes == 2
        writer.write(b"89")
    assert _found(uploads, upload).is_complete
    assert upload_path(tmp_path, upload.id).read_bytes() == b"0123456789"


def test_what_was_not_noted_is_written_again(uploads: UploadStore, tmp_path: Path) -> None:
    upload = uploads.add("job", name="a", length_bytes=6, most=1)
    path = upload_path(tmp_path, upload.id)
    path.write_bytes(b"\0\0\0\0\0\0\0\0")  # as a crash may leave it
    with uploads.writing(upload) as writer:
        writer.write(b"abc")
    assert path.read_bytes() == b"abc"


def test_uploads_of_other_jobs_are_unknown(uploads: UploadStore) -> None:
    upload = uploads.add("job", name="a", length_bytes=6, most=1)
    assert uploads.find(upload.id, "other") is None
    with pytest.raises(TooManyUploadsError):
        uploads.add("job", name="b", length_bytes=6, most=1)


def test_old_uploads_go(uploads: UploadStore, tmp_path: Path) -> None:
    upload = uploads.add("job", name="a", length_bytes=6, most=1)
    uploads.expire(time.time() - 60)
    assert _found(uploads, upload) == upload
    uploads.expire(time.time() + 1)
    assert uploads.find(upload.id, "job") is None
    assert not upload_path(tmp_path, upload.id).exists()


def test_tokens(database: Database, tmp_path: Path) -> None:
    tokens = TokenStore(database)
    token = tokens.issue(TokenKind.TASK, key_id="k", expires_at=time.time() + 60)
    assert len(token) == 32
    assert tokens.owner(TokenKind.TASK, token) == "k"
    assert tokens.owner(TokenKind.ACCESS, token) is None
    assert tokens.owner(TokenKind.TASK, token[:-1]) is None
    tokens.expire()
    assert tokens.owner(TokenKind.TASK, token) == "k"
    tokens.drop(TokenKind.TASK, token)
    assert tokens.owner(TokenKind.TASK, token) is None
    old = tokens.issue(TokenKind.TASK, key_id="k", expires_at=time.time() - 1)
    assert tokens.owner(TokenKind.TASK, old) is None
    assert token.encode() not in b"".join(path.read_bytes() for path in tmp_path.glob("*.db*"))
