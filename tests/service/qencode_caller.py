"""A caller of Qencode's API, without its client."""

import json
import time
from typing import Any

from tests.service.live import LiveServer

ENDED = ("completed", "error")


class Caller:
    """Calls a server's methods by their names."""

    def __init__(self, server: LiveServer) -> None:
        self.server = server

    def call(self, method: str, **fields: str) -> dict[str, Any]:
        """The answer of a method, which is always JSON with status 200."""
        response = self.server.client.post(f"/v1/{method}", data=fields)
        assert response.status_code == 200, response.text
        answer = response.json()
        assert isinstance(answer["error"], int)
        assert (answer["error"] == 0) == ("message" not in answer)
        return answer

    def access_token(self) -> str:
        """A token for the server's key."""
        return self.call("access_token", api_key=self.server.key)["token"]

    def new_task(self) -> str:
        """The token of a fresh task."""
        return self.call("create_task", token=self.access_token())["task_token"]

    def start(self, task_token: str, *formats: dict[str, Any], **fields: Any) -> dict[str, Any]:
        """What `start_encode2` answers; `payload` is a field of its own."""
        form = {"payload": fields.pop("payload")} if "payload" in fields else {}
        query = json.dumps({"query": {"format": list(formats)} | fields})
        return self.call("start_encode2", task_token=task_token, query=query, **form)

    def run(self, *formats: dict[str, Any], **fields: Any) -> dict[str, Any]:
        """The last status of a task that is asked this."""
        token = self.new_task()
        answer = self.start(token, *formats, **fields)
        assert answer["error"] == 0, answer
        return self.wait(token)

    def status(self, task_token: str) -> dict[str, Any]:
        """The status of one task."""
        return self.call("status", task_tokens=task_token)["statuses"][task_token]

    def wait(self, task_token: str, *, seconds: float = 90.0) -> dict[str, Any]:
        """The status of a task that has ended."""
        deadline = time.monotonic() + seconds
        while (status := self.status(task_token))["status"] not in ENDED:
            assert time.monotonic() < deadline, status
            time.sleep(0.1)
        return status
