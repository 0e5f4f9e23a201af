"""Starts, stops, kills and disturbs a ClickHouse HTTP server from a test."""

import contextlib
import json
import select
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import quote

from tests.clickhouse_front.faults import Fault, FaultKind
from tests.clickhouse_front.log import LoggedRequest, front_dir, log_file, read_requests
from tests.support.paths import ROOT
from tests.support.patience import moment_s


class Front:
    """A running server. `stop()` asks, `kill()` does not ask, `restart()` keeps port and path."""

    def __init__(
        self,
        path: Path,
        user: str | None = None,
        password: str | None = None,
        grants: Sequence[str] = (),
    ) -> None:
        self.path = path.resolve()
        self.user = user
        self.password = password
        self.grants = grants
        self.port = 0
        self._errors = front_dir(self.path) / "stderr.log"
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        """The server's address, with credentials if it asks for them."""
        login = ""
        if self.user is not None:
            login = f"{quote(self.user, safe='')}:{quote(self.password or '', safe='')}@"
        return f"http://{login}127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Process id of the server."""
        if self._process is None:
            raise RuntimeError("the front is not running")
        return self._process.pid

    def start(self) -> None:
        """Start the server on its path, on the port it had before if it had one."""
        if self._process is not None:
            raise RuntimeError("the front is running")
        command = [sys.executable, "-m", "tests.clickhouse_front.server", "--until-stdin-ends"]
        command += ["--path", str(self.path), "--port", str(self.port)]
        if self.user is not None:
            command += ["--user", self.user, "--password", self.password or ""]
        for grant in self.grants:
            command += ["--grant", grant]
        with self._errors.open("ab") as stderr:
            self._process = subprocess.Popen(
                command,
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
            )
        said = self._first_line(self._process)
        if not said:
            self._end(signal.SIGKILL)
            raise RuntimeError(f"the front did not start: {self._complaints()}")
        self.port = int(said)

    def stop(self) -> None:
        """SIGTERM: requests in flight are finished. No-op when it is not running."""
        if self._end(signal.SIGTERM):
            raise RuntimeError(f"the front did not end cleanly: {self._complaints()}")

    def kill(self) -> None:
        """SIGKILL, and wait until the process is gone. No-op when it is not running."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Stop it if it runs and start it again; faults that were left are forgotten."""
        self.stop()
        self.start()

    def inject(
        self,
        kind: FaultKind,
        *,
        match: str,
        times: int = 1,
        skip: int = 0,
        code: int = 0,
        status: int = 502,
        seconds: float = 0.0,
    ) -> None:
        """Let the next `times` statements that contain `match` fail, after `skip` that do not.

        Kinds: `drop_before` (not executed, no answer), `drop_after` (executed, no answer),
        `error` (not executed; `code`), `http_status` (not executed; a proxy's page with
        `status`), `delay` (executed after `seconds`), `truncate` (executed, half an answer).
        """
        self._control("POST", Fault(kind, match, times, skip, code, status, seconds))

    def faults(self) -> list[dict[str, object]]:
        """The faults that are not spent yet; empty when all that was ordered has happened."""
        return self._control("GET")

    def clear_faults(self) -> None:
        """Take back all faults that are not spent yet."""
        self._control("DELETE")

    def requests(self, match: str = "") -> list[LoggedRequest]:
        """All requests with `match` in their SQL since the path's first start, oldest first.

        Read from a file: it can be asked after a kill, too.
        """
        return read_requests(log_file(self.path), match)

    def _control(self, method: str, fault: Fault | None = None) -> list[dict[str, object]]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=moment_s())
        with contextlib.closing(connection):
            body = json.dumps(vars(fault)) if fault else None
            connection.request(method, "/__faults", body)
            response = connection.getresponse()
            text = response.read()
            if response.status != 200:
                raise RuntimeError(f"the front refused: {text.decode()}")
        answer: list[dict[str, object]] = json.loads(text)
        return answer

    @staticmethod
    def _first_line(process: subprocess.Popen[bytes]) -> bytes:
        if process.stdout is None:
            return b""
        ready, _, _ = select.select([process.stdout], [], [], moment_s())
        return process.stdout.readline() if ready else b""

    def _complaints(self) -> str:
        return self._errors.read_text(errors="replace")[-2000:].strip() or "it said nothing"

    def _end(self, how: signal.Signals) -> int:
        """Ends the process; returns its exit code, 0 when it had ended before."""
        process, self._process = self._process, None
        if process is None:
            return 0
        had_ended = process.poll() is not None
        process.send_signal(how)
        try:
            process.wait(moment_s())
        finally:
            process.kill()  # nothing is sent to one that has ended
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()
        return 0 if had_ended else process.returncode


@contextlib.contextmanager
def http_front(
    path: Path,
    *,
    user: str | None = None,
    password: str | None = None,
    grants: Sequence[str] = (),
) -> Iterator[Front]:
    """A server on the engine files at `path` (made if need be), ended on the way out.

    With grants (GRANT statements), its requests may do no more than these say.
    """
    front = Front(path, user, password, grants)
    try:
        yield front
    finally:
        front.stop()
