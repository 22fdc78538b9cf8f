import io
import os
import random
import subprocess
import sys
import textwrap
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import av
import numpy as np
import pytest
import torch
from PIL import Image

pytest.importorskip("farm.engines.dali")

import kernels
from farm.engines import PassedOnError, Source, Wish, candidates, load
from farm.engines.dali_pipeline import DaliError, Decoders
from farm.engines.frame import FrameBatch
from farm.errors import (
    FarmError,
    LimitError,
    NoFrameError,
    TruncatedError,
    UnsupportedFormatError,
)
from farm.geometry import Size
from farm.isolation import LanePool
from farm.media import MediaFormat, MediaKind
from farm.sampling import Target
from farm.settings import LaneRules, Limits
from farm.sniff import HEAD_BYTES, sniff
from farm.spec import Accuracy
from tests.engines.clips import FPS, HEIGHT, WIDTH, Clip, luma, make, number_of
from tests.engines.contract import START, EngineContract, source_of
from tests.engines.test_pillow import assert_near, saved, scene, shown, swapped_primaries
from tests.lanes import request

VP9 = Clip("libvpx-vp9", "webm")
VP8 = Clip("libvpx", "webm", options={"deadline": "realtime", "cpu-used": "8"})
MJPEG = Clip("mjpeg", "avi", pixels="yuvj420p")


def opened(data: bytes, *, name: str = "thing", engine: str = "dali", limits: Limits | None = None):
    media_format = sniff(data[:HEAD_BYTES], name=name)
    source = source_of(data, name)
    return load(engine).open(source, media_format=media_format, limits=limits or Limits())


def decoded(data: bytes, *, name: str = "thing", engine: str = "dali") -> FrameBatch:
    (batch,) = opened(data, name=name, engine=engine).frames([START], Wish())
    return batch


class TestStillContract(EngineContract):
    engine_name = "dali"
    media_format = MediaFormat(MediaKind.IMAGE, "jpeg")
    size = Size(64, 48)

    @pytest.fixture
    def good(self):
        return saved(scene(), "JPEG", quality=90)


class TestVideoContract(EngineContract):
    engine_name = "dali"
    media_format = MediaFormat(MediaKind.VIDEO, "webm")
    size = Size(WIDTH, HEIGHT)

    @pytest.fixture
    def good(self):
        return make(Clip("libvpx-vp9", "webm", count=12))


