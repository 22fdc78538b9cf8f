"""The walk gives what a sorted and filtered list of all keys gives, from any point on."""

from collections.abc import Iterator
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.storage.listing import EVERYTHING, Node, Pattern, folder_scope, glob_scope, walk

NAMES = st.text("ab.-0é\udcff", min_size=1, max_size=3).filter(lambda name: set(name) != {"."})
KEYS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)


class Tree:
    """Folders made of a set of keys; a name is either a file or a folder."""

    def __init__(self, keys: set[str]) -> None:
        folders = {str(parent) for key in keys for parent in PurePosixPath(key).parents}
        self.keys = keys - folders
        self.scanned: list[str] = []

    def scan(self, folder: str) -> Iterator[Node[str]]:
        self.scanned.append(folder)
        below = [key[len(folder) :] for key in self.keys if key.startswith(folder)]
        for name in {rest.partition("/")[0] for rest in below}:
            yield Node(name, folder + name not in self.keys, "")


def order(key: str) -> bytes:
    return key.encode("utf-8", "surrogateescape")


@given(st.sets(KEYS, max_size=30), st.none() | KEYS)
def test_all_keys_in_order_from_any_point_on(keys: set[str], after: str | None) -> None:
    tree = Tree(keys)
    found = [key for key, _ in walk(tree.scan, pattern=EVERYTHING, after=after or "")]
    expected = sorted(tree.keys, key=order)
    assert found == [key for key in expected if after is None or order(key) > order(after)]


@given(
    st.sets(KEYS, max_size=30),
    st.lists(st.sampled_from(["**", "*", "a*", "?", "[ab]", "[!a]", "a", "*.*"]), min_size=1),
)
def test_no_folder_is_left_out_that_holds_a_match(keys: set[str], parts: list[str]) -> None:
    tree, pattern = Tree(keys), Pattern("/".join(parts))
    found = [key for key, _ in walk(tree.scan, pattern=pattern, after="")]
    assert found == [key for key in sorted(tree.keys, key=order) if pattern.matches(key)]


def test_a_deep_tree_is_no_trouble() -> None:
    key = "/".join("a" * 3_000)
    tree = Tree({key})
    assert [found for found, _ in walk(tree.scan, pattern=EVERYTHING, after="")] == [key]


@pytest.mark.parametrize(
    ("uri", "root", "literal"),
    [
        ("s3://b/a/x-*.jpg", "s3://b/a/", "x-"),
        ("s3://b/**", "s3://b/", ""),
        ("*.jpg", "", ""),
        ("/[ab]/x", "/", ""),
    ],
)
def test_the_scope_of_a_glob(uri: str, root: str, literal: str) -> None:
    found = glob_scope(uri)
    assert (found.root, found.literal) == (root, literal)


def test_the_scope_of_a_folder() -> None:
    assert folder_scope("s3://b").root == folder_scope("s3://b/").root == "s3://b/"
    assert folder_scope("/x").after("/x/a/b") == "a/b"
    assert folder_scope("/x").after("/x") == ""
