"""Notices that a machine will be taken away, from real HTTP servers and files."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from farm import spot
from farm.errors import InvalidJobError
from farm.spot import AwsNotice, FileNotice, GcpNotice, Watch, notice_of

ACTION = '{"action": "terminate", "time": "2026-11-22T15:00:00Z"}'


class Metadata(BaseHTTPRequestHandler):
    """Both clouds' metadata services, as far as they are asked."""

    def do_PUT(self):
        is_right = self.path == "/latest/api/token"
        lifetime = self.headers["X-aws-ec2-metadata-token-ttl-seconds"]
        self.answer(200 if is_right and lifetime else 400, "token-1")

    def do_GET(self):
        if self.path == "/computeMetadata/v1/instance/preempted":
            is_asked = self.headers["Metadata-Flavor"] == "Google"
            self.answer(200 if is_asked else 403, self.server.preempted)
        elif self.path == "/latest/meta-data/spot/instance-action":
            if self.headers["X-aws-ec2-metadata-token"] != "token-1":
                self.answer(401, "")
            elif self.server.action is None:
                self.answer(404, "")
            else:
                self.answer(200, self.server.action)

    def answer(self, status, text):
        self.send_response(status)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        pass


@pytest.fixture
def cloud(monkeypatch):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Metadata)
    server.action, server.preempted = None, "FALSE"
    host = f"127.0.0.1:{server.server_port}"
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", f"http://{host}/")
    monkeypatch.setenv("GCE_METADATA_HOST", host)
    # Nobody asks a proxy for what only this machine knows.
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setattr(spot, "POLL_SECONDS", 0.02)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_aws_tells_what_is_to_happen_and_when(cloud):
    notice = notice_of("aws")
    assert isinstance(notice, AwsNotice)
    assert notice.look() is None
    cloud.action = ACTION
    assert notice.look() == "EC2 is to terminate this instance at 2026-11-22T15:00:00Z"
    cloud.action = "[]"
    assert notice.look() == "EC2 is to interrupt this instance"


def test_gcp_tells_that_it_is_to_happen(cloud):
    notice = notice_of("gcp")
    assert isinstance(notice, GcpNotice)
    assert notice.look() is None
    cloud.preempted = "TRUE\n"
    assert notice.look() == "Compute Engine preempts this instance"


def test_a_file_tells_by_being_there(tmp_path):
    notice = notice_of(str(tmp_path / "leave"))
    assert isinstance(notice, FileNotice)
    assert notice.look() is None
    (tmp_path / "leave").touch()
    assert notice.look() == f"{tmp_path / 'leave'} is there"


def test_nothing_is_looked_at_where_nothing_is_wanted():
    assert notice_of("none") is None


def test_a_word_that_is_no_path_is_refused():
    with pytest.raises(InvalidJobError, match=r"expected aws, gcp, none or a path.*'azure'"):
        notice_of("azure")


def test_a_notice_is_waited_for(cloud):
    told = []
    watch = Watch(GcpNotice())
    thread = threading.Thread(target=watch.await_notice, args=(told.append,))
    thread.start()
    thread.join(0.2)
    assert thread.is_alive()
    cloud.preempted = "TRUE"
    thread.join(20)
    assert told == ["Compute Engine preempts this instance"]


def test_its_end_is_waited_for_before_anything_begins(tmp_path, monkeypatch):
    monkeypatch.setattr(spot, "POLL_SECONDS", 0.02)
    file = tmp_path / "leave"
    told = []
    Watch(FileNotice(file)).await_peace(told.append)
    assert told == []
    file.touch()
    thread = threading.Thread(target=Watch(FileNotice(file)).await_peace, args=(told.append,))
    thread.start()
    thread.join(0.2)
    assert thread.is_alive()
    file.unlink()
    thread.join(20)
    assert not thread.is_alive()
    assert told == [f"waiting to join: {file} is there"]


def test_silence_is_no_notice_and_is_told_once(monkeypatch, caplog):
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1")
    watch = Watch(AwsNotice())
    # Who waits for peace takes silence for it.
    for _ in range(3):
        watch.await_peace(pytest.fail)
    assert len(caplog.records) == 1
    assert "whether this machine will be taken away is unknown" in caplog.text
