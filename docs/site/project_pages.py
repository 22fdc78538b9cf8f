"""Makes pages of the other files that documents link to: job files, examples, the changelog."""

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
SITE = DOCS / "site"
FOLDER = "project"

_LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#)([^)\s#]+)")
_LANGUAGES = {"Dockerfile": "docker", ".css": "css", ".html": "html", ".js": "js", ".json": "json"}
_LANGUAGES |= {".py": "python", ".service": "ini", ".sh": "bash", ".yaml": "yaml", ".yml": "yaml"}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds a page for each file or folder that lies elsewhere and that a page links to."""
    open_uris = [page.src_uri for page in files.documentation_pages()]
    open_uris += [f"{FOLDER}/CHANGELOG.md", f"{FOLDER}/CONTRIBUTING.md"]
    seen: set[str] = set()
    while open_uris:
        if (uri := open_uris.pop()) in seen:
            continue
        seen.add(uri)
        path = _path_of(uri)
        if uri.startswith(f"{FOLDER}/"):
            files.append(_page_of(path, uri, config))
        if path.suffix == ".md":
            open_uris += [_uri_of(target) for target in _targets(path) if _is_outside(target)]
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Leads links to files outside of docs/ to their pages, and links on these back into docs/."""
    uri = page.file.src_uri
    folder = _path_of(uri).parent

    def lead(link: re.Match[str]) -> str:
        target = (folder / link[1]).resolve()
        if not target.exists() or not (_is_outside(target) or uri.startswith(f"{FOLDER}/")):
            return link[1]
        return posixpath.relpath(_uri_of(target), posixpath.dirname(uri) or ".")

    return _LINK.sub(lead, markdown)


def _targets(path: Path) -> Iterator[Path]:
    """What a document links to in the project, without addresses and anchors."""
    for link in _LINK.findall(path.read_text("utf-8")):
        target = (path.parent / link).resolve()
        if target.exists():
            yield target


def _is_outside(target: Path) -> bool:
    is_document = target.is_relative_to(DOCS) and not target.is_relative_to(SITE)
    return target.is_relative_to(ROOT) and not is_document


def _uri_of(target: Path) -> str:
    """Where a page lies, from the folder of the documents."""
    if not _is_outside(target):
        return target.relative_to(DOCS).as_posix()
    name = target.relative_to(ROOT).as_posix()
    return f"{FOLDER}/{name}" if target.suffix == ".md" else f"{FOLDER}/{name}.md"


def _path_of(uri: str) -> Path:
    """What a page shows: the inverse of `_uri_of`."""
    if not uri.startswith(f"{FOLDER}/"):
        return DOCS / uri
    path = ROOT / uri.removeprefix(f"{FOLDER}/")
    return path if path.exists() else path.with_suffix("")


def _page_of(path: Path, uri: str, config: MkDocsConfig) -> File:
    if path.suffix == ".md":
        content = path.read_text("utf-8")
    else:
        shown = [path] if path.is_file() else sorted(filter(Path.is_file, path.rglob("*")))
        name = path.relative_to(ROOT).as_posix()
        content = "\n\n".join([f"# {name}", *(_listing(each, path) for each in shown)])
    return File.generated(config, uri, content=content, inclusion=InclusionLevel.NOT_IN_NAV)


def _listing(path: Path, shown: Path) -> str:
    """A file as a block of code, under its name where it is one of several."""
    language = _LANGUAGES.get(path.suffix) or _LANGUAGES.get(path.name.partition(".")[0], "text")
    heading = "" if path == shown else f"## {path.relative_to(shown).as_posix()}\n\n"
    # Six, so that fences in the file do not end it.
    return f"{heading}``````{language}\n{path.read_text('utf-8').rstrip()}\n``````"