class TestStills:
    @pytest.mark.parametrize(
        ("format", "options", "tolerance"),
        [
            ("JPEG", {"quality": 90, "subsampling": 0}, 0.6),
            ("JPEG", {"quality": 90, "subsampling": 2}, 0.6),
            ("JPEG", {"quality": 90, "progressive": True}, 0.6),
            ("PNG", {}, 0),
            ("WEBP", {"quality": 90}, 1.5),
            ("TIFF", {}, 0),
            ("BMP", {}, 0),
            ("JPEG2000", {}, 0),
        ],
    )
    def test_pixels_are_those_of_pillow(self, format, options, tolerance):
        data = saved(scene((253, 187)), format, **options)
        wanted = Image.open(io.BytesIO(data)).convert("RGB")
        assert_near(decoded(data).planes[0][0], wanted, tolerance)

    def test_gray(self):
        data = saved(scene().convert("L"), "JPEG", quality=90)
        assert_near(decoded(data).planes[0][0], Image.open(io.BytesIO(data)).convert("RGB"), 0.6)

    @pytest.mark.parametrize("format", ["JPEG", "TIFF"])
    @pytest.mark.parametrize("code", range(1, 9))
    def test_orientation_is_told_and_not_applied(self, code, format):
        exif = Image.Exif()
        exif[0x112] = code
        data = saved(scene(), format, exif=exif, **({"quality": 90} if format == "JPEG" else {}))
        assert opened(data).info.orientation == decoded(data).orientation == code
        plain = saved(scene(), format, **({"quality": 90} if format == "JPEG" else {}))
        assert torch.equal(decoded(data).planes[0], decoded(plain).planes[0])

    def test_a_profile_is_handed_on(self):
        data = saved(
            Image.new("RGB", (16, 16), (200, 30, 40)),
            "JPEG",
            quality=100,
            icc_profile=swapped_primaries(),
        )
        wanted = shown(decoded(data, engine="pillow")).int()
        assert (shown(decoded(data)).int() - wanted).abs().max() <= 3

    @pytest.mark.parametrize(
        ("picture", "format", "why"),
        [
            (scene().convert("RGBA"), "PNG", "transparency"),
            (scene().convert("P"), "PNG", "colours of type 3"),
            (scene().convert("CMYK"), "JPEG", "4 components"),
            (scene().convert("RGBA"), "TIFF", "of 4"),
            (scene().convert("RGBA"), "BMP", "32 bits a pixel"),
            (scene().convert("RGBA"), "JPEG2000", "kind RGBA"),
            (scene().convert("I;16"), "TIFF", "bits a sample"),
        ],
    )
    def test_what_dali_would_show_wrong_is_passed_on(self, picture, format, why):
        with pytest.raises(PassedOnError, match=rf"thing: has .*{why}.*engine pillow"):
            opened(saved(picture, format))

    def test_other_formats(self):
        with pytest.raises(
            UnsupportedFormatError, match="thing: is gif; engine dali decodes bmp, "
        ):
            opened(saved(scene(), "GIF"))

    @pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
    def test_a_cut_one_gets_the_verdict_of_pillow(self, format):
        data = saved(scene((253, 187)), format)
        with pytest.raises(TruncatedError, match="thing: Pillow cannot decode"):
            decoded(data[: len(data) // 2])

    def test_one_that_only_dali_cannot_decode_is_left_to_others(self, monkeypatch):
        def fail(*_: object, **__: object) -> None:
            raise DaliError("no memory left")

        monkeypatch.setattr(Decoders, "picture", fail)
        with pytest.raises(UnsupportedFormatError, match="DALI cannot decode this png: no memory"):
            decoded(saved(scene(), "PNG"))

    def test_huge_files_are_not_read(self):
        source = Source(io.BytesIO(b""), 1 << 30, "thing")
        for kind, name in ((MediaKind.IMAGE, "jpeg"), (MediaKind.VIDEO, "webm")):
            with pytest.raises(UnsupportedFormatError, match="thing: 1073741824 bytes"):
                load("dali").open(source, media_format=MediaFormat(kind, name), limits=Limits())


def answers_of(decoder, targets: Sequence[Target]) -> list[tuple[int, float]]:
    """The number that is seen for each target, and its time."""
    found = {}
    for batch in decoder.frames(targets, Wish()):
        for place, (answered, seconds) in enumerate(
            zip(batch.answers, batch.pts_seconds, strict=True)
        ):
            planes = tuple(plane[place : place + 1] for plane in batch.planes)
            one = FrameBatch(planes, batch.color, batch.full_size, (answered,), (seconds,))
            found |= dict.fromkeys(answered, (number_of(one), round(seconds, 6)))
    return [found[index] for index in range(len(targets))]


class TestMoments:
    @pytest.mark.parametrize(
        "clip",
        [
            VP9,
            Clip("libvpx-vp9", "mp4"),
            VP8,
            MJPEG,
            Clip("libvpx-vp9", "matroska", count=12, times=tuple(n * n * 7 for n in range(12))),
            Clip("libvpx-vp9", "webm", container_options={"output_ts_offset": "3"}),
        ],
        ids=["vp9", "vp9 in mp4", "vp8", "mjpeg", "uneven times", "later start"],
    )
    def test_frames_are_those_of_pyav(self, clip):
        data = make(clip)
        start = opened(data).info.start_seconds
        times = [start + (n + part) / FPS for n in (0, 3, 9, 10, 25, 49) for part in (0, 0.4)]
        times += [-1.0, start, 0.0, 99.0]
        targets = [
            Target(t, a, max_drift_seconds=d) for t in times for a in Accuracy for d in (None, 0.1)
        ]
        targets += [Target(start, Accuracy.EXACT, frame=n) for n in (0, 7, -1, -3)]
        dali, pyav = opened(data), opened(data, engine="pyav")
        assert answers_of(dali, targets) == answers_of(pyav, targets)
        assert set(dali.warnings) == set(pyav.warnings)
        assert dali.notes.get("keyframes_too_far") == pyav.notes.get("keyframes_too_far")

    def test_no_such_frame(self):
        with pytest.raises(NoFrameError, match="thing: no frame 50 among 50 frames"):
            answers_of(opened(make(VP9)), [Target(0, Accuracy.EXACT, frame=50)])

    def test_decoding_too_many_frames_is_refused(self):
        decoder = opened(make(VP9), limits=Limits(frames=5))
        with pytest.raises(LimitError, match="thing: more than the 5 frames"):
            answers_of(decoder, [Target(0.9 * 50 / FPS, Accuracy.EXACT)])

    def test_many_frames_come_in_parts(self, monkeypatch):
        monkeypatch.setattr("farm.engines.dali_video._MOST_ASK_BYTES", 3 * WIDTH * HEIGHT * 4)
        targets = [Target((n + 0.1) / FPS, Accuracy.EXACT) for n in range(10)]
        batches = list(opened(make(VP9)).frames(targets, Wish()))
        assert [len(batch.answers) for batch in batches] == [4, 4, 2]


def flat_clip(yuv: tuple[int, int, int], **tags: int) -> bytes:
    """One VP9 frame of one colour, coded without loss; `tags` are those of a codec context."""
    file = io.BytesIO()
    with av.open(file, "w", format="webm") as container:
        stream = container.add_stream("libvpx-vp9", rate=FPS, options={"lossless": "1"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for name, tag in tags.items():
            setattr(stream.codec_context, name, tag)
        frame = av.VideoFrame(WIDTH, HEIGHT, "yuv420p")
        for plane, value in zip(frame.planes, yuv, strict=True):
            plane.update(bytes([value]) * plane.buffer_size)
        frame.colorspace = tags.get("colorspace", 2)
        frame.color_range = tags.get("color_range", 1)
        frame.pts, frame.time_base = 0, Fraction(1, FPS)
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


def rgb(batch: FrameBatch) -> torch.Tensor:
    """The first pixel as it will be seen."""
    if not batch.is_yuv:
        return batch.planes[0][0, 0, 0].int()
    color = batch.color
    height, width = batch.planes[0].shape[1:]
    pictures = kernels.yuv_to_rgb(
        batch.planes,
        box=(0, 0, width, height),
        height=height,
        width=width,
        matrix=color.matrix,
        full_range=color.full_range,
        siting=color.siting,
        bits=color.bits,
    )
    return pictures[0, 0, 0].int()


BT709, BT601, BT2020 = 1, 6, 9
# Grays, skin, foliage, sky, and the corners of what BT.601 can show of them.
MODERATE = [(16, 128, 128), (235, 128, 128), (126, 128, 128), (150, 110, 150), (90, 105, 118)]
MODERATE += [(140, 160, 105), (81, 110, 190), (60, 150, 130), (200, 100, 135)]


class TestColor:
    @pytest.mark.parametrize("matrix", [BT709, BT601, BT2020])
    @pytest.mark.parametrize("full", [False, True], ids=["limited", "full"])
    @pytest.mark.parametrize("yuv", MODERATE)
    def test_flat_patches_are_those_of_pyav(self, yuv, matrix, full):
        data = flat_clip(yuv, colorspace=matrix, color_range=2 if full else 1)
        ours, theirs = rgb(decoded(data)), rgb(decoded(data, engine="pyav"))
        assert (ours - theirs).abs().max() <= 2, (ours, theirs)

    @pytest.mark.parametrize("yuv", [(63, 102, 240), (173, 42, 26), (32, 240, 118)])
    def test_colours_that_dali_clips_are_left_to_others(self, yuv):
        with pytest.raises(UnsupportedFormatError, match=r"bt709 that DALI clips in 100\.0% of"):
            decoded(flat_clip(yuv, colorspace=BT709))

    @pytest.mark.parametrize(
        ("clip", "why"),
        [
            (Clip("libx265", count=3, pixels="yuv420p10le"), "has 10 bits a sample"),
            (Clip(count=3, options={"x264-params": "transfer=smpte2084"}), "is HDR of pq"),
            (Clip(count=3, pixels="yuv444p"), "has chroma that is not 4:2:0"),
            (Clip(count=3, options={"x264-params": "colormatrix=YCgCo"}), "has the matrix ycgco"),
        ],
        ids=["ten bits", "hdr", "4:4:4", "ycgco"],
    )
    def test_what_a_gpu_would_show_wrong_is_left_to_others(self, monkeypatch, clip, why):
        monkeypatch.setattr(load("dali"), "_decoders", Decoders("cuda"))
        with pytest.raises(UnsupportedFormatError, match=f"thing: {why}"):
            decoded(make(clip))


class TestShape:
    def test_rotation_is_told_and_not_applied(self):
        data = make(Clip("libvpx-vp9", "mp4", rotation=(-90, False)))
        batch = decoded(data)
        assert batch.orientation == opened(data).info.orientation == 6
        assert batch.planes[0].shape[1:3] == (HEIGHT, WIDTH)

    def test_frames_of_an_odd_size_are_left_to_others(self):
        with pytest.raises(UnsupportedFormatError, match="thing: has frames of an odd size"):
            decoded(make(Clip("libvpx-vp9", "webm", count=3, size=(WIDTH, HEIGHT - 1))))

    def test_codecs_that_need_a_gpu(self):
        with pytest.raises(
            UnsupportedFormatError, match="device cpu decodes mjpeg, vp8, vp9; this is h264"
        ):
            opened(make(Clip(count=3)))

    def test_containers_without_an_index(self):
        with pytest.raises(UnsupportedFormatError, match="thing: is ivf, whose frames"):
            decoded(make(Clip("libvpx-vp9", "ivf", count=3)))


# Two threads work at once here; the sixteen wait for each other's batches.
SEATS = 16


def asked_by_seats(work: Callable[[int], object], count: int) -> dict[int, object]:
    """What `work` gives for each number, or its error, asked by many threads in any order."""

    def attempt(number: int) -> object:
        try:
            return work(number)
        except FarmError as error:
            return error

    order = list(range(count))
    random.Random(5).shuffle(order)
    with ThreadPoolExecutor(SEATS) as seats:
        return dict(zip(order, seats.map(attempt, order), strict=True))


def numbered_picture(number: int) -> bytes:
    """A picture of its own number, as JPEG or PNG."""
    size = (64 + 8 * (number % 5), 40 + number % 7)
    picture = Image.fromarray(luma(number, size)).convert("RGB")
    return saved(picture, "PNG" if number % 3 == 0 else "JPEG")


def broken(data: bytes, number: int) -> bytes:
    """Empty, cut behind the header, or with a header and rubbish."""
    rubbish = np.random.default_rng(number).bytes(300)
    return (b"", data[: len(data) * 3 // 4], data[: len(data) // 2] + rubbish)[number // 10 % 3]


class TestManyAtOnce:
    @pytest.fixture
    def batches(self, monkeypatch):
        """How many samples each run of a pipeline had."""
        sizes = []
        run = "farm.engines.dali_pipeline._Rebuilt.run"
        real = sys.modules["farm.engines.dali_pipeline"]._Rebuilt.run

        def counted(self, **inputs):
            sizes.append(len(inputs["file"]))
            return real(self, **inputs)

        monkeypatch.setattr(run, counted)
        return sizes

    def test_every_still_gets_its_own_picture_or_its_own_error(self, batches):
        count = 200
        files = [numbered_picture(number) for number in range(count)]
        files = [broken(data, n) if n % 10 == 4 else data for n, data in enumerate(files)]
        found = asked_by_seats(lambda n: number_of(decoded(files[n], name=f"still-{n}.")), count)
        for number in range(count):
            if number % 10 == 4:
                assert isinstance(found[number], FarmError)
                assert f"still-{number}." in str(found[number])
            else:
                assert found[number] == number
        assert max(batches) > 1

    def test_every_video_gets_its_own_frames_or_its_own_error(self, batches):
        count = 48
        files = [self.clip_of(number) for number in range(count)]
        files = [broken(data, n) if n % 10 == 4 else data for n, data in enumerate(files)]
        targets = [Target(0.0, Accuracy.EXACT), Target(2.1 / FPS, Accuracy.EXACT)]

        def work(number: int, engine: str = "dali") -> object:
            decoder = opened(files[number], name=f"clip-{number}.", engine=engine)
            return [seen for seen, _ in answers_of(decoder, targets)]

        found = asked_by_seats(work, count)
        for number in range(count):
            if isinstance(found[number], FarmError):
                assert number % 10 == 4
                assert f"clip-{number}." in str(found[number])
            elif number % 10 == 4:  # the frames before the cut are whole
                assert found[number] == work(number, "pyav")
                assert found[number][0] == number
            else:
                assert found[number] == [number, 200 - number]
        assert isinstance(found[4], FarmError)
        assert max(batches) > 1

    def clip_of(self, number: int) -> bytes:
        """Three frames: a number, 100, and 200 less the number."""
        file = io.BytesIO()
        codec, container = ("mjpeg", "avi") if number % 3 == 0 else ("libvpx-vp9", "webm")
        options = {"deadline": "realtime", "cpu-used": "8"} if codec != "mjpeg" else {}
        with av.open(file, "w", format=container) as target:
            stream = target.add_stream(codec, rate=FPS, options=options)
            stream.width, stream.height = WIDTH, HEIGHT
            stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
            for pts, shown_number in enumerate((number, 100, 200 - number)):
                frame = av.VideoFrame.from_ndarray(luma(shown_number), format="gray")
                frame = frame.reformat(
                    format=stream.pix_fmt, src_color_range=2, dst_color_range=2, threads=1
                )
                frame.pts, frame.time_base = pts, Fraction(1, FPS)
                target.mux(stream.encode(frame))
            target.mux(stream.encode(None))
        return file.getvalue()

    def test_a_picture_that_cannot_be_decoded_fails_alone(self, batches):
        decoders = Decoders("cpu")

        def work(number: int) -> object:
            data = numbered_picture(number)
            data = data[: len(data) // 2] if number % 10 == 4 else data
            size = Size(64 + 8 * (number % 5), 40 + number % 7)
            try:
                picture = decoders.picture(np.frombuffer(data, np.uint8), size=size)
            except DaliError:
                return None
            columns = picture.float().mean((0, 2)).reshape(8, -1).mean(1)
            return sum(1 << bit for bit in range(8) if columns[bit] > 120)

        found = asked_by_seats(work, 100)
        assert found == {n: None if n % 10 == 4 else n for n in range(100)}
        assert max(batches) > 1

    def test_a_frame_that_is_not_there_fails_alone(self, batches):
        decoders = Decoders("cpu")
        file = np.frombuffer(make(Clip("libvpx-vp9", "webm", count=12)), np.uint8)

        def work(number: int) -> object:
            wanted = 99 if number % 10 == 4 else number % 12
            try:
                return decoders.frames(file, [wanted], size=Size(WIDTH, HEIGHT))[0]
            except DaliError as error:
                return str(error)

        found = asked_by_seats(work, 40)
        for number in range(40):
            if number % 10 == 4:
                assert "99" in found[number]
            else:
                columns = found[number].float().mean((0, 2)).reshape(8, -1).mean(1)
                seen = sum(1 << bit for bit in range(8) if columns[bit] > 120)
                assert seen == number % 12
        assert max(batches) > 1


class TestProcess:
    def test_it_is_chosen_on_a_gpu_only(self):
        for kind, name in ((MediaKind.IMAGE, "jpeg"), (MediaKind.VIDEO, "mp4")):
            media_format = MediaFormat(kind, name)
            assert "dali" not in candidates(media_format)
            assert "dali" in candidates(media_format, device="cuda")

    def test_it_works_in_a_lane(self):
        """A lane is forked, and its address space is bounded."""
        data = saved(scene(), "JPEG", quality=90)
        pool = LanePool(lanes=1, rules=LaneRules(memory_bytes=4 << 30))
        try:
            with pool.lease() as lane, open(os.memfd_create("source"), "w+b") as file:
                file.write(data)
                file.flush()
                asked = request(
                    len(data), source="/a.jpg", outputs=({"width": 16, "engine": "dali"},)
                )
                for _ in range(2):
                    reply = lane.call(asked, fd=file.fileno(), timeout_seconds=60)
                    assert reply.header["engine"] == "dali"
                    assert reply.header["notes"]["device"] == "cpu"
        finally:
            pool.close()

    def test_a_process_forked_after_loading_is_told_so(self):
        script = """
            import io, os, sys
            from farm.engines import Source, Wish, load
            from farm.errors import EngineUnavailableError
            from farm.media import MediaFormat, MediaKind
            from farm.settings import Limits
            engine = load("dali")
            pid = os.fork()
            if pid == 0:
                try:
                    jpeg = MediaFormat(MediaKind.IMAGE, "jpeg")
                    engine.open(Source(io.BytesIO(b""), 0, "x"), media_format=jpeg, limits=Limits())
                except EngineUnavailableError as error:
                    os._exit(7 if "before this process was forked" in str(error) else 8)
                os._exit(9)
            sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        """
        command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(script)]
        assert subprocess.run(command, timeout=120, check=False).returncode == 7


@pytest.mark.needs_cuda
class TestGpu:
    """The same on a GPU, against the CPU's engines."""

    def test_stills(self):
        data = saved(scene((253, 187)), "JPEG", quality=90)
        batch = decoded(data)
        assert batch.planes[0].is_cuda
        assert_near(batch.planes[0][0].cpu(), Image.open(io.BytesIO(data)), 1.0)

    @pytest.mark.parametrize(
        "clip",
        [Clip(), Clip(bframes=2), Clip("libx265"), VP9],
        ids=["h264", "h264 with B-frames", "hevc", "vp9"],
    )
    def test_frames_are_those_of_pyav(self, clip):
        data = make(clip)
        targets = [Target((n + 0.1) / FPS, a) for n in (0, 3, 9, 10, 25, 49) for a in Accuracy]
        expected = answers_of(opened(data, engine="pyav"), targets)
        assert answers_of(opened(data), targets) == expected

    @pytest.mark.parametrize("yuv", MODERATE)
    def test_flat_patches_are_those_of_pyav(self, yuv):
        data = flat_clip(yuv, colorspace=BT709)
        ours, theirs = rgb(decoded(data)).cpu(), rgb(decoded(data, engine="pyav"))
        assert (ours - theirs).abs().max() <= 2, (ours, theirs)

    def test_a_frame_that_is_not_there_fails_alone(self):
        decoders = Decoders("cuda")
        file = np.frombuffer(make(Clip("libvpx-vp9", "webm", count=12)), np.uint8)
        with pytest.raises(DaliError):
            decoders.frames(file, [99], size=Size(WIDTH, HEIGHT))
        assert len(decoders.frames(file, [3, 5], size=Size(WIDTH, HEIGHT))) == 2
