"""`farm samples`: a small archive to try everything on."""

from pathlib import Path
from typing import Annotated

import typer

from farm.cli.screen import say


def make_archive(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where the archive is made.")],
) -> None:
    """Make a small archive to try the farm on.

    It has videos and photos, good and broken ones, and their manifest.
    """
    from farm.samples import make_samples

    folder = folder.absolute()
    made = make_samples(folder, progress=lambda line: say(line, to_stderr=True))
    say(f"{len(made)} files below {folder}")
    say(f"farm run --manifest {folder / 'manifest.jsonl'} --destination OUT --output 320x180")
