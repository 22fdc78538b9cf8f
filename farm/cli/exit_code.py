"""The exit codes of all commands."""

from enum import IntEnum

from farm.errors import UsageError


class ExitCode(IntEnum):
    """How a command ended, for scripts."""

    DONE = 0
    SOME_FAILED = 1
    USAGE = 2
    BROKEN = 3
    PAUSED = 4
    STOPPED = 130


# "\b" keeps the lines apart.
EXIT_CODES_HELP = """\b
Exit codes:
    0  all entries are done
    1  some entries failed (0 with --allow-failures)
    2  the job, the manifest or an option is wrong; nothing was tried
    3  the run could not go on
    4  paused, by a signal, `farm stop` or a store that does not answer;
       the same command goes on
  130  stopped at once by a second signal"""


def exit_code_of(error: Exception) -> ExitCode:
    """The exit code for an error that ended a command."""
    return ExitCode.USAGE if isinstance(error, UsageError) else ExitCode.BROKEN
