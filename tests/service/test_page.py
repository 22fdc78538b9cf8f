"""The pages: who gets in, what is shown, and that a browser runs nothing that callers sent."""

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from farm.errors import error_classes
from farm.service.model import Job, Status, StoredFile, Task
from farm.service.page.advice import advice_on
from farm.service.page.login import WrongTries
from farm.service.page.view import ago_text, job_view, took_text
from farm.wording import size_text
from tests.browser import browser
from tests.service.live import FileServer, LiveServer

__all__ = ["browser"]

TAG = "<script>alert(1)</script>"


def _job(server: LiveServer, source: str, **options: Any) -> str:
    """The id of a job of two tasks, by CloudConvert's API."""
    tag = options.pop("tag", None)
    picture = {"operation": "thumbnail", "input": "get", "output_format": "jpg", "width": 96}
    tasks = {"get": {"operation": "import/url", "url": source}, "picture": picture | options}
    answer = server.client.post("/v2/jobs", json={"tag": tag, "tasks": tasks})
    return answer.raise_for_status().json()["data"]["id"]


def _ended(server: LiveServer, job: str) -> dict[str, Any]:
    return server.client.get(f"/sync/v2/jobs/{job}").raise_for_status().json()["data"]


@pytest.fixture
def visitor(server: LiveServer) -> Iterator[httpx.Client]:
    """A browser's place, logged in."""
    with server.client_of(None) as client:
        assert client.post("/login", data={"key": server.key}).status_code == 303
        yield client


def test_strangers_get_the_login_only(server: LiveServer) -> None:
    with server.client_of(None) as stranger:
        for path in ("/", "/page/tasks", "/page/jobs/1", "/page/tasks/1"):
            page = stranger.get(path)
            assert 'action="/login"' in page.text
            assert "default-src 'none'" in page.headers["content-security-policy"]
            assert "unsafe" not in page.headers["content-security-policy"]
        assert stranger.get("/page/files/1").status_code == 404
        assert stranger.get("/page/assets/layout.html").status_code == 404
        assert stranger.get("/page/assets/..%2froutes.py").status_code == 404


def test_a_key_is_traded_for_a_cookie(server: LiveServer) -> None:
    with server.client_of(None) as client:
        entered = client.post("/login", data={"key": f" {server.key}\n"})
        assert (entered.status_code, entered.headers["location"]) == (303, "/")
        cookie = entered.headers["set-cookie"]
        assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(cookie.split("; "))
        assert server.key not in cookie
        assert "Log out" in client.get("/").text
        token = client.cookies["farm_page"]
        assert client.post("/logout").status_code == 303
        assert 'action="/login"' in client.get("/").text
        assert 'action="/login"' in client.get("/", headers={"Cookie": f"farm_page={token}"}).text


def test_wrong_keys_are_refused(server: LiveServer) -> None:
    with server.client_of(None) as client:
        # As a proxy on this machine tells it; the other tests come from elsewhere.
        client.headers["X-Forwarded-For"] = "203.0.113.9"
        for wrong in (
            *["", "x", server.key[:-1], "é\udcff".encode("utf-8", "replace")] * 2,
            "y",
            "z",
        ):
            answer = client.post("/login", data={"key": wrong})
            assert answer.status_code == 401
            assert "unknown or disabled" in answer.text
        answer = client.post("/login", data={"key": server.key})
        assert answer.status_code == 429
        assert 0 < int(answer.headers["retry-after"]) <= 60
        client.headers["X-Forwarded-For"] = "203.0.113.10"
        assert client.post("/login", data={"key": server.key}).status_code == 303


def test_a_key_that_may_not_read_is_told(server: LiveServer) -> None:
    key = server.new_key("writer", "task.write")
    with server.client_of(None) as client:
        answer = client.post("/login", data={"key": key})
        assert answer.status_code == 403
        assert "task.read" in answer.text


