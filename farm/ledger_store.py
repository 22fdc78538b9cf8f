"""What the ledger needs of a store: `farm.storage` has it."""

from collections.abc import Iterator
from typing import Protocol


class Listed(Protocol):
    """One object of a listing."""

    @property
    def uri(self) -> str:
        """Where it is."""

    @property
    def size(self) -> int:
        """Its bytes."""


class Store(Protocol):
    """Objects by their URIs."""

    def get(self, uri: str, /) -> bytes:
        """The bytes of an object."""

    def put(self, uri: str, data: bytes, /) -> None:
        """Stores an object, replacing what is there."""

    def put_new(self, uri: str, data: bytes, /) -> bool:
        """Stores an object unless there is one already; whether it did."""

    def exists(self, uri: str, /) -> bool:
        """Whether there is such an object."""

    def join(self, uri: str, key: str, /) -> str:
        """The URI of a key below another."""

    def list_files(self, uri: str, /) -> Iterator[Listed]:
        """The objects below a URI, in order of their names."""
