"""The pages in a real browser: what is found, turned, scrubbed, and that names do nothing."""

import io
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from PIL import Image

from farm.report import ReportOptions, write_report
from farm.report.gallery import PAGE_ENTRIES
from tests.browser import browser
from tests.report.ledgers import done, failed, make_ledger, picture, store_picture, store_tiles, vtt

__all__ = ["browser"]

pytestmark = pytest.mark.timeout(180)

COLORS = ("#c02020", "#20a040", "#2040c0", "#d0b020")
SECONDS = (2.0, 1.0, 1.0, 4.0)  # how long each of them lasts
ENTRIES = 260
_HOSTILE = (
    '<script>document.title = "run"</script>',
    '" onload="document.title=1" x="',
    "<img src=x onerror=\"document.title='run'\">",
    "javascript:document.title='run'",
    "]]>--></script><svg onload=document.title=1>",
    "\u202egpj.exe\u2066",
    "__proto__",
    "{{ 7 * 7 }}",
)

_ENGINE = '"><b onclick="x">'


def _cues() -> str:
    lines, at = ["WEBVTT"], 0.0
    for number, seconds in enumerate(SECONDS):
        start, at = at, at + seconds
        lines.append(
            f"00:00:{start:06.3f} --> 00:00:{at:06.3f}\nsheet.png#xywh={32 * number},0,32,18"
        )
    return "\n\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a report over pictures, a storyboard, failures and hostile names."""
    root = tmp_path_factory.mktemp("site")
    green = store_picture(f"{root}/a 100%#é.png", Image.new("RGB", (64, 36), "#20a040"))
    sheet = store_tiles(f"{root}/sheet.png", COLORS)
    gone = picture(f"{root}/gone.jpg")
    clip = picture(f"{root}/clip.mp4", index=2, size=(320, 180))
    lost = (picture(f"{root}/lost.jpg", output=1), vtt(f"{root}/lost.vtt", "WEBVTT\n"))
    records = [
        done(1, green, sheet, vtt(f"{root}/sheet.vtt", _cues())),
        done(2, gone, clip, *lost, warnings=("salvaged", "decoder: odd <b>words</b>")),
        *(done(row, green, engine="turbojpeg" if row % 2 else "pyav") for row in range(3, ENTRIES)),
        *(failed(ENTRIES + n, ("corrupt", "timeout")[n % 2], text, id=text, source=text, tag=text)
          for n, text in enumerate(_HOSTILE)),
        done(ENTRIES + 50, green, engine=_ENGINE, engine_version=_HOSTILE[0], id=_HOSTILE[1],
             warnings=_HOSTILE, notes={"__proto__": _HOSTILE[0]}, worker=_HOSTILE[4]),
    ]  # fmt: skip
    job = {"manifest": _HOSTILE[0], "destination": _HOSTILE[2], "outputs": [{"kind": _HOSTILE[0]}]}
    ledger = make_ledger(f"{root}/_ledger", records, job=job)
    write_report(ledger, f"{root}/_report", ReportOptions())
    return root


