"""The documents agree with the code: codes, fields, commands and links."""

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from farm import engines
from farm.cli.job import JobOptions, read_job
from farm.dialects.native import parse_row, row_schema
from farm.engines.pillow import _PLUGINS
from farm.engines.pyav_open import _DEMUXERS
from farm.errors import error_classes
from farm.settings import Limits, Settings
from farm.sniff import format_of
from farm.spec import ClipSpec, Entry, Job, PictureSpec, StoryboardSpec, ThumbnailSpec
from farm.template import PLACEHOLDERS
from tests.documents import DOCUMENTS, ROOT, blocks, read, without_blocks

_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def _first_cells(text: str) -> Iterator[str]:
    """The words in code style in the first cell of each table row."""
    for line in text.splitlines():
        if line.startswith("| `"):
            yield from re.findall(r"`([^`]+)`", line.split(" | ")[0])


def _names(cell: str) -> list[str]:
    """The words in code style of a cell."""
    return re.findall(r"`([^`]+)`", cell)


def _anchor(heading: str) -> str:
    """The anchor that the usual renderers give a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _value(text: str) -> float | str:
    """The value of `300`, `100 000 000`, `4 GiB`, or of a word in code style."""
    if text.startswith("`"):
        return text.strip("`")
    digits, unit = re.fullmatch(r"([\d. ]+?) ?(MiB|GiB|)", text).groups()
    return float(digits.replace(" ", "")) * {"MiB": 1 << 20, "GiB": 1 << 30, "": 1}[unit]


def test_every_error_code_is_documented_once() -> None:
    documented = list(_first_cells(read("docs/errors.md")))
    assert sorted(documented) == sorted(error_classes())


def test_every_error_code_has_a_cause_and_a_cure() -> None:
    rows = re.findall(r"^\| `(\w+)` \|(.*)\|$", read("docs/errors.md"), re.MULTILINE)
    assert len(rows) == len(error_classes())
    for code, cells in rows:
        cause, cure = (cell.strip() for cell in cells.split(" | "))
        assert len(cause) > 10, code
        assert len(cure) > 8, code


@pytest.mark.parametrize("name", ["http_status", "environment"])
def test_properties_of_error_codes_are_right(name: str) -> None:
    section_status = None
    for line in read("docs/errors.md").splitlines():
        if line.startswith("## "):
            section_status = 500
        if said := re.match(r"(?:[A-Z].* )?Status (\d+)", line):
            section_status = int(said[1])
        if not (row := re.match(r"\| `(\w+)` \| (.*)", line)):
            continue
        error = error_classes()[row[1]]
        if name == "environment":
            noted = re.search(r"\([^()]*environment[^()]*\)", row[2]) is not None
            assert noted == error.environment, row[1]
        else:
            own = re.search(r"\([^()]*status (\d+)\)", row[2])
            assert (int(own[1]) if own else section_status) == error.http_status, row[1]


def test_every_field_of_an_output_is_documented() -> None:
    documented = set(_first_cells(read("docs/outputs.md").partition("## Fit")[0]))
    assert documented == set(ThumbnailSpec.model_fields)


def test_every_field_of_a_storyboard_is_documented() -> None:
    section = read("docs/outputs.md").partition("## Storyboards")[2].partition("## ")[0]
    own = StoryboardSpec.model_fields.keys() - PictureSpec.model_fields.keys()
    assert set(_first_cells(section)) == own | {"filename"}


def test_every_field_of_a_clip_is_documented() -> None:
    section = read("docs/outputs.md").partition("## Clips")[2].partition("## ")[0]
    assert set(_first_cells(section)) == set(ClipSpec.model_fields)


def test_every_field_of_an_entry_is_documented() -> None:
    section = read("docs/manifest.md").partition("## Fields of a row")[2].partition("## URIs")[0]
    assert set(_first_cells(section)) == set(Entry.model_fields)


def test_every_placeholder_is_documented() -> None:
    section = read("docs/manifest.md").partition("## Names of the pictures")[2]
    found = {name for cell in _first_cells(section) for name in re.findall(r"\{(\w+)\}", cell)}
    assert found == set(PLACEHOLDERS)


def test_every_setting_is_documented_with_its_default() -> None:
    section = read("docs/running.md").partition("## Settings and limits")[2]
    rows = dict(re.findall(r"^\| `([\w.]+)` \| ([^|]+?) \|", section, re.MULTILINE))
    settings = {name: field for name, field in Settings.model_fields.items() if name != "limits"}
    settings |= {f"limits.{name}": field for name, field in Limits.model_fields.items()}
    assert rows.keys() == settings.keys()
    assert {name: _value(said) for name, said in rows.items()} == {
        name: field.default for name, field in settings.items()
    }


def test_engines_are_tried_as_documented() -> None:
    rows = re.findall(r"^\| (`.+`) \| (.+) \| (.+) \|$", read("docs/engines.md"), re.MULTILINE)
    documented = {
        name: tuple(tuple(_names(cell)) for cell in cells)
        for formats, *cells in rows
        for name in _names(formats)
    }
    assert documented.keys() == _PLUGINS.keys() | _DEMUXERS.keys()
    for name, (on_cpu, with_gpu) in documented.items():
        assert engines.candidates(format_of(name)) == on_cpu, name
        assert engines.candidates(format_of(name), device="cuda") == with_gpu, name


def test_every_extra_is_documented() -> None:
    extras = tomllib.loads(read("pyproject.toml"))["project"]["optional-dependencies"]
    assert sorted(_first_cells(read("docs/install.md"))) == sorted(extras)


def test_the_sample_archive_is_as_told(samples: Path) -> None:
    files = json.loads((samples / "expected.json").read_text())["files"]
    failing = sum(1 for file in files.values() if file["error"])
    told = read("docs/first-run.md")
    assert f"makes {len(files)} small files" in told
    assert f"{len(files)}, {failing} failed, {len(files) - failing} ok" in told


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_relative_links_resolve(document: Path) -> None:
    for target in _LINK.findall(without_blocks(document.read_text("utf-8"))):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        linked = (document.parent / path) if path else document
        assert linked.exists(), target
        if anchor:
            anchors = {_anchor(heading) for heading in _HEADING.findall(linked.read_text("utf-8"))}
            assert anchor in anchors, target


def test_the_example_job_is_valid_and_pointed_to() -> None:
    job = read_job(JobOptions(ROOT / "configs/job.yaml"))
    assert job.manifest == f"{ROOT}/demo-output/archive/manifest.jsonl"
    assert [output.kind for output in job.outputs].count("storyboard") == 1
    assert len(job.outputs) == 5
    assert job.settings.limits.source_bytes == 20_000_000_000
    for document in ("README.md", "docs/running.md"):
        assert "configs/job.yaml" in read(document)


def test_jobs_in_documents_are_valid(tmp_path: Path) -> None:
    found = 0
    for document in DOCUMENTS:
        for block in blocks(document.read_text("utf-8")):
            if block.language == "yaml" and "manifest:" in block.text:
                path = tmp_path / "job.yaml"
                path.write_text(block.text)
                assert read_job(JobOptions(path)).outputs
                found += 1
    assert found >= 3


def test_rows_in_documents_are_valid() -> None:
    schema = pytest.importorskip("jsonschema").Draft202012Validator(row_schema())
    job = Job(manifest="m", destination="/out", outputs=(ThumbnailSpec(),))
    found = 0
    for document in ("README.md", "docs/manifest.md"):
        for line in re.findall(r"^\{\"source\".*\}$", read(document), re.MULTILINE):
            row = json.loads(line)
            assert list(schema.iter_errors(row)) == []
            assert list(schema.iter_errors(row | {"tag": None, "count": None})) == []
            assert list(schema.iter_errors(row | {"source": None})) != []
            assert list(schema.iter_errors(row | {"widht": 1})) != []
            assert parse_row(row, number=1, job=job).source == row["source"]
            found += 1
    assert found == 6


def test_every_command_is_named_in_the_readme() -> None:
    import typer.main

    from farm.cli import app

    readme = read("README.md")
    for name in getattr(typer.main.get_command(app), "commands", {}):
        assert f"`{name}`" in readme or f"farm {name}" in readme, name


def test_options_of_a_run_are_documented() -> None:
    import typer.main

    from farm.cli import app

    text = read("docs/running.md")
    command = getattr(typer.main.get_command(app), "commands", {})["run"]
    for param in command.params:
        for option in param.opts:
            if option.startswith("--") and option not in ("--help",):
                assert option in text, option
