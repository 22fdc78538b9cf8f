"""The options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from farm.manners import Manners, Rates, byte_rate

JobFile = Annotated[
    Path | None,
    typer.Argument(metavar="JOB.yaml", help="A job file; options override what it says."),
]
Manifest = Annotated[
    str | None,
    typer.Option(help="A manifest (JSONL, CSV, Parquet, text), or a folder, prefix/ or glob."),
]
Destination = Annotated[str | None, typer.Option(help="The folder or prefix of the thumbnails.")]
Outputs = Annotated[
    list[str] | None,
    typer.Option(
        "--output",
        metavar="SPEC",
        help="320x180, 320x, x180 or 320x180,fit=crop,format=webp,position=15%; or JSON. Repeat it "
        "for several outputs; kind=storyboard,interval=10,sheets=true for a storyboard.",
    ),
]
LaneIsolation = Annotated[
    str | None,
    typer.Option(
        "--isolation",
        metavar="none|process|sandbox",
        help="What decoders are kept from; default sandbox.",
    ),
]
DamagedSources = Annotated[
    str | None,
    typer.Option(
        "--damaged",
        metavar="salvage|fail",
        help="What damaged sources give: what is left, or a failure.",
    ),
]
LedgerFolder = Annotated[
    str | None, typer.Option("--ledger", help="The ledger's folder; default DESTINATION/_ledger.")
]
MaxReadRate = Annotated[
    str | None,
    typer.Option(
        metavar="BYTES/s", help="Read sources no faster in all, as 50MB or 1GiB a second."
    ),
]
MaxRequestsPerHost = Annotated[
    float | None,
    typer.Option(
        metavar="N/s", help="Send no host of sources more than N requests a second in all."
    ),
]
Priority = Annotated[
    int, typer.Option(help="Shards of runs with a higher one go first on the same scheduler.")
]
Prices = Annotated[
    list[str] | None,
    typer.Option(
        "--price", metavar="NAME=VALUE", help="A price, as worker_hour=0.35 or currency=EUR."
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="A setting, as limits.image_pixels=1000000."),
]


def manners(max_read_rate: str | None, max_requests: float | None, priority: int) -> Manners:
    """How a run is to treat others; raises InvalidJobError for rates that are none."""
    read_rate = byte_rate(max_read_rate) if max_read_rate is not None else None
    return Manners(Rates(read_rate, max_requests), priority)
