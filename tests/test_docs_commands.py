"""Every command in the documents exists, with its options, and is run or has a reason why not."""

import re

import pytest

from tests.documented_commands import (
    ONLY_PARSED,
    documented,
    farm_commands,
    parse,
    reason_not_to_run,
)
from tests.documents import DOCUMENTS, ROOT, Command, without_blocks

pytestmark = pytest.mark.timeout(300)


def test_commands_parse() -> None:
    for command in documented():
        parse(command)


def test_options_named_in_the_text_exist() -> None:
    found = 0
    for document in DOCUMENTS:
        text = without_blocks(document.read_text("utf-8")).replace("\n", " ")
        for words in re.findall(r"`farm ([a-z]+(?: [^`|]*?--[a-z][^`|]*)?)`", text):
            name, *rest = words.split()
            # Values and arguments may be left out or be dots where a text speaks of an option.
            options = [word for word in rest if word.startswith("--")]
            known = known_options(name)
            assert set(options) <= known, f"{document.name}: farm {words}"
            found += 1
    assert found > 20


def known_options(name: str) -> set[str]:
    command = farm_commands()[name]
    commands = [command, *getattr(command, "commands", {}).values()]
    return {option for each in commands for param in each.params for option in param.opts} | {
        "--help"
    }


def test_a_wrong_option_is_found() -> None:
    for text in (
        "farm run --no-such",
        "farm nothing",
        "dask worker --no-such",
        "scripts/load --no-such",
        "farm run a b",
    ):
        with pytest.raises(Exception, match=r"no-such|no nothing|too much"):
            parse(Command("-", tuple(text.split())))


def test_every_script_of_the_documents_is_there() -> None:
    named = {command.words[0] for command in documented()}
    for script in named - {"farm", "dask"}:
        assert (ROOT / script).is_file(), script


def test_every_reason_is_needed() -> None:
    for pattern in ONLY_PARSED:
        assert any(re.fullmatch(pattern, command.text) for command in documented()), pattern
    assert sum(1 for command in documented() if reason_not_to_run(command) is None) > 30
