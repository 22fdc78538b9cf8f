"""Slurm's sbatch, srun and scancel for tests: jobs are carried out on this machine, at once.

Options that are not known here are refused, in scripts too: those that are, are sbatch's.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
from argparse import ArgumentParser
from contextlib import suppress
from pathlib import Path

from tests.configs.scene import write_program

FOLDER = "SLURM_STAND_IN"
_VALUES = ["array", "cpus-per-task", "dependency", "gres", "mem", "signal"]
_SHORT = {
    "J": "job-name",
    "t": "time",
    "p": "partition",
    "n": "ntasks",
    "e": "error",
    "o": "output",
}


def install(folder: Path) -> dict[str, str]:
    """Puts the commands into a folder; the environment that finds them there."""
    for name in ("sbatch", "srun", "scancel"):
        write_program(
            folder / name,
            f'#!/bin/sh\nPYTHONPATH="{Path(__file__).parents[2]}" '
            f'exec {sys.executable} -m tests.configs.slurm_stand_in {name} "$@"\n',
        )
    return {"PATH": f"{folder}:{os.environ['PATH']}", FOLDER: str(folder)}


def end_all(folder: Path) -> None:
    """Ends all jobs that were begun, at once."""
    for _, process in _begun(folder):
        with suppress(ProcessLookupError):
            os.killpg(process, signal.SIGKILL)


def told(folder: Path) -> str:
    """What the jobs told, one after the other."""
    return "\n".join(path.read_text() for path in sorted(folder.glob("out-*")))


def _parser() -> ArgumentParser:
    parser = ArgumentParser(allow_abbrev=False)
    for name in _VALUES:
        parser.add_argument(f"--{name}")
    for short, name in _SHORT.items():
        parser.add_argument(f"-{short}", f"--{name}")
    for name in ("parsable", "requeue"):
        parser.add_argument(f"--{name}", action="store_true")
    return parser


def _sbatch(words: list[str], folder: Path) -> None:
    place = next(k for k, word in enumerate(words) if not word.startswith("-"))
    script = Path(words[place])
    asked = re.findall(r"^#SBATCH (.*)", script.read_text(), re.MULTILINE)
    said = _parser().parse_args(" ".join(asked).split() + words[:place])
    job = len(list(folder.glob("job-*-0"))) + 1
    last = int((said.array or "0").rpartition("-")[2])
    for task in range(last + 1):
        _begin(script, words[place + 1 :], folder, job, task)
    sys.stdout.write(f"{job}\n" if said.parsable else f"Submitted batch job {job}\n")


def _begin(script: Path, words: list[str], folder: Path, job: int, task: int) -> None:
    # Slurm, too, runs a copy in a folder of its own.
    copy = shutil.copy(script, folder / f"job-{job}-{task}")
    facts = {
        "SLURM_JOB_ID": f"{job}{task}",
        "SLURM_ARRAY_TASK_ID": str(task),
        "SLURM_SUBMIT_DIR": os.getcwd(),
    }
    with open(folder / f"out-{job}-{task}", "w") as output:
        process = subprocess.Popen(
            ["bash", copy, *words],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=os.environ | facts,
            start_new_session=True,
        )
    with open(folder / "begun", "a") as begun:
        begun.write(f"{job} {process.pid}\n")


def _begun(folder: Path) -> list[tuple[str, int]]:
    path = folder / "begun"
    lines = path.read_text().splitlines() if path.exists() else []
    return [(job, int(process)) for job, process in (line.split() for line in lines)]


def _scancel(words: list[str], folder: Path) -> None:
    for job, process in _begun(folder):
        if job in words:
            with suppress(ProcessLookupError):
                os.killpg(process, signal.SIGTERM)


def main(name: str, *words: str) -> None:
    """Does what the command of that name does."""
    folder = Path(os.environ[FOLDER])
    match name:
        case "sbatch":
            _sbatch(list(words), folder)
        case "scancel":
            _scancel(list(words), folder)
        case "srun":
            os.execvp(words[0], words)


if __name__ == "__main__":
    main(*sys.argv[1:])
