"""The `farm` command: runs the command line and turns errors into one line and an exit code."""

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
        say(f"farm: {error.code}: {error}", to_stderr=True)
        raise SystemExit(exit_code_of(error)) from None
    except OSError as error:
        where = f"{error.filename}: " if error.filename is not None else ""
        say(f"farm: {where}{error.strerror or error}", to_stderr=True)
        raise SystemExit(exit_code_of(error)) from None


if __name__ == "__main__":
    main()
