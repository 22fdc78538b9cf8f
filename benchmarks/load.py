"""The command behind scripts/load: a service under many callers, with rates, times and memory."""

import argparse
import asyncio
import base64
import io
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import yaml
from PIL import Image

_FARM = (sys.executable, "-m", "farm")
_START_SECONDS = 120.0
_POLL_SECONDS = 0.5
_MOST_WAIT_SECONDS = 5.0
_SAMPLE_SECONDS = 1.0
_PICTURES = 8
_MIB = 1 << 20


@dataclass(slots=True)
class Tally:
    """What the callers saw."""

    statuses: Counter[str] = field(default_factory=Counter)
    seconds: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    ends: Counter[str] = field(default_factory=Counter)
    memory: list[tuple[int, int]] = field(default_factory=list)
    cpu_seconds: float = 0.0

    @property
    def faults(self) -> list[str]:
        """What may not happen: answers but 2xx and 429, jobs that failed."""
        strange = [each for each in self.statuses if not re.search(r" (2\d\d|429)$", each)]
        return strange + [f"job {each}" for each in self.ends if each != "finished"]


def main() -> None:
    """Parses the command line, starts a service, and lets the callers loose; exits 1 on faults."""
    parser = argparse.ArgumentParser(prog="scripts/load", description=__doc__)
    parser.add_argument("--callers", type=int, default=200, help="at once; default 200")
    parser.add_argument("--seconds", type=float, default=60.0, help="default 60")
    parser.add_argument("--queue", type=int, default=1000, help="queue_tasks; default 1000")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="farm-load-") as folder:
        config = Path(folder) / "serve.yaml"
        settings = {"queue_tasks": options.queue, "creations_per_minute": 1_000_000}
        config.write_text(yaml.safe_dump({"data": f"{folder}/data", **settings}))
        key = subprocess.check_output([*_FARM, "key", "add", "load", "--config", config], text=True)
        with _served(config) as (process, url):
            tally = asyncio.run(_load(url, key.strip(), process, options))
    _report(tally, options)
    sys.exit(1 if tally.faults else 0)


@contextmanager
def _served(config: Path) -> Iterator[tuple[psutil.Process, str]]:
    """A service of its own; what it logs goes where this command's errors go."""
    words = [*_FARM, "serve", "--config", str(config), "--port", "0"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            if not line.startswith("listening on "):
                sys.exit("the service did not start")
            yield psutil.Process(process.pid), line.split()[-1]
        finally:
            process.terminate()
            process.wait(_START_SECONDS)


async def _load(url: str, key: str, process: psutil.Process, options: argparse.Namespace) -> Tally:
    tally = Tally()
    bodies = [_job(number) for number in range(_PICTURES)]
    until = time.monotonic() + options.seconds
    # Idle connections are closed here before the service does, which would cross a request.
    limits = httpx.Limits(max_connections=options.callers, keepalive_expiry=2)
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(
        base_url=url, headers=headers, limits=limits, timeout=60, trust_env=False
    ) as client:
        callers = [
            _call(client, tally, bodies[number % _PICTURES], until)
            for number in range(options.callers)
        ]
        await asyncio.gather(_watch(process, tally, until), *callers)
    return tally


async def _call(
    client: httpx.AsyncClient, tally: Tally, body: dict[str, Any], until: float
) -> None:
    """One caller: makes a thumbnail, reads until it is there, and begins anew."""
    await asyncio.sleep(random.random())
    while time.monotonic() < until:
        began = time.monotonic()
        made = await _ask(client, tally, "POST", "/v2/jobs", json=body)
        if made.status_code == 429:
            wait = float(made.headers.get("retry-after", "1"))
            await asyncio.sleep(min(wait, _MOST_WAIT_SECONDS) * (0.5 + random.random()))
        if made.status_code != 201:
            continue
        job = made.json()["data"]["id"]
        while True:
            read = await _ask(client, tally, "GET", f"/v2/jobs/{job}")
            status = read.json()["data"]["status"] if read.status_code == 200 else "unread"
            if status in ("finished", "error"):
                tally.ends[status] += 1
                tally.seconds["job, made and read"].append(time.monotonic() - began)
                break
            await asyncio.sleep(_POLL_SECONDS)


async def _ask(
    client: httpx.AsyncClient, tally: Tally, method: str, path: str, **options: Any
) -> httpx.Response:
    began = time.monotonic()
    try:
        answer = await client.request(method, path, **options)
    except httpx.TransportError as error:
        tally.statuses[f"{method} {type(error).__name__}"] += 1
        return httpx.Response(0)
    what = f"{method} /v2/jobs" + ("" if path == "/v2/jobs" else "/ID")
    tally.statuses[f"{what} {answer.status_code}"] += 1
    tally.seconds[what].append(time.monotonic() - began)
    return answer


def _job(number: int) -> dict[str, Any]:
    """A job with a picture in it: no other server takes part."""
    picture = io.BytesIO()
    Image.effect_noise((640, 480), 10 + number % 60).convert("RGB").save(picture, "JPEG")
    file = base64.b64encode(picture.getvalue()).decode()
    thumbnail = {"operation": "thumbnail", "input": "get", "output_format": "jpg", "width": 160}
    get = {"operation": "import/base64", "file": file, "filename": f"{number}.jpg"}
    return {"tasks": {"get": get, "thumbnail": thumbnail}}


async def _watch(process: psutil.Process, tally: Tally, until: float) -> None:
    """Notes the memory of the service's process, and of all that it started."""
    before = sum(process.cpu_times()[:2])
    while time.monotonic() < until:
        await asyncio.sleep(_SAMPLE_SECONDS)
        tally.cpu_seconds = sum(process.cpu_times()[:2]) - before
        others = 0
        for child in process.children(recursive=True):
            try:
                others += child.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        tally.memory.append((process.memory_info().rss, others))


def _report(tally: Tally, options: argparse.Namespace) -> None:
    _say(f"{options.callers} callers, {options.seconds:g} s")
    for what, count in sorted(tally.statuses.items()):
        _say(f"  {what:<22} {count:>7}  {count / options.seconds:8.1f} /s")
    for what, seconds in tally.seconds.items():
        ordered = sorted(seconds)
        median, p95 = statistics.median(ordered), ordered[int(len(ordered) * 0.95)]
        _say(f"  {what:<22} median {median * 1000:.0f} ms, p95 {p95 * 1000:.0f} ms")
    finished = tally.ends["finished"]
    _say(f"  jobs finished          {finished:>7}  {finished / options.seconds:8.1f} /s")
    _say(f"  the service's own CPU  {tally.cpu_seconds / options.seconds:.2f} cores")
    quarter = len(tally.memory) // 4
    for name, part in (("service", 0), ("lanes and worker", 1)):
        sizes = [sample[part] / _MIB for sample in tally.memory]
        _say(
            f"  memory of the {name}: {sizes[0]:.0f} MiB at first, {sizes[quarter]:.0f} after a "
            f"quarter, {sizes[-1]:.0f} at last, {max(sizes):.0f} at most"
        )
    _say("faults: " + (", ".join(tally.faults) or "none"))


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


if __name__ == "__main__":
    main()
