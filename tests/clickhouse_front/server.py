"""A ClickHouse HTTP server for tests: the wire of a server, the embedded engine behind it.

`masques serve`, with faults that a test orders, users with the grants of a role, and a log of what
was asked. The server is a process of its own, since a process can open one engine path only
and a fork of one that has opened it hangs. The engine's files stay, so a restart finds what was
committed. `python -m tests.clickhouse_front.server --path DIR` starts one by hand.
"""

import argparse
import asyncio
import json
import signal
import socket
import sys
from pathlib import Path

import uvicorn
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from masques_pipelines.warehouse.serve.app import App, as_job
from masques_pipelines.warehouse.serve.engine import Engine, Job
from masques_pipelines.warehouse.serve.process import server_config, stop_when_input_ends
from masques_pipelines.warehouse.serve.wire import read_question
from masques_pipelines.warehouse.statements import ServerError
from tests.clickhouse_front.engine import open_engine
from tests.clickhouse_front.faults import Cut, Fault, Protocol, take_fault
from tests.clickhouse_front.log import (
    LOGGED_SQL_CHARS,
    LoggedRequest,
    front_dir,
    log_file,
    new_entry,
    write_request,
)


class FrontApp(App):
    """What `masques serve` answers with, and `/__faults` for the tests; everything is logged."""

    name = "http_front"

    def __init__(self, engine: Engine, log: Path, user: str | None, password: str | None) -> None:
        super().__init__(engine, log.parent, {} if user is None else {user: password or ""})
        self._log = log
        self._asks_for_credentials = user is not None
        self._faults: list[Fault] = []

    def routes(self) -> list[Route]:
        faults = Route("/__faults", self.faults, methods=["GET", "POST", "DELETE"])
        return [*super().routes(), faults]

    async def faults(self, request: Request) -> Response:
        """Order faults, list those that have not all been spent, or take them back."""
        if request.method == "POST":
            self._faults.append(Fault(**await request.json()))
        if request.method == "DELETE":
            self._faults.clear()
        return JSONResponse([vars(fault) for fault in self._faults])

    async def plain(self, request: Request) -> Response:
        """One request, logged when it arrives and again when its answer is known."""
        try:
            body = await request.body()
        except ClientDisconnect:
            return Cut()
        url = request.query_params
        entry = new_entry(body, url.get("database", ""), url.get("query_id", ""))
        try:
            if self._asks_for_credentials:
                self.user(request)
            question = read_question(request, body, entry["query_id"])
            entry["sql"] = question.statement.text[:LOGGED_SQL_CHARS]
            entry["settings"], entry["params"] = question.settings, question.params
            entry["database"] = question.database
            write_request(self._log, entry)
            with self.session(question.session):
                response = await self._answer(request, as_job(question, ""), entry)
        except ServerError as error:
            entry["code"] = error.code
            response = self.error_response(error, entry["query_id"])
        except ClientDisconnect:
            response = Cut()
        if entry["fault"] in {"drop_after", "truncate"}:
            response = Cut(response if entry["fault"] == "truncate" else None)
        entry["status"] = 0 if isinstance(response, Cut) else response.status_code
        entry["finished"] = True
        write_request(self._log, entry)
        return response

    async def _answer(self, request: Request, job: Job, entry: LoggedRequest) -> Response:
        fault = take_fault(self._faults, job.statement.text)
        if fault is not None:
            entry["fault"] = fault.kind
            early = await self._fail_before(fault)
            if early is not None:
                return early
        response = await self.whole(request, job)
        entry["executed"] = True
        summary = json.loads(response.headers["X-ClickHouse-Summary"])
        entry["rows_written"] = int(summary.get("written_rows", 0))
        return response

    async def _fail_before(self, fault: Fault) -> Response | None:
        """What happens instead of the statement; None when it is to run after all."""
        if fault.kind == "drop_before":
            return Cut()
        if fault.kind == "error":
            raise self.engine.error(fault.code, "Ordered by the test")
        if fault.kind == "http_status":
            page = f"<html><head><title>{fault.status}</title></head><body>proxy</body></html>"
            return Response(page, fault.status, media_type="text/html")
        if fault.kind == "delay":
            await asyncio.sleep(fault.seconds)
        return None


def _serve(
    path: Path, port: int, user: str | None, password: str | None, grants: list[str]
) -> None:
    """Open the engine, say on stdout which port it is, serve until SIGTERM."""
    engine = open_engine(path, front_dir(path), grants)
    app = FrontApp(engine, log_file(path), user, password).starlette()
    config = server_config(app, Protocol)
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(128)
        sys.stdout.write(f"{listener.getsockname()[1]}\n")
        sys.stdout.flush()
        # uvicorn ends itself by the signal that it was sent; asked to stop is not a failure.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        uvicorn.Server(config).run(sockets=[listener])


def main() -> None:
    """Run a server until SIGTERM or Ctrl-C."""
    parser = argparse.ArgumentParser(description="ClickHouse's HTTP interface over chDB, for tests")
    parser.add_argument("--path", type=Path, required=True, help="the engine's folder")
    parser.add_argument("--port", type=int, default=0, help="0: any free port; it is printed")
    parser.add_argument("--user")
    parser.add_argument("--password")
    parser.add_argument("--grant", action="append", default=[], help="what requests may do: GRANT")
    parser.add_argument("--until-stdin-ends", action="store_true")
    args = parser.parse_args()
    if args.until_stdin_ends:
        stop_when_input_ends()
    _serve(args.path.resolve(), args.port, args.user, args.password, args.grant)


if __name__ == "__main__":
    main()
