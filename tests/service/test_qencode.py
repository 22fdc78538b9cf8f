"""Qencode's API by its official client and by the published example, up to what is made."""

import gc
import io
import re
import time
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import av
import boto3
import pytest
from PIL import Image
from qencode3 import tus_uploader
from qencode3.client import Client

from tests.s3 import SECRET, S3Server
from tests.service.live import FileServer, LiveServer
from tests.service.qencode_caller import ENDED, Caller
from tests.test_dialect_qencode import EXAMPLE

CUE = re.compile(r"(\d\d:\d\d:\d\d\.\d{3}) --> (\d\d:\d\d:\d\d\.\d{3})\n(\S+)")


@pytest.fixture
def caller(server: LiveServer) -> Caller:
    return Caller(server)


def _get(server: LiveServer, url: str) -> bytes:
    with server.client_of(None) as client:
        response = client.get(url)
    assert response.status_code == 200, response.text
    assert response.headers["x-content-type-options"] == "nosniff"
    return response.content


def _picture(data: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(data))
    picture.load()
    return picture


def _s3_url(server: S3Server, key: str) -> str:
    bucket = server.new_bucket().rpartition("@")[2]
    return f"s3://{server.endpoint.removeprefix('http://')}/{bucket}/{key}"


def _s3(server: S3Server) -> Any:
    keys = {"aws_access_key_id": "AKIAEXAMPLE", "aws_secret_access_key": SECRET}
    return boto3.client("s3", endpoint_url=server.endpoint, region_name="us-east-1", **keys)


def _object(url: str) -> dict[str, str]:
    """The bucket and the key of a place in Qencode's form."""
    _, bucket, key = url.removeprefix("s3://").split("/", 2)
    return {"Bucket": bucket, "Key": key}


def _s3_get(server: S3Server, url: str) -> bytes:
    return _s3(server).get_object(**_object(url))["Body"].read()


def _is_public(server: S3Server, url: str) -> bool:
    return "AllUsers" in str(_s3(server).get_object_acl(**_object(url))["Grants"])


# The client's uploader leaves the file open, and its connections.
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_the_official_client(server: LiveServer, files: FileServer) -> None:
    client = Client(server.key, api_url=f"{server.url}/")
    assert not client.error, client.message
    task = client.create_task()
    assert not task.error, task.message
    upload = tus_uploader.upload(
        str(files.folder / "h264-720p.mp4"), url=f"{task.upload_url}/{task.task_token}"
    )
    gc.collect()
    formats = [
        {"output": "thumbnail", "time": "0.5", "width": "320", "height": "240"},
        {"output": "thumbnails", "interval": "2", "width": "160", "sprite": 1, "columns": 3},
        {"output": "mp4", "size": "320x180", "start_time": "1", "duration": "2"},
    ]
    task.custom_start({"query": {"source": upload.url, "format": formats}})
    assert not task.error, task.message
    deadline = time.monotonic() + 90
    while (status := task.status())["status"] not in ENDED:
        assert time.monotonic() < deadline, status
        time.sleep(0.1)
    assert (status["status"], status["error"], status["percent"]) == ("completed", 0, 100)
    assert task.status_url == f"{server.url}/v1/status"
    thumbnail, sprite = status["images"]
    assert _picture(_get(server, thumbnail["url"])).size == (320, 240)
    _check_sprite(server, status, sprite)
    (video,) = status["videos"]
    with av.open(io.BytesIO(_get(server, video["url"]))) as clip:
        assert (clip.streams.video[0].width, clip.streams.video[0].height) == (320, 180)
        assert clip.duration / av.time_base == pytest.approx(2, abs=0.1)


def _check_sprite(server: LiveServer, status: dict[str, Any], sprite: dict[str, Any]) -> None:
    """The WebVTT file has a rectangle within the sprite for each cue, and no gaps."""
    size = _picture(_get(server, sprite["url"])).size
    assert size == (480, 180)
    (vtt,) = status["texts"]
    text = _get(server, vtt["url"]).decode()
    assert text.startswith("WEBVTT\n\n")
    cues = CUE.findall(text)
    assert [cue[0] for cue in cues] == [f"00:00:0{second}.000" for second in (0, 2, 4, 6)]
    assert [end for _, end, _ in cues[:-1]] == [begin for begin, _, _ in cues[1:]]
    seen = set()
    for _, _, target in cues:
        name, _, place = target.partition("#xywh=")
        assert urljoin(vtt["url"], name) == sprite["url"]
        x, y, width, height = map(int, place.split(","))
        assert (width, height) == (160, 90)
        assert x + width <= size[0]
        assert y + height <= size[1]
        seen.add((x, y))
    assert len(seen) == len(cues)


