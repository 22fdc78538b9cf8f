"""Names from outside become names that are safe everywhere."""

import os
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.service.filename import (
    MOST_BYTES,
    disposition_filename,
    safe_filename,
    unique_filename,
    url_filename,
)

NASTY = st.text(
    st.one_of(
        st.characters(),
        st.characters(categories=["Cs"]),  # lone surrogates
        st.sampled_from("./\\:~ \0\n\r\t\u202e\u2028<>|?*%é"),
    ),
    max_size=300,
)
WORDS = st.sampled_from(
    ["con", "NUL", "lpt1", "..", ".", "aux ", "~", ".mp4", "a" * 250, "é" * 120]
)
NAMES = NASTY | st.lists(WORDS | NASTY, max_size=4).map("".join)


@given(NAMES)
def test_every_name_is_made_safe(name: str) -> None:
    safe = safe_filename(name)
    assert 0 < len(safe.encode()) <= MOST_BYTES
    assert os.path.basename(safe) == safe
    assert safe.strip(" .") == safe
    assert not set(safe) & set('/\\\0<>:"|?*')
    assert all(unicodedata.category(character) != "Cc" for character in safe)
    assert safe.partition(".")[0].rstrip().lower() not in (
        "con",
        "prn",
        "aux",
        "nul",
        "com1",
        "lpt1",
    )
    assert safe_filename(safe) == safe


@given(NAMES)
def test_files_stay_in_their_folder(name: str) -> None:
    folder = Path("/data/files/1")
    assert Path(os.path.normpath(folder / safe_filename(name))).parent == folder


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("clip.mp4", "clip.mp4"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\me\\clip.mov", "clip.mov"),
        ("a/b/", "b"),
        ("", "file"),
        ("..", "file"),
        ("/", "file"),
        (".htaccess", "htaccess"),
        ("con", "_con"),
        ("NUL.txt", "_NUL.txt"),
        ("console.txt", "console.txt"),
        ("a\0b\n.jpg", "ab.jpg"),
        ("photo\u202egpj.exe", "photogpj.exe"),
        ("what? 1:2.jpg", "what_ 1_2.jpg"),
        ("cafe\u0301.jpg", "caf\u00e9.jpg"),
        ("عكس.jpg", "عكس.jpg"),
        ("family 👨‍👩‍👧.png", "family 👨‍👩‍👧.png"),
        ("x" * 300 + ".jpeg", "x" * 195 + ".jpeg"),
        ("é" * 150 + ".jpg", "é" * 98 + ".jpg"),
    ],
)
def test_names(name: str, expected: str) -> None:
    assert safe_filename(name) == expected


@given(st.lists(NAMES | st.sampled_from(["a.jpg", "A.JPG", "a-2.jpg"]), max_size=12))
def test_names_in_one_folder_differ(names: list[str]) -> None:
    taken: set[str] = set()
    for name in names:
        found = unique_filename(name, taken)
        assert found.casefold() not in taken
        assert len(found.encode()) <= MOST_BYTES
        taken.add(found.casefold())


def test_a_number_tells_same_names_apart() -> None:
    assert unique_filename("a.jpg", set()) == "a.jpg"
    assert unique_filename("A.jpg", {"a.jpg", "a-2.jpg"}) == "A-3.jpg"


@given(NAMES)
def test_any_header_is_read(text: str) -> None:
    found = disposition_filename(f"attachment; filename={text}")
    assert found is None or safe_filename(found)


def test_names_in_urls() -> None:
    assert url_filename("https://x/a/b%20c.mp4?y=z.mp4#w") == "b c.mp4"
    assert url_filename("https://x/a/") == "a"
    assert url_filename("https://x") is None
