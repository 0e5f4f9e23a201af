"""Replays a recorded conversation with a node, and records one: to show a fault to others.

A request that was not recorded is an error.

The file is JSON: {"recorded_at_s": n, "exchanges": [{"request": [method, path, body], "status": n,
"response": …}]}. A request is identified by method, path with query, and body without JSON-RPC
ids.
"""

import json
from pathlib import Path
from typing import Any

import httpx2

from masques_pipelines.errors import PermanentError


class RecordingError(PermanentError):
    """A recording is missing, damaged, or does not hold the request that was made."""


def recorded_transport(path: Path) -> httpx2.MockTransport:
    """Returns a transport that answers from a recording.

    Raises:
        RecordingError: The file cannot be read.
    """
    try:
        exchanges = json.loads(path.read_text(encoding="utf-8"))["exchanges"]
        answers = {_key(each["request"]): each for each in exchanges}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RecordingError(
            f"{path}: it cannot be read as a recording ({type(error).__name__}): restore the "
            "file, or remove the sandbox's folder and run again"
        ) from error

    def answer(request: httpx2.Request) -> httpx2.Response:
        found = answers.get(_key(request_of(request)))
        if found is None:
            raise RecordingError(
                f"{path}: the recording holds no answer to {request_of(request)}: it was made by "
                "another version or with other settings"
            )
        body = _with_ids(found["response"], json.loads(request.content or b"null"))
        return httpx2.Response(found["status"], json=body)

    return httpx2.MockTransport(answer)


def request_of(request: httpx2.Request) -> list[Any]:
    """Returns what identifies a request: method, path with query, body without ids."""
    body = json.loads(request.content) if request.content else None
    query = f"?{request.url.query.decode()}" if request.url.query else ""
    return [request.method, request.url.path.rstrip("/") + query, _without_ids(body)]


def recording_transport(
    inner: httpx2.BaseTransport, exchanges: list[dict[str, Any]]
) -> httpx2.BaseTransport:
    """Returns a transport that forwards requests and records each exchange once."""

    class Recorder(httpx2.BaseTransport):
        def handle_request(self, request: httpx2.Request) -> httpx2.Response:
            response = inner.handle_request(request)
            response.read()
            entry = {
                "request": request_of(request),
                "status": response.status_code,
                "response": _without_ids(response.json()),
            }
            if entry not in exchanges:
                exchanges.append(entry)
            return response

    return Recorder()


def _key(request: list[Any]) -> str:
    return json.dumps(request, sort_keys=True)


def _without_ids(body: Any) -> Any:
    if isinstance(body, list):
        return [_without_ids(each) for each in body]
    if isinstance(body, dict):
        return {key: value for key, value in body.items() if key not in ("id", "jsonrpc")}
    return body


def _with_ids(response: Any, request: Any) -> Any:
    if isinstance(response, list) and isinstance(request, list):
        return [{**each, "id": asked["id"]} for each, asked in zip(response, request, strict=True)]
    return response
