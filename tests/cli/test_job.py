"""Jobs from files and options."""

from pathlib import Path

import pytest

from farm.cli.job import JobOptions, absolute, check_work, ledger_uri, read_job
from farm.errors import InvalidJobError
from farm.prices import Prices
from farm.spec import Job, ThumbnailSpec


def _file(folder: Path, text: str) -> Path:
    path = folder / "job.yaml"
    path.write_text(text)
    return path


def test_paths_of_a_job_file_count_from_its_folder(tmp_path: Path) -> None:
    file = _file(tmp_path, "manifest: in/\ndestination: out\nledger: s3://bucket/ledger\n")
    job = read_job(JobOptions(file))
    assert job.manifest == f"{tmp_path}/in/"
    assert job.destination == f"{tmp_path}/out"
    assert job.ledger == "s3://bucket/ledger"


def test_options_override_the_job_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = _file(
        tmp_path,
        "manifest: a\ndestination: b\noutputs: [{width: 1}, {width: 2}]\n"
        "settings: {lanes: 3, limits: {frames: 5}}\n",
    )
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    job = read_job(
        JobOptions(
            file,
            destination="here",
            outputs=("7x",),
            settings=("lanes=4", "limits.image_pixels=1000", "pause_seconds=1.5"),
        )
    )
    assert job.manifest == f"{tmp_path}/a"
    assert job.destination == f"{elsewhere}/here"
    assert job.outputs == (ThumbnailSpec(width=7),)
    assert (job.settings.lanes, job.settings.pause_seconds) == (4, 1.5)
    assert (job.settings.limits.frames, job.settings.limits.image_pixels) == (5, 1000)


def test_one_word_says_what_damaged_sources_give(tmp_path: Path) -> None:
    file = _file(
        tmp_path,
        "manifest: a\ndestination: b\n"
        "outputs: [{width: 1}, {width: 2, damaged: salvage}, {kind: clip, width: 64}]\n",
    )
    picture, other, clip = read_job(JobOptions(file, damaged="fail")).outputs
    assert isinstance(picture, ThumbnailSpec)
    assert isinstance(other, ThumbnailSpec)
    assert (picture.damaged, other.damaged, clip.kind) == ("fail", "fail", "clip")
    with pytest.raises(InvalidJobError, match=r"damaged.*'salvage' or 'fail'"):
        read_job(JobOptions(file, damaged="perhaps"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("manifest: m\nbogus: 1\n", "bogus: unknown; allowed: manifest, "),
        ("manifest: m\noutputs: [{width: 0}]\n", "outputs[0].width: expected at least 1"),
        ("manifest: m\noutputs: {width: 1}\n", "outputs: expected a list"),
        ("manifest: m\noutputs: [7]\n", "outputs[0]: expected keys and values, received 7"),
        ("manifest: m\nsettings: {lane: 1}\n", "settings.lane: unknown; allowed: limits, lanes, "),
        ("manifest: m\nsettings: {limits: {x: 1}}\n", "limits.x: unknown; allowed: source_bytes"),
        ("manifest: s3://u:secret@b/in/\n", "manifest: expected no password in a URI"),
        ("manifest: m\ndestination: s3://u:secret@b/out\n", "destination: expected no password"),
        ("manifest: m\nledger: s3://u:secret@b/out\n", "ledger: expected no password"),
        ("manifest: m\nsettings: {lanes: -1}\n", "settings.lanes: "),
        ("manifest: m\noutputs: [{filename: same.jpg}]\n", "outputs[0]: expected {id}"),
        (
            "manifest: m\noutputs: [{engine: x}]\n",
            "outputs[0]: engine: expected one of nvimgcodec, ",
        ),
        ("manifest: [\n", "expected YAML: line 2, column 1: "),
        ("- manifest\n", "expected keys and values"),
        ("destination: d\n", "expected a job file or --manifest"),
    ],
)
def test_says_what_is_wrong_in_a_job_file(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InvalidJobError) as caught:
        read_job(JobOptions(_file(tmp_path, text)))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_says_which_settings_there_are() -> None:
    with pytest.raises(InvalidJobError, match=r"--set bogus=1: .*limits\.image_pixels.*lanes"):
        read_job(JobOptions(manifest="m", settings=("bogus=1",)))


def test_refuses_a_listing_without_outputs(tmp_path: Path) -> None:
    with pytest.raises(InvalidJobError, match="expected --output"):
        check_work(Job(manifest=f"{tmp_path}/", destination="d"))
    check_work(Job(manifest=f"{tmp_path}/", destination="d", outputs=(ThumbnailSpec(),)))
    check_work(Job(manifest=f"{tmp_path}/list.csv", destination="d"))


@pytest.mark.parametrize("word", ["limits=1", "lanes", "limits.lanes=1", "=1"])
def test_refuses_settings_that_are_none(word: str) -> None:
    with pytest.raises(InvalidJobError, match="--set"):
        read_job(JobOptions(manifest="m", settings=(word,)))


def test_refuses_settings_in_a_list(tmp_path: Path) -> None:
    file = _file(tmp_path, "manifest: m\nsettings: [1]\n")
    with pytest.raises(InvalidJobError, match="settings: expected keys and values"):
        read_job(JobOptions(file, settings=("lanes=1",)))


def test_refuses_a_group_of_settings_that_is_none(tmp_path: Path) -> None:
    file = _file(tmp_path, "manifest: m\nsettings: {limits: 5}\n")
    with pytest.raises(InvalidJobError, match=r"settings\.limits: "):
        read_job(JobOptions(file, settings=("limits.frames=1",)))


def test_prices_of_the_command_override_those_of_the_job_file(tmp_path: Path) -> None:
    file = _file(tmp_path, "manifest: m\nprices: {currency: EUR, worker_hour: 1, gb_read: 2}\n")
    prices = read_job(JobOptions(file, prices=("worker_hour=0.25", "put_thousand=0.005"))).prices
    said = Prices(currency="EUR", worker_hour=0.25, gb_read=2, put_thousand=0.005)
    assert prices == said


def test_says_which_prices_there_are(tmp_path: Path) -> None:
    with pytest.raises(InvalidJobError, match=r"--price bogus=1: .*currency, worker_hour"):
        read_job(JobOptions(manifest="m", prices=("bogus=1",)))
    with pytest.raises(InvalidJobError, match=r"prices\.gb_read: expected a number, received 'x'"):
        read_job(JobOptions(manifest="m", prices=("gb_read=x",)))
    with pytest.raises(InvalidJobError, match="prices: expected keys and values, received 5"):
        read_job(JobOptions(_file(tmp_path, "manifest: m\nprices: 5\n"), prices=("gb_read=1",)))


def test_ledger_is_kept_at_the_destination() -> None:
    assert ledger_uri(Job(manifest="m", destination="s3://b/out/")) == "s3://b/out/_ledger"
    assert ledger_uri(Job(manifest="m", destination="d", ledger="/l")) == "/l"
    with pytest.raises(InvalidJobError, match="expected --destination, or --ledger"):
        ledger_uri(Job(manifest="m"))


@pytest.mark.parametrize(
    ("uri", "expected"),
    [("a", "/f/a"), ("../a/", "/a/"), ("/a/*.mp4", "/a/*.mp4"), ("s3://b/k", "s3://b/k"),
     ("/", "/")],
)  # fmt: skip
def test_makes_local_paths_absolute(uri: str, expected: str) -> None:
    assert absolute(uri, Path("/f")) == expected
