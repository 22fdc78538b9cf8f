"""Parts of CloudConvert's API that need no server: the list of operations, forms."""

from contextlib import closing
from pathlib import Path

import pytest

from farm import engines
from farm.service.cloudconvert.creation import ENGINES
from farm.service.cloudconvert.multipart import FormError, FormReader
from farm.service.cloudconvert.operations import DISTRIBUTIONS, version_of

FORM = (
    b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n'
    b'--x\r\nContent-Disposition: form-data; name="file"; filename="f.png"\r\n'
    b"Content-Type: image/png\r\n\r\n\r\n--not the end\r\n\r\n--x--\r\n"
)


def test_each_engine_that_can_be_named_has_a_version() -> None:
    assert set(DISTRIBUTIONS) == set(ENGINES)
    for name in ("pillow", "pyav", "turbojpeg", "fastpng", "fastwebp"):
        assert engines.load(name).version.startswith(version_of(name) or "none"), name


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_forms_in_pieces(tmp_path: Path, size: int) -> None:
    seen: list[dict[str, str]] = []

    def admit(fields: dict[str, str]) -> int:
        seen.append(dict(fields))
        return 100

    path = tmp_path / "file"
    reader = FormReader("multipart/form-data; boundary=x", path, admit=admit)
    for at in range(0, len(FORM), size):
        reader.feed(FORM[at : at + size])
    posted = reader.end()
    reader.close()
    assert seen == [{"a": "1"}]
    assert (posted.filename, posted.content_type) == ("f.png", "image/png")
    assert path.read_bytes() == b"\r\n--not the end\r\n"
    assert posted.size_bytes == 17


@pytest.mark.parametrize(
    ("form", "words"),
    [
        (FORM[:-30], "ends early|required"),
        (FORM.replace(b"--x\r\n", b"--y\r\n"), "cannot be read"),
        (FORM.replace(b'name="file"', b'name="other"'), "required"),
        (FORM.replace(b"\r\n--x--", b"more than is allowed" * 9 + b"\r\n--x--"), "more than 100"),
        (FORM.replace(b"\r\n\r\n1", b"\r\n\r\n" + b"1" * 20_000), "too long"),
        (FORM.replace(b"Content-Type", b"X" * 20_000), "too long a header|cannot be read"),
        (FORM.replace(b"\r\n--x--", b"\r\n" + FORM), "one file only"),
    ],
)
def test_forms_that_are_none(tmp_path: Path, form: bytes, words: str) -> None:
    reader = FormReader(
        "multipart/form-data; boundary=x", tmp_path / "file", admit=lambda fields: 100
    )
    with pytest.raises(FormError, match=words), closing(reader):
        _read(reader, form)


def _read(reader: FormReader, form: bytes) -> None:
    reader.feed(form)
    reader.end()


@pytest.mark.parametrize("kind", ["", "text/plain", "multipart/form-data", "multipart/mixed; x=y"])
def test_bodies_that_are_no_forms(tmp_path: Path, kind: str) -> None:
    with pytest.raises(FormError, match="must be multipart/form-data"):
        FormReader(kind, tmp_path / "file", admit=lambda fields: 100)
