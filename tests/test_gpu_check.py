"""The GPU check: what its comparisons see, that no part ends the others, what it writes."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import kernels
from benchmarks.gpu import archive, material, suite
from benchmarks.gpu.__main__ import PARTS, ExitCode, check, exit_code
from benchmarks.gpu.chain import DaliResize, EagerChain
from benchmarks.gpu.decoding import PLANES, compare
from benchmarks.gpu.driver import gpu_count
from benchmarks.gpu.floor import copy_bandwidth, floor_seconds, made_bytes, moved_bytes
from benchmarks.gpu.kernel import cases, make_items, recorded_launches, timed
from benchmarks.gpu.likeness import likeness, psnr_db, shift
from benchmarks.gpu.material import Exhibit
from benchmarks.gpu.part import Outcome, Part, State, Verdict, run
from benchmarks.gpu.report import SCHEMA_VERSION, Report, slug, table, without_folders
from benchmarks.gpu.timing import gpu_seconds, wall_seconds
from farm import engines
from farm.engines.frame import FrameBatch
from farm.errors import CorruptError, EngineUnavailableError, UnsupportedFormatError
from farm.geometry import Size
from farm.media import Matrix, MediaKind, Siting
from farm.samples.card import Card
from farm.samples.clip import make_clip

ROOT = Path(__file__).resolve().parents[1]
needs_no_gpu = pytest.mark.skipif(gpu_count() > 0, reason="there is a GPU")


def card(number: int = 5, size: Size = Size(320, 180)) -> torch.Tensor:
    drawn = Card(size, seed=2).draw(number, f"#{number}")
    return torch.from_numpy(drawn.copy()).permute(1, 2, 0).contiguous()


def part(name: str, most_seconds: float = 20.0, argument: str = "") -> Part:
    return Part(name, name, f"tests.gpu_parts:{name}", most_seconds, argument)


def is_running(process: int) -> bool:
    try:
        stat = Path(f"/proc/{process}/stat").read_text()
    except FileNotFoundError:
        return False
    # A killed orphan may wait for its new parent to notice.
    return stat.rpartition(")")[2].split()[0] != "Z"


class TestLikeness:
    def test_of_equal_pictures(self):
        found = likeness(card(), card(), source_pixels=2)
        assert PLANES.faults(found) == []
        assert found.psnr_db == 99
        assert found.number == found.expected == 5

    def test_psnr_is_that_of_its_definition(self):
        one = torch.zeros(4, 4, 3, dtype=torch.uint8)
        assert psnr_db(one, one + 1) == pytest.approx(48.13, abs=0.01)

    def test_sees_another_frame(self):
        found = likeness(card(6), card(5), source_pixels=1)
        assert "frame 6 instead of 5" in PLANES.faults(found)

    def test_sees_noise(self):
        noisy = card().int() + torch.randint(-9, 10, (180, 320, 3))
        found = likeness(noisy.clamp(0, 255).to(torch.uint8), card(), source_pixels=1)
        (fault,) = PLANES.faults(found)
        assert "PSNR" in fault

    def test_sees_colors_that_are_off(self):
        found = likeness((card().int() - 4).clamp(0, 255).to(torch.uint8), card(), source_pixels=1)
        assert "flat colours off by 4.0" in PLANES.faults(found)[0]

    def test_refuses_other_sizes(self):
        with pytest.raises(ValueError, match="expected"):
            likeness(card(), card(size=Size(640, 360)), source_pixels=1)

    @pytest.mark.parametrize("moved", [(0.5, 0.0), (0.0, -0.25), (-0.75, 0.5)])
    def test_tells_how_far_planes_are_shifted(self, moved):
        smooth = torch.linspace(0, 12, 80, dtype=torch.float64)
        across, down = smooth[None, :], smooth[:, None]
        step = float(smooth[1])
        right = torch.sin(across) + torch.cos(down)
        there = torch.sin(across - moved[0] * step) + torch.cos(down - moved[1] * step)
        assert shift(there[None], right[None]) == pytest.approx(moved, abs=0.03)

    def test_what_has_no_color_is_not_shifted(self):
        flat = torch.zeros(2, 40, 40, dtype=torch.float64)
        assert shift(flat, flat) == (0.0, 0.0)


class Faulty:
    """The pyav engine with a fault."""

    name, version, kinds, device = "faulty", "1", frozenset({MediaKind.VIDEO}), "cpu"

    def __init__(self, fault: str) -> None:
        self.fault = fault

    def open(self, source, *, media_format, limits):
        errors = {
            "refuses": UnsupportedFormatError("clip: 4:2:2"),
            "unavailable": EngineUnavailableError("no driver"),
            "corrupt": CorruptError("clip: nothing comes out"),
            "defect": IndexError("list index out of range"),
        }
        if self.fault in errors:
            raise errors[self.fault]
        decoder = engines.load("pyav").open(source, media_format=media_format, limits=limits)
        return FaultyDecoder(decoder, self.fault)


class FaultyDecoder:
    def __init__(self, decoder, fault: str) -> None:
        self.decoder, self.fault = decoder, fault

    def frames(self, targets, wish) -> Iterator[FrameBatch]:
        if self.fault == "next frame":
            targets = [replace(target, seconds=target.seconds + 0.04) for target in targets]
        for batch in self.decoder.frames(targets, wish):
            yield self._spoiled(batch)

    def _spoiled(self, batch: FrameBatch) -> FrameBatch:
        match self.fault:
            case "matrix":
                return replace(batch, color=replace(batch.color, matrix=Matrix.BT601))
            case "range":
                return replace(batch, color=replace(batch.color, full_range=True))
            case "siting":
                return replace(batch, color=replace(batch.color, siting=Siting.CENTER))
            case "swapped":
                y, u, v = batch.planes
                return replace(batch, planes=(y, v, u))
            case "turned":
                return replace(batch, orientation=6)
            case "luma":
                y, u, v = batch.planes
                return replace(batch, planes=(y.roll(1, 2), u, v))
        return batch

    def close(self) -> None:
        self.decoder.close()


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Exhibit:
    recipe = material.CLIPS[0]
    path = tmp_path_factory.mktemp("material") / recipe.name
    path.write_bytes(make_clip(recipe))
    return Exhibit(path, MediaKind.VIDEO, material.MOMENTS)


class TestComparison:
    def test_of_an_engine_that_is_right(self, clip):
        row = compare(Faulty("none"), clip)
        assert row["verdict"] == Verdict.OK, row
        assert row["frames"] == "8 5 17"
        assert float(row["reference_psnr_db"]) > 50
        assert row["samples"] == "YUV on cpu"

    @pytest.mark.parametrize(
        ("fault", "said"),
        [
            ("matrix", "flat colours"),
            ("range", "flat colours"),
            ("swapped", "flat colours"),
            ("siting", "chroma shifted by 0.[45]"),
            ("luma", r"luma shifted by (0\.[89]|1\.[01])"),
            ("next frame", "frame 6 instead of 5"),
            ("turned", r"pictures of \[320, 180, 3\] instead of \[180, 320, 3\]"),
        ],
    )
    def test_sees_a_fault(self, clip, fault, said):
        row = compare(Faulty(fault), clip)
        assert row["verdict"] == Verdict.DIFFERS, row
        assert re.search(said, str(row["why"])), row

    @pytest.mark.parametrize(
        ("fault", "verdict", "said"),
        [
            ("refuses", Verdict.REFUSED, "4:2:2"),
            ("unavailable", Verdict.MISSING, "no driver"),
            ("corrupt", Verdict.FAILED, "CorruptError: clip: nothing"),
            ("defect", Verdict.FAILED, "IndexError"),
        ],
    )
    def test_tells_errors_apart(self, clip, fault, verdict, said):
        row = compare(Faulty(fault), clip)
        assert row["verdict"] == verdict
        assert said in str(row["why"])

    def test_stills_come_out_upright(self, tmp_path):
        from farm.samples.card import to_image

        drawn = to_image(Card(Size(320, 180)).draw(7, "#7"))
        for still in material.STILLS:
            path = tmp_path / still.name
            path.write_bytes(material.encode(drawn, still))
            row = compare(
                engines.load("pillow"), Exhibit(path, MediaKind.IMAGE, material.MOMENTS[:1])
            )
            assert row["verdict"] == Verdict.OK, (still.name, row)
            assert row["frames"] == "7", still.name


class TestParts:
    def test_rows_are_kept_in_order(self, tmp_path):
        outcome = run(part("done", argument="word"), tmp_path, most_seconds=20)
        assert outcome.state is State.DONE, outcome
        assert outcome.rows == ({"what": "word", "verdict": "ok"}, {"what": "time", "left": True})
        assert not outcome.is_bad

    @pytest.mark.parametrize(
        ("name", "state", "said"),
        [
            ("raises", State.FAILED, "ValueError: expected 3, received 4"),
            ("crashes", State.FAILED, "ended by signal 11"),
            ("misses", State.MISSING, "there is no such library"),
        ],
    )
    def test_what_was_told_before_the_end_is_kept(self, tmp_path, name, state, said):
        outcome = run(part(name), tmp_path, most_seconds=20)
        assert outcome.state is state
        assert said in outcome.reason
        assert outcome.rows == ({"what": "first"},)
        assert outcome.is_bad == (state is State.FAILED)

    def test_a_part_that_hangs_is_ended_with_its_children(self, tmp_path):
        outcome = run(part("hangs"), tmp_path, most_seconds=3)
        assert outcome.state is State.TIMED_OUT
        assert outcome.is_bad
        child = int(outcome.rows[0]["child"] or 0)
        deadline = time.monotonic() + 10
        while is_running(child) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not is_running(child)

    def test_a_missing_package_is_said(self, tmp_path):
        outcome = run(part("cannot_import"), tmp_path, most_seconds=20)
        assert outcome.state is State.MISSING
        assert "no_such_package_anywhere" in outcome.reason

    def test_no_part_ends_the_others(self, tmp_path):
        parts = [part("crashes"), replace(part("raises"), needs_gpu=True), part("done")]
        outcomes = list(check(parts, tmp_path, has_gpu=False, most_seconds=60))
        states = [outcome.state for outcome in outcomes]
        assert states == [State.FAILED, State.NOT_RUN, State.DONE]
        assert exit_code(outcomes, has_gpu=False) is ExitCode.NO_GPU
        assert exit_code(outcomes, has_gpu=True) is ExitCode.WRONG
        assert exit_code(outcomes[1:], has_gpu=True) is ExitCode.RIGHT

    def test_a_difference_is_bad(self, tmp_path):
        assert run(part("differs"), tmp_path, most_seconds=20).is_bad

    def test_all_time_is_bounded(self, tmp_path):
        outcomes = list(check([part("done")], tmp_path, has_gpu=True, most_seconds=1))
        assert [outcome.state for outcome in outcomes] == [State.NOT_RUN]

    def test_every_part_can_be_found(self):
        from importlib import import_module

        for each in PARTS:
            module, _, name = each.rows.partition(":")
            assert callable(getattr(import_module(module), name))


class TestReport:
    @pytest.fixture
    def report(self) -> Report:
        rows = ({"file": "a.mp4", "verdict": "differs", "why": "/opt/lib/x.so: no | pipe"},)
        outcomes = (
            Outcome(part("done"), State.DONE, rows, seconds=1.26),
            Outcome(part("hangs"), State.TIMED_OUT, (), "not done in /tmp/some/where", 3),
        )
        return Report("l4", "NVIDIA L4", 1, outcomes)

    def test_json_has_its_fields(self, report, tmp_path):
        data, _ = report.write(tmp_path)
        assert data.name == "gpu-l4.json"
        read = json.loads(data.read_text())
        assert read["schema_version"] == SCHEMA_VERSION
        assert {"schema_version", "name", "gpu", "exit_code", "parts"} == read.keys()
        fields = {"name", "title", "state", "reason", "seconds", "rows"}
        assert all(each.keys() == fields for each in read["parts"])
        assert read["parts"][0]["rows"][0]["why"] == "x.so: no | pipe"

    def test_nothing_holds_a_path(self, report, tmp_path):
        for path in report.write(tmp_path):
            assert "/opt" not in path.read_text()
            assert "/tmp" not in path.read_text()

    def test_markdown_has_a_table_of_each_part(self, report):
        page = report.to_markdown()
        assert "| file | verdict | why |" in page
        assert "| a.mp4 | differs | x.so: no / pipe |" in page
        assert "1 differs" in page
        assert "timed out" in page

    def test_columns_are_those_of_all_rows(self):
        assert table([{"a": 1}, {"b_c": 0.5, "a": None}]) == [
            "| a | b c |",
            "| --- | --- |",
            "| 1 |  |",
            "|  | 0.5 |",
        ]

    @pytest.mark.parametrize(
        ("text", "left"),
        [
            ("see /usr/lib/x86_64/libcuda.so.1: none", "see libcuda.so.1: none"),
            ("3 and/or 4, 12/2", "3 and/or 4, 12/2"),
            ("https://a.org/b/c", "https://a.org/b/c"),
            ("tests/test_a.py::test_b", "tests/test_a.py::test_b"),
        ],
    )
    def test_only_absolute_folders_go(self, text, left):
        assert without_folders(text) == left

    def test_slug(self):
        assert slug("NVIDIA H100 80GB HBM3") == "nvidia-h100-80gb-hbm3"
        assert slug("") == "none"


class TestKernels:
    def test_floor_counts_each_sample_once(self):
        items = make_items([(8, 10), (4, 4)], [(4, 5), (2, 2)], kernels.Filter.TRIANGLE, "cpu")
        sources = (80 + 40) + (16 + 8)
        made = (4 * 5 + 2 * 2) * 3
        assert made_bytes(items) == made
        assert moved_bytes(items) == sources + made
        again = replace(items[0], resize=replace(items[0].resize, height=2, width=3))
        assert moved_bytes([*items, again]) == sources + made + 2 * 3 * 3

    def test_the_wall_clock_gives_a_median(self):
        calls: list[int] = []
        assert wall_seconds(lambda: calls.append(1), repeats=5) < 0.1
        assert len(calls) == 3 + 5

    def test_floor_is_bytes_by_bandwidth(self):
        assert floor_seconds(3_000, 1e9) == pytest.approx(3e-6)

    def test_cases_have_the_asked_scales_and_filters(self):
        assert {case.scale for case in cases()} >= {3, 6, 12, 24}
        assert {case.filter for case in cases()} == set(kernels.Filter)
        assert all(min(case.made) >= 1 for case in cases())

    def test_launches_can_be_repeated(self):
        pytest.importorskip("kernels.triton_fused")
        items = make_items([(12, 16)] * 2, [(6, 8)] * 2, kernels.Filter.TRIANGLE, "cpu")
        if "triton" not in kernels.implementation.implementations(torch.device("cpu")):
            pytest.skip("triton does not serve the CPU here")
        (launch,) = recorded_launches(items)
        made = launch.__closure__  # the results are kept by what launches
        assert made is not None
        launch()

    @pytest.fixture
    def gentle(self) -> kernels.Item:
        """A card of few colours: what is clipped at full size, we would clip in the end only."""
        picture = card().permute(2, 0, 1)[:1].float()
        luma = (picture[0] * 0.5 + 60).to(torch.uint8)
        chroma = torch.full((90, 160, 2), 128, dtype=torch.uint8)
        chroma[..., 0] = 118
        (item,) = make_items([(180, 320)], [(60, 80)], kernels.Filter.TRIANGLE, "cpu")
        return replace(item, planes=(luma, chroma))

    def test_eager_chain_does_the_same_job(self, gentle):
        (ours,) = kernels.resample([gentle])
        (theirs,) = EagerChain([gentle])()
        assert psnr_db(theirs.permute(1, 2, 0), ours) > 45

    def test_dali_does_the_same_job(self, gentle):
        pytest.importorskip("nvidia.dali")
        (ours,) = kernels.resample([gentle])
        ((theirs,),) = DaliResize([gentle])()
        assert psnr_db(torch.from_dlpack(theirs), ours) > 45

    @pytest.mark.needs_cuda
    def test_a_batch_is_timed_on_a_gpu(self):
        items = make_items([(1080, 1920)] * 8, [(180, 320)] * 8, kernels.Filter.LANCZOS3, "cuda")
        row = timed(items, copy_bandwidth(torch.device("cuda"), gpu_seconds))
        assert row["launches"] == 1
        assert float(row["times_floor"] or 0) > 0.5, "faster than memory: something is not done"
        assert float(row["call_us_each"] or 0) > 0


class TestSuite:
    def test_reads_what_pytest_says(self, tmp_path):
        (tmp_path / "test_some.py").write_text(
            "import pytest\n"
            "def test_good(): pass\n"
            "def test_bad(): assert 1 == 2\n"
            "def test_skipped(): pytest.skip('no such GPU')\n"
            "def test_lacking(): pytest.importorskip('no_such_package_anywhere')\n"
            "@pytest.fixture\ndef broken(): raise OSError('gone')\n"
            "def test_error(broken): pass\n"
        )
        words = ["-v", "-rfE", "--tb=short", "-p", "no:cacheprovider", "-o", "addopts="]
        ended = subprocess.run(
            [sys.executable, "-m", "pytest", *words, "test_some.py"],
            cwd=tmp_path,
            env=os.environ | {"COLUMNS": "400"},
            capture_output=True,
            text=True,
        )
        found = {
            str(row["test"]).rpartition("::")[2]: row
            for row in suite.read_lines(ended.stdout.splitlines())
        }
        verdicts = {name: row["verdict"] for name, row in found.items()}
        assert verdicts == {
            "test_bad": Verdict.FAILED,
            "test_skipped": Verdict.FAILED,
            "test_lacking": Verdict.MISSING,
            "test_error": Verdict.FAILED,
            "all": None,
        }
        assert "assert 1 == 2" in str(found["test_bad"]["why"])
        assert "no such GPU" in str(found["test_skipped"]["why"])
        assert "1 passed, 1 failed, 2 skipped, 1 error" in str(found["all"]["why"])

    @pytest.mark.parametrize(
        ("line", "verdict"),
        [
            ("python: No module named pytest", Verdict.MISSING),
            ("E   ModuleNotFoundError: No module named 'hypothesis'", Verdict.MISSING),
            ("E   SyntaxError: invalid syntax", Verdict.FAILED),
            ("no tests ran in 0.01s", Verdict.FAILED),
        ],
    )
    def test_that_none_ran_is_said(self, line, verdict):
        (row,) = suite.read_lines(["some words", line])
        assert row["verdict"] == verdict
        assert str(row["why"]).startswith("none ran; ")

    def test_finds_the_tests_that_need_a_gpu(self):
        assert Path(__file__) in suite.test_files(ROOT / "tests")


def test_archives_are_made_of_every_work() -> None:
    assert {work.file for work in archive.WORKS} == {"12mp.jpg", "1080p.mp4", "long.mp4"}


@needs_no_gpu
def test_without_a_gpu_the_command_says_what_is_missing(tmp_path) -> None:
    words = [
        "scripts/gpu_check",
        "--only",
        "machine,nvdec,tests,kernels",
        "--output",
        str(tmp_path),
    ]
    environment = os.environ | {"PYTHON": sys.executable}
    ended = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert ended.returncode == ExitCode.NO_GPU, ended.stderr
    assert ended.stderr == ""
    assert re.search(r"\| library \| libcuda\.so\.1 \|  \| .*the driver", ended.stdout)
    assert re.search(r"\| engine \| pyav \| \d+", ended.stdout)
    assert "| kernels | not run | 0 | no GPU |" in ended.stdout
    assert "No GPU: nothing is proven of the GPU path (exit code 3)." in ended.stdout
    read = json.loads((tmp_path / "gpu-none.json").read_text())
    assert read["exit_code"] == 3
    assert [each["state"] for each in read["parts"]] == ["done", *["not run"] * 3]
    assert str(ROOT) not in json.dumps(read)


def test_an_unknown_part_is_refused() -> None:
    words = [sys.executable, "-m", "benchmarks.gpu", "--only", "nothing"]
    ended = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 1
    assert "one of machine, nvdec" in ended.stderr


def test_the_document_names_every_part() -> None:
    page = (ROOT / "docs" / "gpu.md").read_text("utf-8")
    for each in PARTS:
        name = "compare-ENGINE" if each.name.startswith("compare-") else each.name
        assert f"| `{name}` |" in page, name
