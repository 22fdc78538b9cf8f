"""Files from and to buckets of S3 servers that callers name, with the callers' own keys.

The connections are made under the same policy as those of the web: a name's addresses are checked
where it is looked up, and only these, or literal addresses that the policy admits, get a socket.
"""

import asyncio
import logging
import socket
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult

from farm import storage
from farm.errors import FarmError, SourceNotFoundError, SourceTooLargeError
from farm.service.connect import SILENCE_SECONDS, Resolve, resolve
from farm.service.filename import safe_filename, unique_filename
from farm.service.partial_file import PartialFile
from farm.service.place import DEFAULT_REGION, S3Place
from farm.service.policy import AddressPolicy, AddressRefusedError
from farm.service.transfer import Fetched, Stopwatch, Terms, TransferTimeError
from farm.settings import Limits
from farm.storage.failure import READ, WRITE, Side
from farm.storage.filesystem import registered
from farm.storage.listing import EVERYTHING, Listed, Scope
from farm.storage.s3 import S3Store, put_file

_WINDOW_BYTES = 8 << 20
_LOOK_UP_SECONDS = 0.5

# Below it, requests are logged with their headers, in which a token may stand.
for _name in ("aiobotocore", "botocore"):
    logging.getLogger(_name).setLevel(logging.INFO)


class Bucket:
    """One bucket for the time of one transfer; made by `open_bucket`.

    Its errors name objects as `s3://BUCKET/KEY`, and hold no key of an account.
    """

    def __init__(self, name: str, profile: str, watch: Stopwatch) -> None:
        self._name = name
        self._profile = profile
        self._watch = watch

    def download(self, key: str, path: Path, *, filename: str | None = None) -> Fetched:
        """Brings an object to `path`, which is gone where that fails.

        Raises a SourceError, DiskFullError or StoreError.
        """
        with self._told(READ, key):
            return self._download(key, path, self._watch.terms, safe_filename(filename or key))

    def download_all(self, prefix: str, folder: Path, *, most_files: int) -> list[Fetched]:
        """Brings all objects whose keys begin with a prefix into a folder, named after their keys.

        `most_bytes` of the terms bounds all of them together. Raises as `download` does, and
        SourceNotFoundError where there is none.
        """
        with self._told(READ, prefix):
            found = self._list(prefix, most_files)
        fetched: list[Fetched] = []
        left, taken = self._watch.terms.most_bytes, set[str]()
        for listed in found:
            key = listed.uri.removeprefix(self._uri(""))
            name = unique_filename(key, taken)
            taken.add(name.casefold())
            with self._told(READ, key):
                terms = replace(self._watch.terms, most_bytes=left)
                fetched.append(self._download(key, folder / name, terms, name))
            left -= fetched[-1].size_bytes
        return fetched

    def upload(self, key: str, data: bytes | Path, *, content_type: str | None = None) -> None:
        """Stores bytes or a file under a key, as the place says; raises a StoreError."""
        with self._told(WRITE, key):
            if isinstance(data, Path):
                put_file(self._uri(key), data, content_type=content_type)
            else:
                storage.put(self._uri(key), data, content_type=content_type)

    def _uri(self, key: str) -> str:
        return f"s3://{self._profile}@{self._name}/{key}"

    def _download(self, key: str, path: Path, terms: Terms, filename: str) -> Fetched:
        limits = Limits(source_bytes=max(1, terms.most_bytes))
        with storage.open_source(self._uri(key), limits=limits) as source:
            kept = PartialFile(path, f"s3://{self._name}/{key}", terms)
            try:
                for offset in range(0, source.size, _WINDOW_BYTES):
                    self._watch.check()
                    kept.add(source.read_at(offset, _WINDOW_BYTES), source.size)
            except BaseException:
                path.unlink(missing_ok=True)
                raise
            finally:
                kept.close()
        return kept.fetched(filename)

    def _list(self, prefix: str, most_files: int) -> list[Listed]:
        scope = Scope(self._uri(""), EVERYTHING, literal=prefix)
        found, total_bytes = [], 0
        for listed in S3Store().list_scope(scope, None):
            found.append(listed)
            total_bytes += listed.size
            if len(found) > most_files:
                raise SourceTooLargeError(
                    f"{self._uri(prefix)!r} begins the keys of more than the {most_files} files "
                    "that are allowed"
                )
            if total_bytes > self._watch.terms.most_bytes:
                raise SourceTooLargeError(
                    f"{self._uri(prefix)!r} begins the keys of more than the "
                    f"{self._watch.terms.most_bytes} bytes that are allowed"
                )
        if not found:
            raise SourceNotFoundError(f"no object has a key that begins with {self._uri(prefix)!r}")
        return found

    @contextmanager
    def _told(self, side: Side, key: str) -> Iterator[None]:
        """Errors as the caller knows the place; what ended the transfer goes before its end."""
        try:
            try:
                yield
            except FarmError:
                self._watch.check()
                raise
        except TransferTimeError as error:
            where = f"s3://{self._name}/{key}"
            raise side.unavailable(f"cannot {side.verb} {where!r}: {error}") from None
        except FarmError as error:
            error.args = (str(error).replace(f"{self._profile}@", ""),)
            raise