def test_wrong_tries_count_by_network() -> None:
    tries = WrongTries()
    for _ in range(10):
        assert tries.wait_seconds("2001:db8::1") == 0
        tries.note("2001:db8::1")
    assert 0 < tries.wait_seconds("2001:db8::2") <= 60
    assert tries.wait_seconds("2001:db8:0:1::1") == 0
    assert tries.wait_seconds("192.0.2.1") == 0
    for number in range(10_000):
        tries.note(f"10.0.{number // 256}.{number % 256}")
    assert len(tries._times) == 10_000


def test_a_job_is_shown_with_its_pictures(
    server: LiveServer, files: FileServer, visitor: httpx.Client
) -> None:
    job = _job(server, files.url_of("h264-720p.mp4"), tag=TAG, count=12)
    _ended(server, job)
    page = visitor.get("/").text
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    own = visitor.get(f"/page/jobs/{job}").text
    assert "pyav" in own
    pictures = re.findall(r'<img src="(/page/files/[^"]+)"', own)
    assert len(pictures) == 12
    assert "4 more" in page
    picture = visitor.get(pictures[0])
    assert picture.content[:3] == b"\xff\xd8\xff"
    assert picture.headers["content-type"] == "image/jpeg"
    assert picture.headers["x-content-type-options"] == "nosniff"
    assert picture.headers["content-disposition"].startswith("inline")
    with server.client_of(None) as other:
        assert other.get(pictures[0]).status_code == 404
        other.post("/login", data={"key": server.new_key("other")})
        assert other.get(pictures[0]).status_code == 404
        assert other.get(f"/page/jobs/{job}").status_code == 404
        assert "No jobs yet" in other.get("/").text


def test_a_failure_says_what_to_do(
    server: LiveServer, files: FileServer, visitor: httpx.Client
) -> None:
    job = _job(server, files.url_of("text.jpg"))
    assert _ended(server, job)["status"] == "error"
    page = visitor.get(f"/page/jobs/{job}").text
    assert "NOT_MEDIA" in page
    assert advice_on("NOT_MEDIA") in page


def test_what_was_fetched_is_never_shown_on_our_origin(
    server: LiveServer, files: FileServer, visitor: httpx.Client
) -> None:
    (files.folder / "evil.html").write_text("<script>alert(1)</script>")
    answer = server.client.post("/v2/import/url", json={"url": files.url_of("evil.html")})
    task = answer.raise_for_status().json()["data"]["id"]
    server.client.get(f"/sync/v2/tasks/{task}").raise_for_status()
    page = visitor.get("/page/tasks").text
    assert f"/page/tasks/{task}" in page
    assert "evil.html" not in page


def test_pages_of_jobs_follow_each_other(server: LiveServer, files: FileServer) -> None:
    key = server.new_key("many")
    with server.client_of(key) as client:
        for number in range(23):
            task = {"get": {"operation": "import/url", "url": files.url_of("text.jpg")}}
            body = {"tag": f"job {number}", "tasks": task}
            client.post("/v2/jobs", json=body).raise_for_status()
        client.post("/login", data={"key": key})
        first, second = client.get("/").text, client.get("/?page=2").text
    assert [len(re.findall("<article", page)) for page in (first, second)] == [20, 3]
    assert 'href="/?page=2"' in first
    assert 'href="/?page=1"' in second


def test_every_error_has_advice() -> None:
    codes = [
        code for code, kind in error_classes().items() if kind.__module__.startswith("farm.errors.")
    ]
    assert len(codes) > 30
    assert [code for code in codes if not advice_on(code.upper())] == []
    assert advice_on("NO_SUCH_CODE") == advice_on(None) == ""


