"""The benchmarks: their files, their peers' processes, their figures and tables."""

import dataclasses
import http.client
import io
import sys
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from benchmarks import goals, peers
from benchmarks.case import GROUPS, Case, Work, all_cases
from benchmarks.contest import Cell
from benchmarks.contestant import PeerProcess, moments_of
from benchmarks.document import insert
from benchmarks.peers import Done, Peer, Request, Way
from benchmarks.peers.pool import measure
from benchmarks.product import Product
from benchmarks.remote import least_bytes, serving
from benchmarks.result import PRODUCT, Result, keyed
from benchmarks.sample import ContestantError, Sample
from benchmarks.scene import make_scene
from benchmarks.still import STILLS, make_stills
from benchmarks.table import long_tables, short_table
from benchmarks.video import VIDEOS, Video, make_videos

MACHINE = {"processor": "P", "cores": 2, "memory_gib": 4, "system": "S", "python": "3", "rounds": 2}
STILL = Case("12mp", "a.jpg", "a.jpg", Work.STILL, ("pillow",), width=40, height=40)


def request(units: int = 4, moments: tuple[float, ...] = (), source: str = "") -> Request:
    return Request("still", source, moments, 40, 40, "jpg", 80, units, 2, "")


def sample(seconds: float, cpu: float = 1.0, pictures: int = 10) -> Sample:
    return Sample(pictures, seconds, cpu, 1000, 1000)


def result(*cells: Cell) -> Result:
    return Result(MACHINE, {"thumbfarm": "1"}, keyed(cells))


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "a.jpg"
    make_scene(320, 240, seed=3).render(1.0).save(path, quality=90)
    return path


def test_scenes_are_reproducible_and_gain_detail() -> None:
    scene = make_scene(256, 128, seed=5)
    assert np.array_equal(scene.base, make_scene(256, 128, seed=5).base)
    assert scene.render(1.0).size == (256, 128)
    sizes = []
    for detail in (0.0, 2.0, 8.0):
        file = io.BytesIO()
        scene.render(detail).save(file, "JPEG", quality=90)
        sizes.append(file.tell())
    assert sizes == sorted(sizes)
    assert sizes[2] > 1.1 * sizes[0]


def test_stills_have_the_bytes_of_photographs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = [dataclasses.replace(still, width=640, height=480) for still in STILLS[:3]]
    monkeypatch.setattr("benchmarks.still.STILLS", tuple(small))
    assert len(list(make_stills(tmp_path))) == 3
    assert not list(make_stills(tmp_path)), "what is there is kept"
    with Image.open(tmp_path / "12mp-progressive.jpg") as picture:
        assert picture.info["progressive"]
    weight = (tmp_path / "2mp.jpg").stat().st_size / (640 * 480)
    assert weight == pytest.approx(small[0].bytes_per_pixel, rel=0.2)


