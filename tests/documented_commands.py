"""Which commands of the documents are not run by a test, and why; and how each is parsed."""

import re
from functools import cache
from typing import Any

from tests.documents import DOCUMENTS, Command, commands, read

_LONG = "takes minutes, and changes what lies in the checkout"
_SHOWN_ELSEWHERE = "made once by the fixture `samples`; tests/test_samples.py"
_TLS = "tests/cluster and tests/configs start clusters with certificates"
_SERVER = "as the one without a file of settings, which is run; tests/service/test_config.py"

ONLY_PARSED = {
    r"scripts/\w+.*": _LONG,
    r"farm samples archive": _SHOWN_ELSEWHERE,
    r"farm doctor": "tests/test_doctor.py; it loads every library that there is",
    r"dask scheduler": "the fixture `cluster` runs it with a port of its own",
    r"farm worker tcp://HOST:8786( --metrics \S+)?": "as that, with a folder of its own",
    r"dask worker tcp://HOST:8786 .*": "as `farm worker`, which is run; tests/cluster",
    r"dask .* --tls-\w+.*": _TLS,
    r"farm (run|worker) .*tls://.*": _TLS,
    r"farm serve --config .*": _SERVER,
    r"farm thumbnail photo.ff -o photo.avif .*": "tests/test_docs_extending.py adds its engine",
}
"""Commands, as regular expressions, with the reason why they are only parsed."""

_PARSERS = {
    "scripts/bench": "benchmarks/__main__.py",
    "scripts/chaos": "benchmarks/chaos/__main__.py",
    "scripts/fuzz": "tests/fuzz/__main__.py",
    "scripts/gpu_check": "benchmarks/gpu/__main__.py",
    "scripts/load": "benchmarks/load.py",
}
"""Where a script's options are declared. To import these would take seconds of torch each."""


@cache
def documented() -> tuple[Command, ...]:
    """All commands of all documents."""
    return tuple(command for document in DOCUMENTS for command in commands(document))


def reason_not_to_run(command: Command) -> str | None:
    """Why a command is only parsed, if it is."""
    found = (why for which, why in ONLY_PARSED.items() if re.fullmatch(which, command.text))
    return next(found, None)


def parse(command: Command) -> None:
    """Checks that the command exists with each of its options and as many arguments.

    Raises what the parser does, or AssertionError.
    """
    tool, *words = command.words
    if tool == "farm":
        _parse_farm(words)
    elif tool == "dask":
        _parse_click(_dask(words[0]), words[1:])
    elif tool in _PARSERS:
        unknown = {word for word in words if word.startswith("-")} - _declared(_PARSERS[tool])
        assert not unknown, f"{tool} has no {unknown}"
    else:
        assert not words or tool == "scripts/test", f"{tool} takes no words"


@cache
def farm_commands() -> dict[str, Any]:
    """The commands of `farm` by name; a group has `commands` of its own."""
    import typer.main

    from farm.cli import app

    return dict(getattr(typer.main.get_command(app), "commands", {}))


def _parse_farm(words: list[str]) -> None:
    known = farm_commands()
    while True:
        name = words.pop(0)
        assert name in known, f"farm has no {name}"
        if not hasattr(known[name], "commands"):
            _parse_click(known[name], words)
            return
        known = known[name].commands


def _dask(name: str) -> Any:
    if name == "scheduler":
        from distributed.cli.dask_scheduler import main
    else:
        assert name == "worker", f"dask has no {name}"
        from distributed.cli.dask_worker import main
    return main


def _parse_click(found: Any, words: list[str]) -> None:
    context = found.context_class(found, info_name=found.name)
    _, left, _ = found.make_parser(context).parse_args(list(words))
    assert not left, f"{found.name}: too much: {left}"


@cache
def _declared(path: str) -> frozenset[str]:
    """The options that a module declares."""
    return frozenset(re.findall(r"add_argument\(\s*\"(--[\w-]+)\"", read(path)))
