"""One way to talk to a node: bounded, retried, and silent about credentials.

Here: requests with their retries, JSON-RPC on top, single and in batches.
Not here: what is asked (each rail's file).
A re-run asks again; nothing here changes a node.

Providers' addresses carry keys in their paths: only scheme, host and port ever appear in a text.
"""

import logging
import random
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from masques_pipelines.rails.protocol import RailRefusedError, RailUnavailableError
from masques_pipelines.rails.recording import recorded_transport

ATTEMPTS_MAX: Final = 4
# 0.5, 1 and 2 s, each plus up to half of it; a Retry-After of up to 10 s is obeyed.
PAUSE_FIRST_S: Final = 0.5
RETRY_AFTER_MAX_S: Final = 10.0
TIMEOUT: Final = httpx.Timeout(30.0, connect=10.0)
# Providers take 100 requests and more in one; the answers of 50 receipts are some 100 kB.
BATCH_MAX: Final = 50
RESPONSE_BYTES_MAX: Final = 256 * 1024 * 1024

_TEXT_MAX: Final = 200
# JSON-RPC errors that mean "later". -32005 is also used for "too many results": see is_rate_limit.
_RATE_WORDS: Final = ("rate limit", "too many requests", "exceeded its compute", "over capacity")
_LATER_CODES: Final = (-32603, -32004, -32014, -32016)

logger = logging.getLogger(__name__)


class RpcError(RailRefusedError):
    """A node answered a JSON-RPC call with an error.

    Attributes:
        code: The node's code.
        message: The node's words, cut.
        data: What else it said.
    """

    def __init__(self, text: str, *, code: int, message: str, data: Any = None) -> None:
        super().__init__(text)
        self.code = code
        self.message = message
        self.data = data


@dataclass
class HttpNode:
    """A node behind HTTP; one call at a time.

    Attributes:
        client: The connection pool.
        url: Where it is; may hold a key, so it is in no text.
        description: Scheme, host and port.
        calls: Requests sent, retries among them.
        sleep: Waits between attempts; tests pass their own.
    """

    client: httpx.Client = field(repr=False)
    url: str = field(repr=False)
    description: str
    calls: int = 0
    sleep: Callable[[float], None] = field(default=time.sleep, repr=False)

    def close(self) -> None:
        """Ends the connections."""
        self.client.close()

    def json(
        self,
        method: str,
        path: str = "",
        *,
        params: Mapping[str, Any] | None = None,
        body: Any = None,
    ) -> tuple[int, Any]:
        """Returns status and JSON of an answer; retries what may pass.

        Raises:
            RailUnavailableError: Each attempt failed: no answer, a busy node, or no JSON.
            RailRefusedError: The node does not take our credentials.
        """
        problem = ""
        for attempt in range(ATTEMPTS_MAX):
            if attempt:
                self.pause(attempt, problem)
            try:
                self.calls += 1
                answer = self.client.request(method, self.url + path, params=params, json=body)
            except httpx.HTTPError as error:
                # The text of a transport error may hold the address; its kind does not.
                problem = f"no answer ({type(error).__name__})"
                continue
            if answer.status_code in (401, 403):
                raise RailRefusedError(
                    f"{self.description}: it refuses our credentials (HTTP {answer.status_code}): "
                    "check the key, token or macaroon of the settings"
                )
            parsed = _json_of(answer)
            if parsed is not None and answer.status_code not in (429, 502, 503, 504):
                return answer.status_code, parsed
            problem = f"HTTP {answer.status_code}" + ("" if parsed is not None else " without JSON")
            self._obey(answer)
        raise RailUnavailableError(
            f"{self.description}: {problem} at each of {ATTEMPTS_MAX} attempts: see whether the "
            "node is up and within its limits; the next run goes on where this one stopped"
        )

    def pause(self, attempt: int, problem: str) -> None:
        """Waits before another attempt, the longer the more there were."""
        pause_s = PAUSE_FIRST_S * 2 ** (attempt - 1)
        pause_s += random.uniform(0, pause_s / 2)  # noqa: S311 - jitter, no secret
        logger.warning("%s: %s; again in %.1f s", self.description, problem, pause_s)
        self.sleep(pause_s)

    def _obey(self, answer: httpx.Response) -> None:
        after = answer.headers.get("Retry-After", "")
        if after.isdigit() and int(after) > 0:
            self.sleep(min(float(after), RETRY_AFTER_MAX_S))


