"""What Qencode's callers are told at their callback URLs, and what of it that fails."""

import json
from urllib.parse import parse_qs

import pytest

from tests.lanes import wait_until
from tests.service.live import FileServer, LiveServer, Receiver
from tests.service.qencode_caller import Caller

SECRET = "s3cr3t-value"


@pytest.fixture
def caller(server: LiveServer) -> Caller:
    return Caller(server)


def test_callbacks(caller: Caller, files: FileServer, receiver: Receiver) -> None:
    token = caller.new_task()
    url = f"{receiver.url}/done?id=7"
    source = files.url_of("vp9.webm")
    payload = "my payload & more = é"
    thumbnail = {"output": "thumbnail", "width": 64}
    answer = caller.start(token, thumbnail, source=source, callback_url=url, payload=payload)
    assert answer["error"] == 0
    forms = [parse_qs(each.body.decode()) for each in receiver.wait(2, path="/done?id=7")]
    assert [form["event"] for form in forms] == [["queued"], ["saved"]]
    for form in forms:
        assert form["task_token"] == [token]
        assert form["payload"] == [payload]
        assert form["callback_type"] == ["task"]
    assert json.loads(forms[1]["status"][0]) == caller.wait(token)


def test_a_callback_that_fails_is_a_warning(
    caller: Caller, files: FileServer, receiver: Receiver
) -> None:
    receiver.answer(404, 404)
    token = caller.new_task()
    url = f"{receiver.url}/gone?token={SECRET}"
    source = f"{files.url}/missing.mp4"
    caller.start(token, {"output": "thumbnail"}, source=source, callback_url=url)
    forms = [parse_qs(each.body.decode()) for each in receiver.wait(2)]
    assert [form["event"] for form in forms] == [["queued"], ["error"]]
    assert forms[1]["error_code"] == ["1"]
    assert "missing.mp4" in forms[1]["error_message"][0]
    wait_until(lambda: caller.status(token)["warnings"])
    assert caller.status(token)["warnings"] == [
        {
            "message": "Callback delivery error",
            "details": f"Error sending callback to {receiver.url}/gone?token=*** 404: Not Found.",
            "tag": None,
        }
    ]