def test_the_published_example(
    caller: Caller, files: FileServer, s3_server: S3Server, server: LiveServer
) -> None:
    url = _s3_url(s3_server, "")
    query = EXAMPLE.replace("s3://s3.example.org/qencode3/", url)
    query = query.replace("https://example.org/static/test_mini.mp4", files.url_of("vp9.webm"))
    query = query.replace('"start_time": "10"', '"start_time": "0.5"')
    token = caller.new_task()
    answer = caller.call("start_encode2", task_token=token, query=query)
    assert answer == {"error": 0, "status_url": f"{server.url}/v1/status"}
    status = caller.wait(token)
    assert status["status"] == "completed", status
    assert [each["user_tag"] for each in status["images"]] == ["15_320x240", "50_320x240"]
    assert [each["tag"] for each in status["images"]] == ["image-1-0", "image-2-0"]
    (video,) = status["videos"]
    assert video["url"] == f"{url}test/test_mini.mp4"
    assert video["storage"]["type"] == "custom_s3"
    assert video["storage"]["key"] == "test/test_mini.mp4"
    with av.open(io.BytesIO(_s3_get(s3_server, video["url"]))) as clip:
        assert float(clip.streams.video[0].average_rate) == pytest.approx(29.97, abs=0.01)
    for image, name in zip(status["images"], ("15_320x240", "50_320x240"), strict=True):
        assert image["url"] == f"{url}test/thumb/{name}.png"
        picture = _picture(_s3_get(s3_server, image["url"]))
        assert picture.format == "PNG"
        assert picture.size == (image["meta"]["resolution_width"], 240)
        assert _is_public(s3_server, image["url"])
    assert "abcde12345" not in server.log_text
    assert b"abcde12345" not in _everything(server.data)


def _everything(data: Path) -> bytes:
    return b"".join(path.read_bytes() for path in data.glob("service.db*"))


def test_series_go_to_folders_of_all_destinations(
    caller: Caller, files: FileServer, s3_server: S3Server, server: LiveServer
) -> None:
    url = _s3_url(s3_server, "a/b")
    local = f"file://{server.destinations}/series-{uuid.uuid4().hex}"
    keys = {"key": "AKIAEXAMPLE", "secret": SECRET}
    status = caller.run(
        {
            "output": "thumbnails",
            "interval": 4,
            "height": 90,
            "image_format": "jpg",
            "destination": [{"url": url} | keys, {"url": local}],
        },
        source=files.url_of("h264-720p.mp4"),
    )
    assert status["status"] == "completed", status
    urls = [each["url"] for each in status["images"]]
    names = ["thumb_0001.jpg", "thumb_0002.jpg"]
    assert urls == [f"{place}/{name}" for name in names for place in (url, local)]
    assert [each["url"] for each in status["texts"]] == [
        f"{place}/thumbnails.vtt" for place in (url, local)
    ]
    folder = Path(local.removeprefix("file://"))
    assert sorted(path.name for path in folder.iterdir()) == [*names, "thumbnails.vtt"]
    for name in (*names, "thumbnails.vtt"):
        assert (folder / name).read_bytes() == _s3_get(s3_server, f"{url}/{name}")
        assert not _is_public(s3_server, f"{url}/{name}")
    assert _picture((folder / names[0]).read_bytes()).size == (160, 90)


def test_a_source_in_a_bucket(caller: Caller, files: FileServer, s3_server: S3Server) -> None:
    url = _s3_url(s3_server, "in/video.mp4")
    data = (files.folder / "h264-rotated-90.mp4").read_bytes()
    _s3(s3_server).put_object(**_object(url), Body=data)
    source = url.replace("s3://", f"s3://AKIAEXAMPLE:{SECRET}@")
    status = caller.run(
        {"output": "thumbnail", "resolution": "90", "image_format": "jpg"}, source=source
    )
    assert status["status"] == "completed", status
    picture = _picture(_get(caller.server, status["images"][0]["url"]))
    assert (picture.format, picture.width, picture.height > 90) == ("JPEG", 90, True)
    assert SECRET.encode() not in _everything(caller.server.data)


