"""Reads rows from JSON lines, CSV and plain text."""

import csv
import json
from collections.abc import Iterator
from typing import Any

from farm.errors import InvalidManifestError
from farm.manifest.line import LineError, Lines
from farm.row import Row


def read_jsonl(lines: Lines) -> Iterator[Row]:
    """One JSON object a line."""
    while (line := _next(lines)) is not None:
        if isinstance(line, LineError):
            yield Row(lines.number, None, str(line))
        elif line.strip():
            try:
                yield Row(lines.number, _object(line))
            except (ValueError, RecursionError) as error:
                yield Row(lines.number, None, _explain(error))


def read_text(lines: Lines) -> Iterator[Row]:
    """One source a line, kept verbatim."""
    while (line := _next(lines)) is not None:
        if isinstance(line, LineError):
            yield Row(lines.number, None, str(line))
        elif line.strip():
            yield Row(lines.number, {"source": line})


def read_csv(lines: Lines, name: str) -> Iterator[Row]:
    """Comma-separated cells under a header with a column `source`; empty cells are left out.

    Raises InvalidManifestError where the header has no such column or has a column twice.
    """
    # A quoted cell may span lines; `map`, unlike a generator, goes on after an error.
    reader = csv.reader(map("{}\n".format, lines), strict=True)
    columns = _header(reader, name)
    while columns:
        start = lines.number + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except (LineError, csv.Error) as error:
            yield Row(start, None, str(error))
            continue
        if not any(cells):
            continue
        if len(cells) != len(columns):
            yield Row(start, None, f"expected {len(columns)} cells, received {len(cells)}")
            continue
        named = zip(columns, cells, strict=True)
        yield Row(start, {column: cell for column, cell in named if column and cell})


def check_columns(columns: list[str], name: str) -> None:
    """Raises InvalidManifestError where `source` is missing or a column occurs twice."""
    if "source" not in columns:
        raise InvalidManifestError(f"expected a column 'source' in {name!r}, found {columns}")
    named = [column for column in columns if column]
    if twice := sorted({column for column in named if named.count(column) > 1}):
        raise InvalidManifestError(f"expected each column once in {name!r}, found twice: {twice}")


def _header(reader: Any, name: str) -> list[str]:
    """The column names, none for a file without a row."""
    try:
        for cells in reader:
            if any(cells):
                columns = [cell.strip() for cell in cells]
                check_columns(columns, name)
                return columns
    except (LineError, csv.Error) as error:
        raise InvalidManifestError(f"cannot read the header of {name!r}: {error}") from None
    return []


def _next(lines: Lines) -> str | LineError | None:
    try:
        return next(lines, None)
    except LineError as error:
        return error


def _object(line: str) -> dict[str, Any]:
    value = json.loads(line, object_pairs_hook=_once, parse_constant=_refuse)
    if not isinstance(value, dict):
        raise ValueError(f"expected a JSON object on the line, received {line[:40]!r}")
    if "\\u" in line:
        _refuse_surrogates(line, value)
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = sorted({key for key in keys if keys.count(key) > 1})
        raise ValueError(f"expected each key once, found twice: {twice}")
    return found


def _refuse(constant: str) -> None:
    raise ValueError(f"expected a finite number, received {constant}")


def _refuse_surrogates(line: str, value: dict[str, Any]) -> None:
    """Half a surrogate pair can be written in JSON but nowhere else."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError(
            f"expected whole characters, received half of one: {line[:40]!r}"
        ) from None


def _explain(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"expected a JSON object on the line: {error.msg} at column {error.colno}"
    if isinstance(error, RecursionError):
        return "expected a JSON object of few levels"
    return str(error)
