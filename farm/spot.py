"""Notices that a machine will be taken away: asked of its cloud, or told by a file's existence."""

import http.client
import json
import logging
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from farm.errors import InvalidJobError

POLL_SECONDS = 5.0
_ANSWER_SECONDS = 2.0
_NOT_FOUND = 404

# Clouds answer at link-local addresses, whatever proxy the environment names.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
_logger = logging.getLogger(__name__)


class Notice(Protocol):
    """Where notices come from."""

    def look(self) -> str | None:
        """What the notice says, None while there is none; raises OSError where nobody answers."""


class AwsNotice:
    """EC2's instance metadata service, version 2: `spot/instance-action` is there or is not.

    The service is where `AWS_EC2_METADATA_SERVICE_ENDPOINT` says, as for the tools of AWS.
    """

    def __init__(self) -> None:
        endpoint = os.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://169.254.169.254")
        self._endpoint = endpoint.rstrip("/")

    def look(self) -> str | None:
        """What is to happen, and when."""
        lifetime = {"X-aws-ec2-metadata-token-ttl-seconds": "60"}
        token = _ask(f"{self._endpoint}/latest/api/token", lifetime, method="PUT")
        where = f"{self._endpoint}/latest/meta-data/spot/instance-action"
        answer = _ask(where, {"X-aws-ec2-metadata-token": token or ""})
        if answer is None:
            return None
        try:
            action = json.loads(answer)
            return f"EC2 is to {action['action']} this instance at {action['time']}"
        except (ValueError, KeyError, TypeError):
            return "EC2 is to interrupt this instance"


class GcpNotice:
    """Compute Engine's metadata server: `instance/preempted` turns TRUE.

    The server is where `GCE_METADATA_HOST` says, as for the tools of Google.
    """

    def __init__(self) -> None:
        host = os.environ.get("GCE_METADATA_HOST", "metadata.google.internal")
        self._uri = f"http://{host}/computeMetadata/v1/instance/preempted"

    def look(self) -> str | None:
        """That it is to happen."""
        answer = _ask(self._uri, {"Metadata-Flavor": "Google"})
        is_preempted = answer is not None and answer.strip().upper() == "TRUE"
        return "Compute Engine preempts this instance" if is_preempted else None


class FileNotice:
    """A file that somebody makes when this machine is to rest."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def look(self) -> str | None:
        """That it is there."""
        return f"{self._path} is there" if self._path.exists() else None


def notice_of(word: str) -> Notice | None:
    """The source that `aws`, `gcp`, `none` or a path means; raises InvalidJobError for another."""
    match word:
        case "none":
            return None
        case "aws":
            return AwsNotice()
        case "gcp":
            return GcpNotice()
    if "/" in word:
        return FileNotice(Path(word))
    raise InvalidJobError(
        f"--spot: expected aws, gcp, none or a path such as /run/farm/leave, received {word!r}"
    )


class Watch:
    """Looks for a notice every few seconds; used by one thread at a time."""

    def __init__(self, notice: Notice) -> None:
        self._notice = notice
        self._is_silent = False

    def await_notice(self, tell: Callable[[str], object]) -> None:
        """Returns when there is a notice, having told it."""
        while (said := self._look()) is None:
            time.sleep(POLL_SECONDS)
        tell(said)

    def await_peace(self, tell: Callable[[str], object]) -> None:
        """Returns when there is none; tells one that it waits for to go."""
        said = self._look()
        if said is not None:
            tell(f"waiting to join: {said}")
        while said is not None:
            time.sleep(POLL_SECONDS)
            said = self._look()

    def _look(self) -> str | None:
        try:
            said = self._notice.look()
        except (OSError, http.client.HTTPException) as error:
            # The next look may get an answer; nobody is to leave for the lack of one.
            if not self._is_silent:
                _logger.warning("whether this machine will be taken away is unknown: %r", error)
            self._is_silent = True
            return None
        self._is_silent = False
        return said


def _ask(uri: str, headers: dict[str, str], *, method: str = "GET") -> str | None:
    """The body of an answer, None where there is no such thing."""
    request = urllib.request.Request(uri, headers=headers, method=method)
    try:
        with _opener.open(request, timeout=_ANSWER_SECONDS) as response:
            return bytes(response.read(4096)).decode(errors="replace")
    except urllib.error.HTTPError as error:
        with error:
            if error.code == _NOT_FOUND:
                return None
            raise
