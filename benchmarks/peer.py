"""A peer's process: `python -m benchmarks.peer NAME` answers requests, one JSON line for each.

The first line tells the version, or why the peer is absent.
"""

import json
import os
import sys
from typing import Any

from benchmarks import peers
from benchmarks.peers import Peer, Request
from benchmarks.peers.pool import measure
from benchmarks.sample import ContestantError


def main(name: str) -> None:
    """Serves until the input ends."""
    # What libraries print must not come between the answers.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    try:
        peer = peers.load(name)
    except (ImportError, OSError, RuntimeError) as error:
        answers.write(json.dumps({"absent": str(error)}) + "\n")
        return
    answers.write(json.dumps({"version": peer.version}) + "\n")
    for line in sys.stdin:
        answers.write(json.dumps(_answer(peer, json.loads(line))) + "\n")


def _answer(peer: Peer, fields: dict[str, Any]) -> dict[str, Any]:
    request = Request(**fields | {"moments": tuple(fields["moments"])})
    try:
        return measure(peer, request).to_json()
    except ContestantError as error:
        return {"error": str(error)}
    except Exception as error:  # noqa: BLE001 - whatever a peer raises is its result
        return {"error": f"{type(error).__name__}: {error}"[:300]}


if __name__ == "__main__":
    main(sys.argv[1])
