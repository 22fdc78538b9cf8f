"""`python -m tests.fuzz --minutes 5`: tries to break promises; exits with 1 where one broke."""

import argparse
import os
import sys

from farm.engines.synthetic import FAULTS_ALLOWED
from tests.fuzz.hunt import hunt
from tests.fuzz.target import TARGETS


def main() -> int:
    """Gives each target an equal share of the time, and keeps what it finds."""
    parser = argparse.ArgumentParser(prog="scripts/fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0, help="for all targets together")
    parser.add_argument("--seed", type=int, default=0, help="another seed tries other cases")
    parser.add_argument("--only", action="append", choices=sorted(TARGETS), help="may be repeated")
    options = parser.parse_args()
    os.environ.pop(FAULTS_ALLOWED, None)
    names = options.only or sorted(TARGETS)
    broken = 0
    for name in names:
        seconds = options.minutes * 60 / len(names)
        cases, findings = hunt(TARGETS[name], seconds=seconds, seed=options.seed)
        print(f"{name}: {cases} cases, {len(findings)} findings", flush=True)  # noqa: T201
        for finding in findings:
            broken += 1
            print(f"  {finding.place}: {finding.text}\n  {finding.save()}", flush=True)  # noqa: T201
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
