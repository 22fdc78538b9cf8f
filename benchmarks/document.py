"""Puts tables between markers of Markdown documents."""

from pathlib import Path


def insert(path: Path, name: str, text: str) -> None:
    """Replaces what is between the markers of that name; raises ValueError where there are none."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    page = path.read_text("utf-8")
    before, found_begin, rest = page.partition(begin)
    _, found_end, after = rest.partition(end)
    if not found_begin or not found_end:
        raise ValueError(f"expected {begin} and {end} in {path.name}")
    path.write_text(f"{before}{begin}\n{text.strip()}\n{end}{after}", "utf-8")
