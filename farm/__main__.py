"""The `farm` command: runs the command line and turns errors into one line and an exit code."""

import logging
import os
from collections.abc import Sequence

from farm.cli import app
from farm.cli.exit_code import exit_code_of
from farm.cli.screen import say
from farm.errors import FarmError


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs one command, of this process's arguments or the given ones, and exits with its code."""
    try:
        app(args=arguments, prog_name="farm")
    except FarmError as error:
        _tell(str(error), error.code)
        raise SystemExit(exit_code_of(error)) from None
    except OSError as error:
        where = f"{error.filename}: " if error.filename is not None else ""
        _tell(f"{where}{error.strerror or error}")
        raise SystemExit(exit_code_of(error)) from None


def _tell(message: str, code: str | None = None) -> None:
    """Says why the command ended, to people or, where they asked for that, to machines."""
    # Asked here: to import `journal` takes longer than most commands that end like this.
    if os.environ.get("FARM_LOG") == "json":
        from farm import journal

        journal.set_up()
        journal.tell("failed", message, level=logging.ERROR, code=code)
    else:
        say(f"farm: {code}: {message}" if code else f"farm: {message}", to_stderr=True)


if __name__ == "__main__":
    main()
