"""Says which addresses of the network a caller may make the service connect to."""

import re
from dataclasses import dataclass
from functools import cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator

from farm.errors import InvalidEntryError
from farm.storage.failure import NotAllowedError
from farm.storage.redaction import redact

SCHEMES = ("http", "https", "s3")

# What Python calls global although nothing of the public has it, or although clouds answer there
# with what only their guests may know (168.63.129.16).
_NOT_PUBLIC_V4 = tuple(map(ip_network, ("192.0.0.0/24", "192.88.99.0/24", "168.63.129.16/32")))
_PUBLIC_V6 = ip_network("2000::/3")  # RFC 4291, 2.4: all global unicast there is
_NOT_PUBLIC_V6 = tuple(map(ip_network, ("2001::/23", "2001:db8::/32", "3fff::/20")))
_NAT64 = ip_network("64:ff9b::/96")  # RFC 6052
_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?")


class AddressRefusedError(NotAllowedError):
    """An address that the policy does not admit; the text is for people and names no address."""


@dataclass(frozen=True, slots=True)
class _Rule:
    """One entry of a list of hosts: a network or a name, and a port or any."""

    network: str | None
    name: str | None
    port: int | None

    def fits(self, address: str | None, *, host: str, port: int) -> bool:
        if self.port is not None and self.port != port:
            return False
        if self.network is None:
            return _plain_name(host) == self.name
        return address is not None and ip_address(address) in ip_network(self.network)


class AddressPolicy(BaseModel):
    """Which addresses may be connected to: public ones, and those that an operator allows.

    An entry of a list of hosts is an address, a network (`10.1.0.0/16`) or a name, the first and
    the last with a port (`minio.internal:9000`, `[::1]:9000`) or for any.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    allow_hosts: tuple[str, ...] = Field(
        (), description="hosts that may be reached although their addresses are not public"
    )
    plain_http_hosts: tuple[str, ...] = Field(
        (), description="S3 endpoints without TLS, where a caller names no scheme; no networks"
    )
    ports: frozenset[int] | None = Field(
        None, description="ports of public addresses that may be reached; default any"
    )

    @field_validator("allow_hosts", "plain_http_hosts")
    @classmethod
    def _check_hosts(cls, entries: tuple[str, ...]) -> tuple[str, ...]:
        for entry in entries:
            _rule(entry)
        return entries

    def check_url(self, url: str) -> None:
        """Raises InvalidEntryError for what is no URL of a host by http, https or s3.

        Where the host's addresses may lie is checked when it is connected to.
        """
        try:
            parts = urlsplit(url)
            is_sound = bool(parts.hostname) and (parts.port is None or parts.port > 0)
        except ValueError:
            is_sound = False
        if not is_sound or re.search(r"[\x00-\x20\x7f\\\ud800-\udfff]", url):
            raise InvalidEntryError(f"expected a URL with a host, received {redact(url)!r:.200}")
        if parts.scheme not in SCHEMES:
            raise InvalidEntryError(
                f"expected a URL by {', '.join(SCHEMES)}, received {redact(url)!r:.200}"
            )

    def admits(self, address: str, *, host: str, port: int) -> bool:
        """Whether `address`, one that the name `host` leads to, may be connected to."""
        address = address.partition("%")[0]  # the zone of a link-local address
        if any(_rule(entry).fits(address, host=host, port=port) for entry in self.allow_hosts):
            return True
        return is_public(address) and (self.ports is None or port in self.ports)

    def admitted(self, addresses: list[str], *, host: str, port: int) -> list[str]:
        """Those of a name's addresses that may be connected to; raises AddressRefusedError."""
        found = [one for one in addresses if self.admits(one, host=host, port=port)]
        if found or not addresses:
            return found
        if self.ports is not None and port not in self.ports:
            raise AddressRefusedError(
                f"port {port} of {host!r} is refused; allowed: {sorted(self.ports)}"
            )
        raise AddressRefusedError(f"{host!r} leads to an address that is not public")

    def speaks_plain_http(self, host: str, port: int | None) -> bool:
        """Whether an S3 endpoint that is named without a scheme is one without TLS."""
        address = host if is_address(host) else None
        rules = map(_rule, self.plain_http_hosts)
        return any(rule.fits(address, host=host, port=port or 80) for rule in rules)


def is_address(host: str) -> bool:
    """Whether a host is no name but an address."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def is_public(address: str) -> bool:
    """Whether anybody on the Internet may have it.

    IPv4 addresses within IPv6 ones (mapped, 6to4, NAT64) are judged as what they lead to.
    """
    found = _unwrapped(ip_address(address))
    if isinstance(found, IPv4Address):
        return (
            found.is_global
            and not found.is_multicast
            and not found.is_reserved
            and not any(found in network for network in _NOT_PUBLIC_V4)
        )
    return found in _PUBLIC_V6 and not any(found in network for network in _NOT_PUBLIC_V6)


def _unwrapped(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _plain_name(host: str) -> str:
    return host.rstrip(".").lower()


@cache
def _rule(entry: str) -> _Rule:
    """Raises ValueError for what is neither address nor network nor name."""
    for host, port in ((entry, None), _split_port(entry)):
        if not host or (port is not None and not 0 < port < 65_536):
            continue
        try:
            return _Rule(str(ip_network(host.strip("[]"))), None, port)
        except ValueError:
            if _NAME.fullmatch(host):
                return _Rule(None, _plain_name(host), port)
    raise ValueError(
        f"expected an address, a network, a name or name:port, received {entry!r:.100}"
    )


def _split_port(entry: str) -> tuple[str, int | None]:
    host, _, port = entry.rpartition(":")
    return (host, int(port)) if port.isdecimal() and port.isascii() else ("", None)
