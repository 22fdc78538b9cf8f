"""The documents as a site: it builds without a warning, and all of its links lead somewhere."""

import functools
import http.server
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from tests.browser import browser
from tests.documents import ROOT

__all__ = ["browser"]

pytestmark = pytest.mark.timeout(300)

_ASSETS = {
    ("img", "src"),
    ("link", "href"),
    ("script", "src"),
    ("source", "src"),
    ("iframe", "src"),
}


class _Page(HTMLParser):
    """The anchors of a page, what it loads, and where it leads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.loads: set[str] = set()
        self.leads: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("id", "name") and value:
                self.anchors.add(value)
            elif (tag, name) in _ASSETS and value:
                self.loads.add(value)
            elif (tag, name) == ("a", "href") and value:
                self.leads.add(value)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site."""
    pytest.importorskip("material")
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [ROOT / "scripts/docs", "--site-dir", folder],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHON": sys.executable},
    )
    assert built.returncode == 0, built.stderr
    assert "WARNING" not in built.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, _Page]:
    """All of its pages."""
    return {path: _Page(path.read_text("utf-8")) for path in site.rglob("*.html")}


def test_every_document_is_a_page(site: Path) -> None:
    for document in ROOT.glob("docs/*.md"):
        assert (site / f"{document.stem}.html").is_file()
    for name in ("CHANGELOG.html", "CONTRIBUTING.html", "LICENSE.html", "configs/job.yaml.html"):
        assert (site / "project" / name).is_file()
    assert "shard_entries" in (site / "project/configs/job.yaml.html").read_text()


def test_a_page_that_leads_nowhere_is_an_error(tmp_path: Path) -> None:
    pytest.importorskip("material")
    for name in ("docs", "scripts"):
        shutil.copytree(ROOT / name, tmp_path / name)
    for name in ("CHANGELOG.md", "CONTRIBUTING.md"):
        shutil.copy(ROOT / name, tmp_path)
    with (tmp_path / "docs/index.md").open("a") as page:
        page.write("\n[nowhere](nowhere.md) [no heading](install.md#no-heading)\n")
    built = subprocess.run(
        [tmp_path / "scripts/docs"],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHON": sys.executable},
    )
    assert built.returncode == 1
    assert "nowhere.md" in built.stderr
    assert "no-heading" in built.stderr


def test_pages_load_nothing_from_elsewhere(site: Path, pages: dict[Path, _Page]) -> None:
    for path, page in pages.items():
        for address in page.loads:
            parts = urlsplit(address)
            assert not parts.netloc, f"{path.name} loads {address}"
            if parts.scheme != "data":
                assert _file(site, path, parts.path).is_file(), f"{path.name} loads {address}"
    for sheet in site.rglob("*.css"):
        loaded = re.findall(r"""(?:url\(|@import)\s*["']?((?!data:)[^"')\s]+)""", sheet.read_text())
        assert loaded == [], sheet


def test_links_and_anchors_resolve(site: Path, pages: dict[Path, _Page]) -> None:
    followed = 0
    for path, page in pages.items():
        for address in page.leads:
            parts = urlsplit(address)
            if parts.netloc or parts.scheme:
                continue
            target = _file(site, path, parts.path)
            assert target.is_file(), f"{path.name} leads to {address}"
            anchor = unquote(parts.fragment)
            assert not anchor or anchor in pages[target].anchors, f"{path.name} leads to {address}"
            followed += 1
    assert followed > 500


def _file(site: Path, page: Path, path: str) -> Path:
    """The file that a relative address means; the page for what is missing counts from the top."""
    if not path:
        return page
    target = (site if path.startswith("/") else page.parent) / unquote(path).lstrip("/")
    return (target / "index.html" if target.is_dir() else target).resolve()


def test_pages_say_nothing_of_where_they_were_built(site: Path) -> None:
    for path in site.rglob("*"):
        if path.suffix in (".html", ".json"):
            assert str(ROOT) not in path.read_text("utf-8"), path


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def served(site: Path) -> Iterator[str]:
    """The address of the site on a server of ours."""
    handler = functools.partial(_Quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_browser_shows_it_and_finds_words(browser: Any, served: str) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    asked: list[str] = []
    wrong: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("requestfailed", lambda request: wrong.append(request.url))
    page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    for name in ("index", "outputs", "running", "errors", "project/configs/job.yaml"):
        page.goto(f"{served}/{name}.html")
        images = page.eval_on_selector_all("article img", "found => found.map(e => e.naturalWidth)")
        assert all(images), name
    assert page.goto(f"{served}/outputs.html") is not None
    assert page.locator("article img").count() >= 7
    page.fill("input[data-md-component=search-query]", "quarantine")
    page.wait_for_selector(".md-search-result__item", timeout=60_000)
    page.close()
    assert wrong == []
    assert {urlsplit(url).netloc for url in asked} == {urlsplit(served).netloc}