def test_sizes(caller: Caller, files: FileServer) -> None:
    asked: list[tuple[dict[str, Any], tuple[int, int]]] = [
        ({"size": "320x240", "resize_mode": "crop"}, (320, 240)),
        ({"size": "320x240", "resize_mode": "scale"}, (320, 240)),
        ({"resolution": 180}, (320, 180)),
        ({"width": 2000}, (1280, 720)),
        ({"size": "2560x1440"}, (1280, 720)),
        ({"size": "1000x1000", "resize_mode": "crop"}, (1000, 1000)),
    ]
    webp = {"output": "thumbnail", "image_format": "webp"}
    status = caller.run(
        *(webp | fields for fields, _ in asked), source=files.url_of("h264-720p.mp4")
    )
    pictures = [_picture(_get(caller.server, each["url"])) for each in status["images"]]
    assert {picture.format for picture in pictures} == {"WEBP"}
    assert [picture.size for picture in pictures] == [size for _, size in asked]
    # The last one cannot fill its square without being enlarged.
    assert max(pictures[-1].crop((0, 0, 1000, 200)).convert("L").getextrema()) < 8
    assert max(pictures[0].crop((0, 0, 320, 40)).convert("L").getextrema()) > 100


def test_soft_failures_are_warnings(caller: Caller, files: FileServer) -> None:
    thumbnail = {"output": "thumbnail", "width": 64}
    clip = {"output": "mp4", "user_tag": "clip"}
    source = files.url_of("palette.png")
    failed = caller.run(thumbnail, clip, source=source)
    assert (failed["status"], failed["error"], failed["images"]) == ("error", 1, [])
    assert "clips are made of videos" in failed["error_description"]
    softly = caller.run(thumbnail, clip | {"allow_soft_fail": "1"}, source=source)
    assert (softly["status"], softly["error"]) == ("completed", 0)
    assert (len(softly["images"]), softly["videos"]) == (1, [])
    (warning,) = softly["warnings"]
    assert (warning["message"], warning["tag"]) == ("Output failed", "clip")
    assert "clips are made of videos" in warning["details"]
    softly = caller.run(
        thumbnail | {"allow_soft_fail": 1},
        thumbnail | {"allow_soft_fail": 1, "destination": {"url": "file:///nowhere/a.png"}},
        source=source,
    )
    assert (softly["status"], len(softly["images"])) == ("completed", 1)
    assert softly["warnings"][0]["message"] == "Output could not be saved"
    softly = caller.run(
        thumbnail | {"allow_soft_fail": 1, "size": "9x9"}, source=files.url_of("text.jpg")
    )
    assert (softly["status"], softly["error"], softly["images"]) == ("completed", 0, [])
    assert softly["warnings"][0]["message"] == "Output failed"


@pytest.mark.parametrize("name", ["text.jpg", "missing.mp4"])
def test_sources_that_are_none(caller: Caller, files: FileServer, name: str) -> None:
    status = caller.run({"output": "thumbnail"}, source=f"{files.url}/{name}")
    assert (status["status"], status["error"], status["percent"]) == ("error", 1, 0)
    assert name in status["error_description"] or "format" in status["error_description"]


def test_addresses_of_files_are_signed(
    caller: Caller, files: FileServer, server: LiveServer
) -> None:
    status = caller.run({"output": "thumbnail", "width": 64}, source=files.url_of("vp9.webm"))
    url = status["images"][0]["url"]
    folder, signature, name = url.rsplit("/", 2)
    other = f"{signature[:-1]}{'1' if signature[-1] == '0' else '0'}"
    with server.client_of(None) as client:
        assert client.get(url, headers={"Range": "bytes=0-7"}).content == b"\x89PNG\r\n\x1a\n"
        assert client.head(url).headers["access-control-allow-origin"] == "*"
        assert client.get(f"{folder}/{other}/{name}").status_code == 403
        for wrong in ("service.db", "..%2f..%2fvault.key", "thumbnails.vtt"):
            assert client.get(f"{folder}/{signature}/{wrong}").status_code == 404
