"""Who looks at the pages: a key is traded for a cookie, and few wrong ones may be tried."""

import math
import threading
import time
from collections import OrderedDict, deque
from ipaddress import ip_address, ip_network

from starlette.requests import Request
from starlette.responses import Response

from farm.service.access import origin_of, service_of
from farm.service.model import ApiKey
from farm.service.tokens import TokenKind

COOKIE = "farm_page"
LIFETIME_SECONDS = 12 * 3600

_MOST_WRONG = 10
_WINDOW_SECONDS = 60.0
_MOST_CALLERS = 10_000


class WrongTries:
    """Counts wrong keys by the network that they come from, within the last minute. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._times: OrderedDict[str, deque[float]] = OrderedDict()

    def wait_seconds(self, address: str) -> int:
        """How long no further try is taken; 0 where one is."""
        with self._lock:
            times = self._times.get(_network(address), deque())
            if len(times) < _MOST_WRONG:
                return 0
            return max(0, math.ceil(_WINDOW_SECONDS - (time.monotonic() - times[0])))

    def note(self, address: str) -> None:
        """One wrong try more."""
        with self._lock:
            network = _network(address)
            self._times.setdefault(network, deque(maxlen=_MOST_WRONG)).append(time.monotonic())
            self._times.move_to_end(network)
            while len(self._times) > _MOST_CALLERS:
                self._times.popitem(last=False)


def _network(address: str) -> str:
    """What one caller has: an IPv4 address, or the whole network of an IPv6 one."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    return address if found.version == 4 else str(ip_network(f"{address}/64", strict=False))


def visitor_of(request: Request) -> ApiKey | None:
    """The key whose cookie came with the request."""
    service = service_of(request)
    token = request.cookies.get(COOKIE)
    key_id = service.tokens.owner(TokenKind.PAGE, token) if token else None
    return None if key_id is None else service.keys.get(key_id)


def let_in(request: Request, response: Response, key: ApiKey) -> None:
    """Gives the browser a cookie that stands for the key for a while."""
    expires_at = time.time() + LIFETIME_SECONDS
    token = service_of(request).tokens.issue(TokenKind.PAGE, key_id=key.id, expires_at=expires_at)
    response.set_cookie(
        COOKIE,
        token,
        max_age=LIFETIME_SECONDS,
        httponly=True,
        samesite="strict",
        secure=origin_of(request).startswith("https:"),
    )


def let_out(request: Request, response: Response) -> None:
    """Takes the cookie back, here and in the browser."""
    if token := request.cookies.get(COOKIE):
        service_of(request).tokens.drop(TokenKind.PAGE, token)
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")
