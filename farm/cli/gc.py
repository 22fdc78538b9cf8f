"""`farm gc`: what is of no use any more at a destination and in its ledger."""

import collections
from typing import Annotated

import typer

from farm.cli.ledger import open_ledger
from farm.cli.screen import say
from farm.wording import size_text


def clean_up(
    job_or_ledger: Annotated[
        str, typer.Argument(metavar="JOB.yaml|LEDGER", help="A job file or a ledger's folder.")
    ],
    delete: Annotated[
        bool, typer.Option("--delete", help="Delete it; without, it is only listed.")
    ] = False,
) -> None:
    """List what is of no use any more, or delete it.

    Half-written files of writers that died, and what older passes made if a later one made
    all of it again. Refuses while a run works on the ledger.
    """
    from farm.lease import Lease, Waiting
    from farm.waste import find_waste, remove, why_older_passes_stay

    ledger = open_ledger(job_or_ledger)
    destination = ledger.passes()[-1].job.get("destination")
    sizes: collections.Counter[str] = collections.Counter()
    counts: collections.Counter[str] = collections.Counter()
    waiting = Waiting(notice=lambda message: say(message, to_stderr=True))
    with Lease.take(ledger.uri, waiting=waiting) as lease:
        found = find_waste(ledger, destination)
        for waste in remove(found) if delete else found:
            lease.check()
            counts[waste.kind] += 1
            sizes[waste.kind] += waste.size_bytes
            say(f"{waste.kind:<10} {size_text(waste.size_bytes):>9} {waste.uri}")
        kept = why_older_passes_stay(ledger)
    for kind, count in sorted(counts.items()):
        say(f"{count:,} {kind}: {size_text(sizes[kind])}", to_stderr=True)
    if not counts:
        say("nothing to clean up", to_stderr=True)
    elif not delete:
        say("to delete these: the same command with --delete", to_stderr=True)
    if kept is not None:
        say(f"of older passes all is kept: {kept}", to_stderr=True)