class _Strict(SimpleHTTPRequestHandler):
    """Serves files as a careful server does, without a word."""

    def end_headers(self) -> None:
        self.send_header("Content-Security-Policy", "default-src 'self'")
        self.send_header("X-Content-Type-Options", "nosniff")
        super().end_headers()

    def log_message(self, *_: object) -> None: ...


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[Callable[[str], str]]:
    """The report's address by `file` or by `http`."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Strict, directory=str(site)))
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    roots = {"file": f"file://{site}", "http": f"http://127.0.0.1:{server.server_port}"}
    yield lambda scheme: f"{roots[scheme]}/_report/index.html"
    server.shutdown()
    server.server_close()


@pytest.fixture
def open_page(browser: Any, address: Callable[[str], str]) -> Iterator[Callable[..., Any]]:
    """Opens the report; at the end nothing went wrong, nothing ran and nothing was asked for."""
    opened: list[Any] = []
    told: list[str] = []
    asked: list[str] = []

    def note(message: Any) -> None:
        # But for the picture that is gone on purpose.
        if not message.location["url"].endswith("/gone.jpg"):
            told.append(f"{message.type}: {message.text}")

    def open_it(scheme: str = "file", hash: str = "", **context: Any) -> Any:
        page = browser.new_context(viewport={"width": 1100, "height": 900}, **context).new_page()
        page.on("console", note)
        page.on("pageerror", lambda error: told.append(f"error: {error}"))
        page.on("dialog", lambda dialog: told.append("error: a dialog opened"))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(address(scheme) + hash)
        page.wait_for_selector("#entries .entry")
        opened.append(page)
        return page

    yield open_it
    for page in opened:
        assert page.title().startswith("Report: ")
        page.context.close()
    assert told == []
    assert {url.partition("://")[0] for url in asked} <= {"file", "http", "data"}
    assert not [url for url in asked if url.startswith("http") and "//127.0.0.1:" not in url]


def _names(page: Any) -> list[str]:
    return page.locator("#entries .entry h3").all_inner_texts()


def _wait_found(page: Any, words: str) -> None:
    page.wait_for_function(
        "words => document.getElementById('found').textContent === words", arg=words
    )


@pytest.mark.parametrize("scheme", ["file", "http"])
def test_pictures_are_shown(open_page: Callable[..., Any], scheme: str) -> None:
    page = open_page(scheme, "#q=clip-00001")
    _wait_found(page, "1 to 1 of 1 found, of 268")
    shown = page.locator("img.picture")
    shown.wait_for()
    page.wait_for_function("() => document.querySelector('img.picture').naturalWidth === 64")
    assert [shown.get_attribute(name) for name in ("loading", "width", "height")] == [
        "lazy",
        "64",
        "36",
    ]
    assert "0: 64\u00d736, png, 500 B, at 0:01.5" in page.inner_text("#entries figcaption >> nth=0")
    assert page.locator(".stages li").count() == 6
    assert page.locator("svg.plot").count() == 3


@pytest.mark.parametrize("scheme", ["file", "http"])
def test_filters_find_entries_of_all_pages(open_page: Callable[..., Any], scheme: str) -> None:
    page = open_page(scheme)
    _wait_found(page, f"1 to {PAGE_ENTRIES} of 268")
    assert page.locator(".entry.failed").count() == len(_HOSTILE)
    page.select_option("select[name=code]", "timeout")
    _wait_found(page, "1 to 4 of 4 found, of 268")
    assert set(page.locator(".failure code").all_inner_texts()) == {"timeout"}
    page.select_option("select[name=code]", "")
    page.select_option("select[name=engine]", "turbojpeg")
    _wait_found(page, "1 to 100 of 129 found, of 268")
    page.fill("input[name=q]", "CLIP 0025")
    _wait_found(page, "1 to 6 of 6 found, of 268")
    assert _names(page) == [f"clip-{row:05d}" for row in (25, 251, 253, 255, 257, 259)]
    page.click("#filters button[type=reset]")
    _wait_found(page, f"1 to {PAGE_ENTRIES} of 268")
    page.select_option("select[name=output]", "1")
    _wait_found(page, "1 to 2 of 2 found, of 268")
    assert page.locator(".scrub").count() == 1
    assert page.locator("img.picture").count() == 0
    page.go_back()
    _wait_found(page, f"1 to {PAGE_ENTRIES} of 268")


def test_pages_follow_each_other(open_page: Callable[..., Any]) -> None:
    page = open_page()
    assert page.is_disabled("#previous")
    page.click("#next")
    _wait_found(page, "101 to 200 of 268")
    page.click("#next-below")
    _wait_found(page, "201 to 268 of 268")
    assert len(_names(page)) == 68
    assert page.is_disabled("#next")
    page.reload()
    _wait_found(page, "201 to 268 of 268")
    page.select_option("select[name=order]", "row")
    _wait_found(page, "1 to 100 of 268")
    assert _names(page)[:2] == ["clip-00001", "clip-00002"]


def test_a_failure_in_the_table_leads_to_its_entries(open_page: Callable[..., Any]) -> None:
    page = open_page()
    page.click("#failures a:has-text('corrupt')")
    _wait_found(page, "1 to 4 of 4 found, of 268")
    assert page.input_value("select[name=code]") == "corrupt"
    assert "replace the file" in page.inner_text("#failures")


def _color(page: Any) -> tuple[int, ...]:
    """The colour in the middle of the storyboard."""
    shot = Image.open(io.BytesIO(page.locator(".scrub").screenshot())).convert("RGB")
    found = shot.getpixel((shot.width // 4, shot.height // 3))
    assert isinstance(found, tuple)
    return found


def _rgb(color: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(color[1:]))


@pytest.mark.parametrize("scheme", ["file", "http"])
def test_a_storyboard_is_scrubbed_by_pointer_and_keys(
    open_page: Callable[..., Any], scheme: str
) -> None:
    page = open_page(scheme, "#output=1")
    page.wait_for_function("() => document.querySelector('.scrub img')?.naturalWidth === 128")
    board = page.locator(".scrub")
    page.evaluate("document.querySelector('.scrub .clock').style.visibility = 'hidden'")
    board.scroll_into_view_if_needed()
    place = board.bounding_box()
    for moment, number in ((0.5, 0), (2.4, 1), (3.9, 2), (7.9, 3), (1.9, 0)):
        page.mouse.move(place["x"] + place["width"] * moment / sum(SECONDS), place["y"] + 9)
        assert _color(page) == _rgb(COLORS[number])
        assert board.get_attribute("aria-valuenow") == str(number + 1)
    board.focus()
    for key, number in (("End", 3), ("ArrowLeft", 2), ("ArrowRight", 3), ("ArrowRight", 3),
                        ("Home", 0), ("PageUp", 1)):  # fmt: skip
        page.keyboard.press(key)
        assert _color(page) == _rgb(COLORS[number])
    assert board.get_attribute("role") == "slider"
    assert board.get_attribute("aria-valuetext") == "0:02.0 of 0:08.0"


def test_what_is_gone_is_told_and_clips_wait(open_page: Callable[..., Any]) -> None:
    page = open_page(hash="#q=clip-00002")
    page.wait_for_function("() => document.querySelectorAll('.gone').length === 2")
    told = page.locator(".gone").all_inner_texts()
    assert told[0] == "the file is gone, or cannot be read from here"
    assert told[1] == "its WebVTT file names none of its pictures"
    clip = page.locator("video")
    assert [clip.get_attribute(name) for name in ("preload", "width")] == ["none", "320"]
    assert page.locator(".chips li").all_inner_texts() == ["salvaged", "decoder: odd <b>words</b>"]


@pytest.mark.parametrize("scheme", ["file", "http"])
def test_hostile_names_are_text(open_page: Callable[..., Any], scheme: str) -> None:
    page = open_page(scheme)
    shown = _names(page)[: len(_HOSTILE)]
    bidi = "\\u202egpj.exe\\u2066"
    assert shown == [bidi if "gpj" in text else text for text in _HOSTILE]
    assert page.locator(".failure bdi").all_inner_texts() == shown
    page.fill("input[name=q]", "onload=")
    _wait_found(page, "1 to 3 of 3 found, of 268")
    page.locator("details").evaluate_all("all => all.forEach(each => each.open = true)")
    for tag in ("script:not([src])", "b", "svg:not(.plot)", "[onload]", "[onerror]"):
        assert page.locator(f"main {tag}").count() == 0, tag
    links = page.locator("a").evaluate_all("all => all.map(each => each.protocol)")
    assert set(links) <= {"file:", "http:"}
    engine = page.locator("select[name=engine] option").evaluate_all(
        "all => all.map(each => each.value)"
    )
    assert _ENGINE in engine
    page.select_option("select[name=engine]", _ENGINE)
    page.fill("input[name=q]", "")
    _wait_found(page, "1 to 1 of 1 found, of 268")


def test_it_is_dark_where_people_like_it_and_narrow(open_page: Callable[..., Any]) -> None:
    grounds = set()
    for scheme in ("light", "dark"):
        page = open_page(color_scheme=scheme)
        grounds.add(page.evaluate("getComputedStyle(document.documentElement).backgroundColor"))
        page.set_viewport_size({"width": 360, "height": 740})
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert len(grounds) == 2
