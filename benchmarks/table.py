"""Writes a result as Markdown tables: a short one of goals, long ones of every case."""

import itertools
from collections.abc import Iterator, Sequence
from statistics import median

from benchmarks import goals
from benchmarks.case import GROUPS, Case, Work
from benchmarks.contest import Cell
from benchmarks.result import PRODUCT, Result, cpu_each, seconds_each

_SUBSETS = {"one-key-20min": "h264-720p-20min", "one-key-hevc": "hevc-1080p"}


def short_table(result: Result, cases: Sequence[Case]) -> str:
    """For each group with a goal: thumbfarm's rate and how many times it is faster than each peer.

    All peers are named, not only those that a goal is about: a reader wants to know the fastest.
    """
    rows = []
    for group in goals.SPEED:
        members = _members(cases, group)
        peers = dict.fromkeys(peer for case in members for peer in case.peers if peer != "bare")
        if (rate := _rate(result, members)) is None:
            continue
        said = ", ".join(
            f"{peer} {ratio.median:.2g}x"
            for peer in peers
            if (ratio := result.ratio(members, peer)) is not None
        )
        rows.append([GROUPS[group], f"{rate:.1f}", said or "none could be measured"])
    head = ["task", "thumbnails/s", "times faster than"]
    return "\n".join([*_table(head, rows), "", _measured_on(result)])


def long_tables(result: Result, cases: Sequence[Case]) -> str:
    """Goals and what became of them, the limit, remote sources, and all cases."""
    parts: list[str] = ["### Goals", "", *_goal_table(result, cases), ""]
    parts += ["### Against the limit", "", *_limit_table(result, cases), ""]
    parts += ["### Remote sources", "", *_remote_table(result, cases), ""]
    for group, members in itertools.groupby(
        sorted(cases, key=lambda case: list(GROUPS).index(case.group)), lambda case: case.group
    ):
        if (rows := list(_case_rows(result, list(members)))) and group != "remote":
            head = ["file", "by", "thumbnails/s", "CPU ms each", "frames each", "MB read each",
                    "memory MB"]  # fmt: skip
            parts += [f"### {GROUPS[group][0].upper()}{GROUPS[group][1:]}", "",
                      *_table(head, rows), ""]  # fmt: skip
    parts += ["### Measured on", "", _measured_on(result), "", *_version_lines(result)]
    return "\n".join(parts)


def _members(cases: Sequence[Case], group: str) -> list[Case]:
    """The cases of a group, or the one case of another that a goal of its own singles out."""
    if name := _SUBSETS.get(group):
        return [case for case in cases if case.group == "one-key" and case.name == name]
    return [case for case in cases if case.group == group]


def _rate(result: Result, cases: Sequence[Case]) -> float | None:
    cells = [result.cell(case, PRODUCT) for case in cases]
    found = [seconds_each(cell) for cell in cells if cell is not None]
    return len(found) / sum(found) if found else None


def _goal_table(result: Result, cases: Sequence[Case]) -> list[str]:
    rows = []
    for group, peers in goals.SPEED.items():
        members = _members(cases, group)
        for peer, goal in peers.items():
            if (ratio := result.ratio(members, peer)) is None:
                continue
            told = f"{ratio.median:.2f}x ({ratio.least:.2f} to {ratio.most:.2f})"
            part = f" ({ratio.cases} of {ratio.of_cases})" if ratio.cases < ratio.of_cases else ""
            verdict = "yes" if ratio.median >= goal else "no"
            rows.append(
                [GROUPS[group] + part, peer, told, f"{ratio.cpu:.2f}x", f"{goal:g}x", verdict]
            )
    return _table(["task", "faster than", "measured", "CPU", "goal", "reached"], rows)


def _limit_table(result: Result, cases: Sequence[Case]) -> list[str]:
    rows = []
    for case in cases:
        if (ratio := result.over_limit(case)) is None:
            continue
        ours, bare = (result.cell(case, name) for name in (PRODUCT, "bare"))
        assert ours is not None
        assert bare is not None
        goal = goals.MOST_OVER_LIMIT_OF.get(case.title, goals.MOST_OVER_LIMIT)
        rows.append([case.name, f"{cpu_each(ours) * 1e3:.1f}", f"{cpu_each(bare) * 1e3:.1f}",
                     f"{ratio:.2f}x", f"{goal:g}x", "yes" if ratio <= goal else "no"])  # fmt: skip
    head = ["file", "CPU ms each", "bare decoding, ms", "measured", "goal", "reached"]
    return _table(head, rows)


def _remote_table(result: Result, cases: Sequence[Case]) -> list[str]:
    rows = []
    for case in cases:
        if case.work is not Work.REMOTE:
            continue
        for name in (PRODUCT, *case.peers):
            if (cell := result.cell(case, name)) is None:
                continue
            least = (cell.least_bytes or 0) + goals.MOST_REMOTE_EXTRA_BYTES
            sent = median(sample.bytes_read for sample in cell.samples)
            requests = median(sample.requests or 0 for sample in cell.samples)
            is_reached = sent <= least and requests <= goals.MOST_REMOTE_REQUESTS
            verdict = ("yes" if is_reached else "no") if name == PRODUCT else ""
            rows.append([case.name, name, f"{requests:g}", f"{sent / 1024:.0f}",
                         f"{least / 1024:.0f}", verdict])  # fmt: skip
    head = ["file", "by", "requests", "KiB sent", "KiB of index, keyframe and 64 KiB", "reached"]
    return _table(head, rows)


def _case_rows(result: Result, cases: Sequence[Case]) -> Iterator[list[str]]:
    for case in cases:
        for name in (PRODUCT, *case.peers):
            cell = result.cells.get((case.title, name))
            if cell is None:
                continue
            yield [case.name, name, *(_figures(cell) if cell.samples else _absent(cell))]


def _figures(cell: Cell) -> list[str]:
    samples = cell.samples
    frames = [s.frames / s.pictures for s in samples if s.frames is not None]
    read = median(s.bytes_read / s.pictures for s in samples) / 1e6
    memory = max(s.memory_bytes for s in samples) / 1e6
    return [
        f"{1 / seconds_each(cell):.1f}",
        f"{cpu_each(cell) * 1e3:.1f}",
        f"{median(frames):.1f}" if frames else "",
        f"{read:.2f}",
        f"{memory:.0f}",
    ]


def _absent(cell: Cell) -> list[str]:
    reason = " ".join((cell.error or "").split()).replace("|", "/")
    return [reason[:100], "", "", "", ""]


def _measured_on(result: Result) -> str:
    facts = result.machine
    return (
        f"{facts['cores']} cores of {facts['processor']}, {facts['memory_gib']} GiB, "
        f"{facts['system']}, Python {facts['python']}, {facts['rounds']} rounds."
    )


def _version_lines(result: Result) -> list[str]:
    return [f"- {name} {version}" for name, version in sorted(result.versions.items())]


def _table(head: list[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return [f"| {' | '.join(line)} |" for line in lines]