@contextmanager
def open_bucket(
    place: S3Place, *, policy: AddressPolicy, terms: Terms, resolve: Resolve = resolve
) -> Iterator[Bucket]:
    """The bucket of a place, until the terms' time is used up."""
    watch = Stopwatch(terms)
    with _Gate(policy, watch, resolve) as gate, registered(_options(place, policy, gate)) as name:
        yield Bucket(place.bucket, name, watch)


def _options(place: S3Place, policy: AddressPolicy, gate: "_Gate") -> dict[str, Any]:
    """Options of the s3fs filesystem."""
    token = place.session_token
    return {
        "key": place.access_key_id.get_secret_value(),
        "secret": place.secret_access_key.get_secret_value(),
        "token": token.get_secret_value() if token else None,
        "endpoint_url": place.endpoint_url(policy),
        "client_kwargs": {"region_name": place.region or DEFAULT_REGION},
        "s3_additional_kwargs": place.put_options(),
        "config_kwargs": {
            "connect_timeout": gate.connect_seconds,
            "read_timeout": SILENCE_SECONDS,
            "connector_args": {"resolver": gate, "socket_factory": gate.make_socket},
            "proxies": {},  # those of the environment would connect in our place
            "ignore_configured_endpoint_urls": True,
            # Few other servers have a name for each bucket.
            "s3": {"addressing_style": "path" if place.endpoint else "auto"},
        },
    }


class _Gate(AbstractResolver):
    """Looks names up, makes sockets for what the policy admits, and shuts them when time is up."""

    def __init__(self, policy: AddressPolicy, watch: Stopwatch, resolve: Resolve) -> None:
        self.connect_seconds = watch.terms.connect_seconds
        self._policy = policy
        self._watch = watch
        self._resolve = resolve
        self._admitted: set[tuple[str, int]] = set()
        self._lock = threading.Lock()
        self._sockets: list[weakref.ref[socket.socket]] = []
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._look_up, daemon=True)

    def __enter__(self) -> "_Gate":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._left.set()
        self._thread.join()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The admitted addresses of a host; raises AddressRefusedError or OSError."""
        del family
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(None, self._resolve, host, port)
        admitted = self._policy.admitted(found, host=host, port=port)
        self._admitted.update((address, port) for address in admitted)
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in admitted
        ]

    async def close(self) -> None:
        """Nothing is held."""

    def make_socket(self, found: Any) -> socket.socket:
        """A socket for an address that was looked up here, or is admitted as it stands."""
        self._watch.check()
        family, kind, protocol, _, (address, port, *_) = found
        if (address, port) not in self._admitted and not self._policy.admits(
            address, host=address, port=port
        ):
            raise AddressRefusedError(f"{address!r} is an address that is not public")
        made = socket.socket(family, kind, protocol)
        made.setblocking(False)
        with self._lock:
            self._sockets.append(weakref.ref(made))
        return made

    def _look_up(self) -> None:
        """Ends what waits for a server when the transfer has to end: its thread cannot."""
        while not self._left.wait(_LOOK_UP_SECONDS):
            try:
                self._watch.check()
            except Exception:  # noqa: BLE001 - the caller's own, which `_told` raises again
                break
        else:
            return
        with self._lock:
            sockets = [made for ref in self._sockets if (made := ref()) is not None]
        for made in sockets:
            with suppress(OSError):
                made.shutdown(socket.SHUT_RDWR)