@pytest.mark.parametrize("name", ["a.mp4", "a.ts"])
def test_videos_repeat_their_packets(tmp_path: Path, name: str) -> None:
    options = {"preset": "ultrafast"}
    video = Video(name, "libx264", 128, 96, 25, 200_000, seconds=6, loop_seconds=2, options=options)
    list(make_videos(tmp_path, (video,)))
    with av.open(str(tmp_path / name)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    assert len(packets) == 150
    assert sum(packet.is_keyframe for packet in packets) >= 6
    with av.open(str(tmp_path / name)) as container:
        times = [frame.time for frame in container.decode(video=0)]
    assert len(times) == 150
    assert np.allclose(np.diff(np.array(times, float)), 0.04, atol=1e-3)


def test_goals_and_peers_are_known() -> None:
    cases = all_cases(is_quick=False)
    assert {case.group for case in cases} <= set(GROUPS)
    assert len({case.title for case in cases}) == len(cases)
    assert {name for case in cases for name in case.peers} <= set(peers.names())
    for group, speeds in goals.SPEED.items():
        members = [case for case in cases if group.startswith(case.group)]
        assert set(speeds) <= {name for case in members for name in case.peers}, group
    assert set(goals.MOST_OVER_LIMIT_OF) <= {case.title for case in cases}
    assert len({video.name for video in VIDEOS}) == 9


def test_moments_are_the_product_s_own() -> None:
    ten = Case("ten-keys", "v", "v", Work.KEYFRAME, (), count=10)
    assert moments_of(ten, 100.0) == pytest.approx([5.0 + 10.0 * index for index in range(10)])
    assert moments_of(dataclasses.replace(ten, count=1), 100.0) == (15.0,)
    assert moments_of(STILL, 0.0) == ()


@pytest.mark.parametrize("way", [Way.THREADS, Way.PROCESSES])
def test_all_units_are_done_and_counted(way: Way) -> None:
    peer = Peer("1", way, lambda request: lambda number: Done(1, frames=number))
    told = measure(peer, request(units=5))
    assert told.pictures == 5
    assert told.frames == 0 + 1 + 2 + 3 + 4
    assert told.seconds > 0


def test_a_peer_that_does_all_at_once_tells_its_own_time() -> None:
    peer = Peer("1", Way.OWN, lambda request: lambda units: Done(units, seconds=2.5))
    assert measure(peer, request(units=6)).seconds_each == pytest.approx(2.5 / 6)


@pytest.mark.parametrize("way", list(Way))
def test_a_missing_picture_is_a_failure(way: Way) -> None:
    peer = Peer("1", way, lambda request: lambda number: Done(0))
    with pytest.raises(ContestantError, match="gave 0 pictures instead of 8"):
        measure(peer, request(units=4, moments=(1.0, 2.0)))


def test_what_a_peer_raises_in_a_process_is_told() -> None:
    def fail(number: int) -> Done:
        raise ValueError(f"no {number}")

    peer = Peer("1", Way.PROCESSES, lambda request: fail)
    with pytest.raises(ContestantError, match="ValueError: no"):
        measure(peer, request())


@pytest.fixture
def pillow(monkeypatch: pytest.MonkeyPatch) -> Iterator[PeerProcess]:
    monkeypatch.setattr("benchmarks.contestant.peer_python", lambda: Path(sys.executable))
    peer = PeerProcess("pillow", workers=2)
    yield peer
    peer.close()


def test_a_peer_in_its_process_answers_again_and_again(pillow: PeerProcess, photo: Path) -> None:
    for units in (2, 6):
        told = pillow.measure(STILL, str(photo), (), units)
        assert told.pictures == units
        assert told.bytes_read >= units * photo.stat().st_size
    assert pillow.version
    with pytest.raises(ContestantError, match="FileNotFoundError"):
        pillow.measure(STILL, str(photo) + ".none", (), 2)


def test_an_absent_peer_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.contestant.peer_python", lambda: Path(sys.executable))
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(ContestantError, match="absent: no command ffmpegthumbnailer"):
        PeerProcess("ffmpegthumbnailer", workers=1).measure(STILL, "a", (), 1)


def test_the_server_gives_ranges_and_counts(tmp_path: Path) -> None:
    (tmp_path / "f.bin").write_bytes(bytes(range(100)))
    with serving(tmp_path) as traffic:
        connection = http.client.HTTPConnection(traffic.address.removeprefix("http://"))
        connection.request("GET", "/f.bin", headers={"Range": "bytes=10-19"})
        answer = connection.getresponse()
        assert answer.status == 206
        assert answer.getheader("Content-Range") == "bytes 10-19/100"
        assert answer.read() == bytes(range(10, 20))
        connection.request("GET", "/f.bin", headers={"Range": "bytes=90-"})
        assert connection.getresponse().read() == bytes(range(90, 100))
        connection.request("GET", "/f.bin")
        assert connection.getresponse().read() == bytes(range(100))
        connection.close()
        assert traffic.take() == (3, 120)
        assert traffic.take() == (0, 0)


def test_the_least_bytes_are_the_index_and_one_packet(samples: Path) -> None:
    path = samples / "videos" / "h264-720p.mp4"
    with av.open(str(path)) as container:
        keys = [packet for packet in container.demux(video=0) if packet.is_keyframe]
    index = least_bytes(path, 0.0) - keys[0].size
    assert 0 < index < path.stat().st_size
    assert least_bytes(path, 2.5) == index + keys[1].size


def test_a_ratio_sums_over_what_both_could_do() -> None:
    cases = [Case("one-key", name, name, Work.KEYFRAME, ("decord-key",)) for name in ("a", "b")]
    found = result(
        Cell("one-key/a", PRODUCT, [sample(1.0), sample(2.0)]),
        Cell("one-key/b", PRODUCT, [sample(9.0), sample(9.0)]),
        Cell("one-key/a", "decord-key", [sample(3.0, cpu=4.0), sample(4.0, cpu=4.0)]),
        Cell("one-key/b", "decord-key", error="cannot open"),
    )
    ratio = found.ratio(cases, "decord-key")
    assert ratio is not None
    assert (ratio.median, ratio.least, ratio.most) == pytest.approx((2.5, 2.0, 3.0))
    assert (ratio.cpu, ratio.cases, ratio.of_cases) == (4.0, 1, 2)
    assert found.ratio(cases, "ffmpeg-key") is None


def test_tables_tell_goals_failures_and_the_limit() -> None:
    cases = [dataclasses.replace(STILL, peers=("sharp", "pyvips", "bare"))]
    found = result(
        Cell("12mp/a.jpg", PRODUCT, [sample(1.0, cpu=1.2)]),
        Cell("12mp/a.jpg", "sharp", [sample(1.3)]),
        Cell("12mp/a.jpg", "pyvips", error="absent: no | pyvips"),
        Cell("12mp/a.jpg", "bare", [sample(0.5)]),
    )
    long, short = long_tables(found, cases), short_table(found, cases)
    assert (
        "| 12 MP JPEG to 320 px JPEG | sharp | 1.30x (1.30 to 1.30) | 0.83x | 1.2x | yes |" in long
    )
    assert "| a.jpg | 120.0 | 100.0 | 1.20x | 1.35x | yes |" in long
    assert "absent: no / pyvips" in long
    assert "| 12 MP JPEG to 320 px JPEG | 10.0 | sharp 1.3x |" in short


def test_results_come_back_from_their_file(tmp_path: Path) -> None:
    found = result(Cell("12mp/a.jpg", PRODUCT, [sample(1.0)], least_bytes=5))
    found.write(tmp_path / "results" / "r.json")
    assert Result.read(tmp_path / "results" / "r.json") == found


def test_text_goes_between_markers(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- x: begin -->\nold\n<!-- x: end -->\nb\n")
    insert(page, "x", "new\n")
    insert(page, "x", "newer")
    assert page.read_text() == "a\n<!-- x: begin -->\nnewer\n<!-- x: end -->\nb\n"
    with pytest.raises(ValueError, match="expected <!-- y: begin -->"):
        insert(page, "y", "")


@pytest.mark.cluster
def test_the_product_is_measured_by_whole_runs(photo: Path, samples: Path) -> None:
    clip = samples / "videos" / "h264-720p.mp4"
    three = Case("ten-keys", "c", clip.name, Work.KEYFRAME, (), count=3)
    with Product(lanes=2) as product:
        told = product.measure(STILL, str(photo), (), 4)
        assert told.pictures == 4
        assert 0 < told.seconds < (told.command_seconds or 0.0)
        assert told.cpu_seconds > 0
        assert told.memory_bytes > 1 << 20
        assert product.measure(three, str(clip), (), 2).pictures == 6
        with pytest.raises(ContestantError, match=r"none\.jpg"):
            product.measure(STILL, str(photo.with_name("none.jpg")), (), 2)
