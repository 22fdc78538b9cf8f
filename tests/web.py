"""A web server over a few files, which notes what it is asked for and when."""

import re
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def log_message(self, *words):
        pass

    def do_GET(self):
        data = self.server.files[self.path.strip("/")]
        span = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range") or "")
        first, last = 0, len(data) - 1
        if span is not None and self.server.has_ranges:
            first, last = int(span[1]), min(int(span[2]), last)
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(data)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(last + 1 - first))
        self.end_headers()
        self.wfile.write(data[first : last + 1])
        self.server.asked.append((time.monotonic(), last + 1 - first))


@contextmanager
def web_server(files, *, has_ranges=True):
    """Serves files by their names; `asked` are the times and the bytes of its answers."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.files, server.has_ranges, server.asked = files, has_ranges, []
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