@dataclass
class JsonRpc:
    """JSON-RPC 2.0 over a node.

    Attributes:
        node: Where calls go.
        takes_batches: Whether the node answers a list of calls; found out at the first.
    """

    node: HttpNode
    takes_batches: bool = True

    def call(self, method: str, *params: Any) -> Any:
        """Returns the result of one call.

        Raises:
            RpcError: The node answered with an error that will come again.
            RailUnavailableError, RailRefusedError: as HttpNode.json.
        """
        problem = ""
        for attempt in range(ATTEMPTS_MAX):
            if attempt:
                self.node.pause(attempt, problem)
            _, answer = self.node.json("POST", body=_request(0, method, params))
            if not isinstance(answer, dict) or ("result" not in answer and "error" not in answer):
                problem = f"{method}: the answer is no JSON-RPC"
                continue
            if answer.get("error") is None:
                return answer.get("result")
            error = self._error(method, answer["error"])
            if not is_rate_limit(error):
                raise error
            problem = f"{method}: {error.message}"
        raise RailUnavailableError(
            f"{self.node.description}: {problem} at each of {ATTEMPTS_MAX} attempts: see whether "
            "the node is within its limits; the next run goes on where this one stopped"
        )

    def batch(self, method: str, params: Sequence[Sequence[Any]]) -> list[Any]:
        """Returns the results of many calls of one method, in order, BATCH_MAX a request."""
        results: list[Any] = []
        for start in range(0, len(params), BATCH_MAX):
            chunk = params[start : start + BATCH_MAX]
            answers = self._send_batch(method, chunk) if len(chunk) > 1 else None
            if answers is None:
                answers = [self.call(method, *each) for each in chunk]
            results.extend(answers)
        return results

    def _send_batch(self, method: str, chunk: Sequence[Sequence[Any]]) -> list[Any] | None:
        """Returns the results, or None when they have to be asked for one by one."""
        if not self.takes_batches:
            return None
        body = [_request(number, method, each) for number, each in enumerate(chunk)]
        for attempt in range(ATTEMPTS_MAX):
            _, answers = self.node.json("POST", body=body)
            if isinstance(answers, list):
                break
            error = answers.get("error") if isinstance(answers, dict) else None
            if not error or not is_rate_limit(self._error(method, error)):
                self.takes_batches = False  # the node knows no batches, or not of this size
                return None
            self.node.pause(attempt + 1, f"{method}: the provider's rate limit")
        else:
            return None
        by_id = {each.get("id"): each for each in answers if isinstance(each, dict)}
        if any(
            by_id.get(number, {"error": ""}).get("error") is not None for number in range(len(body))
        ):
            return None  # one by one, with the retries and errors of single calls
        return [by_id[number].get("result") for number in range(len(body))]

    def _error(self, method: str, error: Any) -> RpcError:
        known = error if isinstance(error, dict) else {"message": str(error)}
        code, message = known.get("code", 0), " ".join(str(known.get("message", "")).split())
        return RpcError(
            f"{self.node.description}: {method}: {message[:_TEXT_MAX]} (code {code})",
            code=code if isinstance(code, int) else 0,
            message=message,
            data=known.get("data"),
        )


def is_rate_limit(error: RpcError) -> bool:
    """Says whether a node asks to come again later, rather than to ask for less."""
    text = error.message.lower()
    return error.code in _LATER_CODES or any(word in text for word in _RATE_WORDS)


def open_node(
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    ca_file: Path | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> HttpNode:
    """Returns a node; nothing is sent yet. `recording:///folder/file` replays what was recorded.

    Args:
        url: http(s)://… as the provider gives it.
        headers: Sent with each request, never shown.
        ca_file: The certificate that the node's own must be signed by (or be).
        sleep: Waits between attempts.

    Raises:
        RailRefusedError: The URL is none, or the certificate cannot be read.
    """
    parts = urlsplit(url)
    if parts.scheme == "recording":
        transport = recorded_transport(Path(parts.path))
        return HttpNode(httpx.Client(transport=transport), "http://recording", url, sleep=sleep)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise RailRefusedError("a node's URL must be http(s)://host…: see .env.example")
    description = f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")
    verify: Any = True
    if ca_file is not None:
        try:
            verify = ssl.create_default_context(cafile=str(ca_file))
        except (OSError, ssl.SSLError) as error:
            raise RailRefusedError(
                f"{ca_file}: it cannot be read as a certificate ({type(error).__name__}): "
                "give the node's tls.cert"
            ) from error
    client = httpx.Client(
        headers=dict(headers or {}), timeout=TIMEOUT, verify=verify, follow_redirects=False
    )
    return HttpNode(client, url.rstrip("/"), description, sleep=sleep)


def _request(number: int, method: str, params: Sequence[Any]) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": list(params)}


def _json_of(answer: httpx.Response) -> Any:
    """Returns the JSON of an answer, None when it is something else (a proxy's HTML)."""
    if len(answer.content) > RESPONSE_BYTES_MAX:
        return None
    try:
        return answer.json()
    except ValueError:
        return None
