"""Tools for stills that bring their own parallelism: sharp and vipsthumbnail."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path

from benchmarks.peers import Done, Peer, Request, Way
from benchmarks.peers.command import count_pictures, first_line, run
from benchmarks.place import bench_folder

_SCRIPT = Path(__file__).with_name("sharp.mjs")


def sharp() -> Peer:
    """sharp in node, with as many pictures in flight as keep its threads busy."""
    modules = bench_folder() / "node" / "node_modules"
    if shutil.which("node") is None or not (modules / "sharp").is_dir():
        raise FileNotFoundError("no sharp")
    version = json.loads((modules / "sharp" / "package.json").read_text())["version"]

    def unit(request: Request, _: int) -> Done:
        told = run(["node", str(_SCRIPT), str(modules), json.dumps(asdict(request))])
        answer = json.loads(told)
        return Done(answer["pictures"], seconds=answer["seconds"])

    return Peer(version, Way.OWN, lambda request: partial(unit, request))


def vipsthumbnail() -> Peer:
    """vipsthumbnail with many names in one command, one command for each core."""
    if shutil.which("vipsthumbnail") is None:
        raise FileNotFoundError("no command vipsthumbnail")

    def unit(request: Request, units: int) -> Done:
        # A name of its own for each, for libvips keeps what it has opened.
        source = Path(request.source)
        links = [Path(request.scratch) / f"{n}{source.suffix}" for n in range(units)]
        for link in links:
            link.symlink_to(source)
        outs = [link.with_name(f"t-{link.stem}.{request.format}") for link in links]
        options = "" if request.format == "png" else f"[Q={request.quality}]"
        words = ["vipsthumbnail", "--size", f"{request.width}x{request.height}",
                 "-o", f"t-%s.{request.format}{options}"]  # fmt: skip
        shares = [links[first :: request.workers] for first in range(request.workers)]
        with ThreadPoolExecutor(request.workers) as executor:
            list(executor.map(lambda share: run([*words, *map(str, share)]), shares))
        for link in links:
            link.unlink()
        return Done(count_pictures(outs))

    version = first_line(["vipsthumbnail", "--version"]).removeprefix("vips-")
    return Peer(version, Way.OWN, lambda request: partial(unit, request))
