"""What a report says of codes is what the documents say."""

import re
from pathlib import Path

from farm.errors import error_classes
from farm.report.cure import cure_of, meaning_of

ERRORS = Path(__file__).resolve().parents[2] / "docs/errors.md"


def _plain(text: str) -> str:
    """Markdown without its marks."""
    return re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", text).replace("`", "").strip()


def test_cures_are_those_of_the_documents() -> None:
    rows = re.findall(r"^\| `(\w+)` \|.*\| ?(.*?) ?\|$", ERRORS.read_text("utf-8"), re.MULTILINE)
    assert len(rows) == len(error_classes())
    assert {code: cure_of(code) for code, _ in rows} == {code: _plain(cure) for code, cure in rows}


def test_every_code_has_a_meaning() -> None:
    meanings = {code: meaning_of(code) for code in error_classes()}
    assert all(text.endswith(".") for text in meanings.values()), meanings
    assert meanings["unsupported_format"] == "A known format or codec that no engine here decodes."
    assert (meaning_of("from_a_newer_farm"), cure_of("from_a_newer_farm")) == ("", "")
