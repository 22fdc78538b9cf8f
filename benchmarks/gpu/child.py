"""The process of one part: makes its rows and writes each down as soon as it is known."""

import json
import sys
import time
from importlib import import_module
from pathlib import Path

from benchmarks.gpu.part import MissingError, Task


def main() -> None:
    """Carries out the part that the command line names; see `benchmarks.gpu.part.run`."""
    path, folder, argument, seconds, found = sys.argv[1:]
    task = Task(Path(folder), argument, time.monotonic() + float(seconds))
    module, _, name = path.partition(":")
    with open(found, "w", encoding="utf-8", buffering=1) as file:
        try:
            for row in getattr(import_module(module), name)(task):
                file.write(json.dumps({"row": row}) + "\n")
        except MissingError as error:
            file.write(json.dumps({"missing": str(error)}) + "\n")
        except ImportError as error:
            # A bare machine may lack any package; what does not need it goes on.
            file.write(json.dumps({"missing": f"cannot be imported: {error}"}) + "\n")


if __name__ == "__main__":
    main()
