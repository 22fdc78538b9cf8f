"""The documents as tests read them: their blocks of code and the commands in these."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])

_FENCE = re.compile(r"^```(\w*)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_TITLE = re.compile(r'title="([^"]+)"')


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block; `title` is the file that it shows, where it says so."""

    language: str
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Command:
    """A command of a document, as words and as it is written, without its comment."""

    document: str
    words: tuple[str, ...]

    @property
    def text(self) -> str:
        """The words in one line."""
        return shlex.join(self.words)


def read(name: str) -> str:
    """A file of the project."""
    return (ROOT / name).read_text("utf-8")


def blocks(text: str) -> list[Block]:
    """All fenced blocks of a document, in order."""
    found = []
    for language, rest, body in _FENCE.findall(text):
        title = _TITLE.search(rest)
        found.append(Block(language, title[1] if title else "", body))
    return found


def without_blocks(text: str) -> str:
    """The document without what stands in fenced blocks."""
    return _FENCE.sub("", text)


def commands(document: Path) -> Iterator[Command]:
    """Our commands, those of Dask and of scripts/ in the blocks that show a terminal."""
    name = document.relative_to(ROOT).as_posix()
    for block in blocks(document.read_text("utf-8")):
        if block.language not in ("", "console", "bash", "sh"):
            continue
        for line in block.text.replace("\\\n", " ").splitlines():
            if not re.match(r"(\$ )?(\w+=\S* )*(farm|dask|scripts/\w+)( |$)", line):
                continue
            words = shlex.split(line.removeprefix("$ "), comments=True)
            while "=" in words[0]:  # variables of the environment
                words.pop(0)
            yield Command(name, tuple(words))
