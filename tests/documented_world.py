"""A folder in which the commands of a document find what they name: files, buckets, a cluster."""

import json
import shutil
import socket
from dataclasses import dataclass
from pathlib import Path

from farm import storage
from tests.documents import Command, blocks, read
from tests.s3 import S3Server

ARCHIVE = (
    "videos/h264-720p.mp4",
    "videos/h264-rotated-90.mp4",
    "pictures/baseline.jpg",
    "pictures/exif-6.jpg",
    "broken/empty.jpg",
    "broken/truncated.png",
)
"""What a world's `archive` has of the sample archive; its other files take the most time."""


@dataclass(slots=True)
class World:
    """A document's folder, and what stands there for the places that it names.

    `places` are the texts that are replaced, in words and in files, in this order.
    """

    folder: Path
    places: dict[str, str]

    def local(self, text: str) -> str:
        """The text with this world's places."""
        for name, place in self.places.items():
            text = text.replace(name, place)
        return text

    def words(self, command: Command) -> list[str]:
        """The command's words behind its name."""
        words = [self.local(word) for word in command.words[1:]]
        if "--scheduler" in words and words[0] == "run":
            # What was made before, without it, is to be made by the cluster too.
            words.append("--force")
        return words


def make_world(folder: Path, document: str, *, clip: Path, samples: Path, s3: S3Server) -> World:
    """Makes the folder; the job is the document's own, else that of the README."""
    top = folder / "top"
    world = World(
        folder,
        {
            "s3://archive-thumbnails/": f"{s3.new_bucket()}/",
            "s3://archive/": f"{s3.new_bucket()}/",
            "s3://thumbnails/": f"{s3.new_bucket()}/",
            "/var/lib/thumbfarm": f"{top}/thumbfarm",
            "/tmp/report": f"{top}/report",
            "8080": "0",
            "9108": str(_free_port()),
        },
    )
    for name in ("b.mov", "videos/c.mp4"):
        storage.put(world.local(f"s3://archive/{name}"), clip.read_bytes())
    for name in ("clip.mp4", "clips/a.mp4", "top/archive/a.mp4", "top/archive/b.mp4"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(clip, path)
    _copy_archive(samples, folder / "archive")
    (folder / "list.csv").write_text("source\nclips/a.mp4\n")
    rows = [block.text for block in blocks(read("README.md")) if block.text.startswith('{"source"')]
    (folder / "list.jsonl").write_text(world.local(rows[0]))
    (folder / "job.yaml").write_text(world.local(_job(document) or _job("README.md")))
    return world


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _job(document: str) -> str:
    """The first job of a document."""
    found = (block.text for block in blocks(read(document)) if block.language == "yaml")
    return next((text for text in found if "manifest:" in text), "")


def _copy_archive(samples: Path, folder: Path) -> None:
    for name in ARCHIVE:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(samples / name, folder / name)
    rows = ({"source": name, "id": name} for name in ARCHIVE)
    (folder / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def absolute(words: list[str], folder: Path) -> list[str]:
    """The words with the top of the file system moved to `top` of a folder."""
    moved = (folder / "top").as_posix()
    return [f"{moved}{word}" if word in ("/archive/", "/thumbnails") else word for word in words]
