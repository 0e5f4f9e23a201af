"""A webhook on loopback that keeps what it is sent."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any


class Hook(HTTPServer):
    """Answers each call with `answer`; `received` has paths and bodies."""

    def __init__(self) -> None:
        self.received: list[tuple[str, Any]] = []
        self.answer = 200
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def _take(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                hook.received.append((self.path, json.loads(body) if body else None))
                self.send_response(hook.answer)
                self.end_headers()

            do_POST = _take  # noqa: N815 - the library's name
            do_GET = _take  # noqa: N815

            def log_message(self, *_args: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)


@contextmanager
def hook_server() -> Iterator[Hook]:
    """Yields a hook that is served by a thread."""
    with Hook() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()