@pytest.mark.parametrize(
    ("seconds", "took", "ago"),
    [
        (-1, "0 ms", "just now"),
        (0.0854, "85 ms", "just now"),
        (0.9999, "1.0 s", "just now"),
        (59.96, "1 min 0 s", "just now"),
        (245, "4 min 5 s", "4 min ago"),
        (3 * 3600 + 61, "3 h 1 min", "3 h ago"),
        (49 * 3600, "49 h 0 min", "2 days ago"),
    ],
)
def test_times_read_well(seconds: float, took: str, ago: str) -> None:
    assert (took_text(seconds), ago_text(seconds)) == (took, ago)


def test_sizes_read_well() -> None:
    sizes = (0, 999, 1000, 12_345, 999_600, 5_000_000_000)
    assert [size_text(each) for each in sizes] == [
        "0 B",
        "999 B",
        "1 kB",
        "12.3 kB",
        "1 MB",
        "5 GB",
    ]


def test_files_are_shown_by_what_they_are() -> None:
    kinds = ("image/webp", "video/mp4", "text/vtt", "image/svg+xml", None)
    files = tuple(
        StoredFile(f"f{number}", f"files/{number}", 1, content_type=kind, id=str(number))
        for number, kind in enumerate(kinds)
    )
    fields = dict.fromkeys(Task.__dataclass_fields__) | {"id": "t", "files": files, "percent": 100}
    task = Task(**fields | {"operation": "make", "status": Status.FINISHED})
    times = {"created_at": 0.0, "started_at": 1.0, "ended_at": 3.5}
    job = Job("j" * 36, "k", "qencode", None, Status.FINISHED, None, {}, **times, tasks=(task,))
    view = job_view(job, now=60.0, most_files=4)
    assert [file.kind for file in view.files] == ["picture", "clip", "text", "text"]
    assert (view.more_files, view.took, view.created.ago) == (1, "2.5 s", "1 min ago")
    assert (view.title, view.api) == ("jjjjjjjj", "Qencode")


@pytest.mark.timeout(120)
def test_a_browser_shows_what_happens(server: LiveServer, files: FileServer, browser: Any) -> None:
    key = server.new_key("browser")
    page = browser.new_context(color_scheme="dark").new_page()
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
    page.on("dialog", lambda dialog: said.append("error: a dialog opened"))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(server.url)
    page.fill("#key", key)
    page.click("text=Show my jobs")
    page.wait_for_selector("text=No jobs yet")
    with server.client_of(key) as client:
        # Made while the page is open: it comes up without a reload.
        slow = {"operation": "thumbnail", "input": "get", "output_format": "jpg", "count": 9}
        get = {"operation": "import/url", "url": files.url_of("slow.syn")}
        client.post("/v2/jobs", json={"tag": TAG, "tasks": {"get": get, "picture": slow}})
    page.wait_for_selector("article.processing", timeout=30_000)
    page.wait_for_selector("article.finished", timeout=30_000)
    assert page.inner_text("article h2") == TAG
    page.wait_for_function("document.querySelector('figure img').naturalWidth > 0")
    assert page.evaluate("getComputedStyle(document.documentElement).backgroundColor") != (
        "rgb(246, 245, 241)"
    )
    page.set_viewport_size({"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.click("text=Log out")
    page.wait_for_selector("#key")
    assert {
        url.partition("/page")[0].rstrip("/").removesuffix("/login").removesuffix("/logout")
        for url in asked
    } == {server.url}
    assert [each for each in said if each.startswith(("error", "warning"))] == []
    page.context.close()


def test_the_reference_shows_all_routes_and_loads_nothing_from_elsewhere(
    server: LiveServer, browser: Any
) -> None:
    page = browser.new_page()
    told: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: told.append(message.text))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{server.url}/docs")
    page.wait_for_selector(".opblock")
    shown = page.locator(".opblock-summary-path").all_inner_texts()
    page.close()
    documented = server.client.get("/openapi.json").json()["paths"]
    # Long paths hold invisible places to break at.
    assert {path.replace("\u200b", "") for path in shown} == set(documented)
    assert told == []
    assert all(url.startswith((server.url, "data:")) for url in asked)
    assert server.client.get("/docs/unknown.js").status_code == 404
