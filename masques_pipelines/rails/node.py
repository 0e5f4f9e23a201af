"""Sends requests to a node: bounded, retried, JSON-RPC single or in batches.

Providers' URLs hold keys in their paths: only scheme, host and port ever appear in a text.
"""

import logging
import random
import re
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import httpx2
from tenacity import RetryCallState, Retrying, retry_if_exception_type

from masques_pipelines.rails.protocol import RailRefusedError, RailUnavailableError
from masques_pipelines.rails.redaction import Redactor, redactor_of

ATTEMPTS_MAX: Final = 4
# Of a request that can be made smaller instead.
ATTEMPTS_WIDE: Final = 2
# 0.5, 1 and 2 s, each plus up to half of it, and a Retry-After of up to 10 s before that.
PAUSE_FIRST_S: Final = 0.5
RETRY_AFTER_MAX_S: Final = 10.0
TIMEOUT: Final = httpx2.Timeout(30.0, connect=10.0)
# Providers take 100 and more calls in one request; the answers of 50 receipts are about 100 kB.
BATCH_MAX: Final = 50
RESPONSE_BYTES_MAX: Final = 256 * 1024 * 1024

_TEXT_MAX: Final = 200
# What is read of a message; providers name their limits near its start.
_MESSAGE_MAX: Final = 2_000
# How providers say "ask less often". The code -32005 alone also means "too many results".
_BUSY_WORDS: Final = re.compile(
    r"rate.?limit|too many requests?\b|requests? (?:count|limit|rate)|compute units|capacity"
    r"|\brps\b|per second|quota|throttl|slow down",
    re.IGNORECASE,
)
_BUSY_CODES: Final = (429, -32029, -32097)
# How nodes say that it may pass by itself.
_LATER_CODES: Final = (-32603, -32004, -32014, -32016)
_LATER_WORDS: Final = re.compile(
    r"time[d ]?\s?out|try again|temporar|unavailable|internal error|overloaded", re.IGNORECASE
)
_LIMIT_EXCEEDED: Final = -32005
_LOGS: Final = "eth_getLogs"
_BATCH_WORD: Final = "batch"
_RETRY_DIGITS: Final = 10

logger = logging.getLogger(__name__)
Result = TypeVar("Result")


class RpcError(RailRefusedError):
    """A node answered a JSON-RPC call with an error.

    Attributes:
        code: The node's code.
        message: The node's own text.
        data: Further details, as the node answered them.
    """

    def __init__(self, text: str, *, code: int, message: str, data: Any = None) -> None:
        super().__init__(text)
        self.code = code
        self.message = message
        self.data = data


class RailBusyError(RailUnavailableError):
    """A provider's rate limit: smaller requests would only be more requests."""


class _TryLaterError(Exception):
    """One attempt failed for a reason that may pass; the text is the reason."""

    def __init__(self, problem: str, *, retry_after_s: float = 0.0, is_busy: bool = False) -> None:
        super().__init__(problem)
        self.retry_after_s = retry_after_s
        self.is_busy = is_busy


@dataclass
class HttpNode:
    """A node behind HTTP; one call at a time.

    Attributes:
        client: The connection pool.
        url: Its address; may hold a key, so it is in no text.
        description: Scheme, host and port.
        calls: Requests sent, including retries.
        answered_at_s: Time of the newest answer by the node's clock, None when it does not say.
        sleep: Waits between attempts; tests pass their own.
        redact: Takes our own secrets out of what the node answered.
    """

    client: httpx2.Client = field(repr=False)
    url: str = field(repr=False)
    description: str
    calls: int = 0
    answered_at_s: int | None = None
    sleep: Callable[[float], None] = field(default=time.sleep, repr=False)
    redact: Redactor = field(default_factory=Redactor, repr=False)

    def close(self) -> None:
        """Closes the connections."""
        self.client.close()

    def json(
        self,
        method: str,
        path: str = "",
        *,
        params: Mapping[str, Any] | None = None,
        body: Any = None,
    ) -> tuple[int, Any]:
        """Returns status and JSON of an answer; retries transient failures.

        Raises:
            RailUnavailableError: Each attempt failed: no answer, a busy node, or no JSON.
            RailRefusedError: The node refuses our credentials.
        """
        return self.persist(lambda: self.send_once(method, path, params=params, body=body))

    def persist(self, call: Callable[[], Result], *, attempts: int = ATTEMPTS_MAX) -> Result:
        """Calls until an attempt succeeds.

        Raises:
            RailBusyError: Each attempt met a rate limit.
            RailUnavailableError: Each attempt failed; other errors at the first attempt.
        """
        try:
            return self.attempt(call, attempts=attempts)
        except _TryLaterError as error:
            made = ATTEMPTS_MAX if error.is_busy else attempts
            kind = RailBusyError if error.is_busy else RailUnavailableError
            raise kind(
                f"{self.description}: {error} at each of {made} attempts: check that the "
                "node is up and within its limits; the next run continues where this one stopped"
            ) from error

    def attempt(self, call: Callable[[], Result], *, attempts: int = ATTEMPTS_MAX) -> Result:
        """Calls at most ATTEMPTS_MAX times, with pauses: the one retry policy of the rails.

        Args:
            call: Makes one attempt.
            attempts: Fewer attempts for what is not a rate limit.

        Raises:
            _TryLaterError: The last attempt failed too; other errors at the first attempt.
        """

        def is_enough(state: RetryCallState) -> bool:
            error = state.outcome.exception() if state.outcome else None
            is_busy = isinstance(error, _TryLaterError) and error.is_busy
            return state.attempt_number >= (ATTEMPTS_MAX if is_busy else attempts)

        retrying = Retrying(
            retry=retry_if_exception_type(_TryLaterError),
            stop=is_enough,
            wait=_pause_s,
            sleep=self.sleep,
            before_sleep=self._log_retry,
            reraise=True,
        )
        return retrying(call)

    def send_once(
        self,
        method: str,
        path: str = "",
        *,
        params: Mapping[str, Any] | None = None,
        body: Any = None,
    ) -> tuple[int, Any]:
        """Makes one attempt; call it within `persist` or `attempt`.

        Raises:
            _TryLaterError: It failed for a reason that may pass.
            RailRefusedError: The node refuses our credentials.
        """
        self.calls += 1
        try:
            answer = self.client.request(method, self.url + path, params=params, json=body)
        except httpx2.HTTPError as error:
            # The text of a transport error may hold the address; its type does not.
            raise _TryLaterError(f"no answer ({type(error).__name__})") from error
        answered_at = _date(answer.headers.get("Date", ""))
        self.answered_at_s = None if answered_at is None else int(answered_at.timestamp())
        if answer.status_code in (401, 403):
            raise RailRefusedError(
                f"{self.description}: it refuses our credentials (HTTP {answer.status_code}): "
                "check the key, token or macaroon of the settings"
            )
        parsed = _json_of(answer)
        if parsed is not None and answer.status_code not in (429, 502, 503, 504):
            return answer.status_code, parsed
        raise _TryLaterError(
            f"HTTP {answer.status_code}" + ("" if parsed is not None else " without JSON"),
            retry_after_s=_retry_after_s(answer),
            is_busy=answer.status_code == httpx2.codes.TOO_MANY_REQUESTS,
        )

    def _log_retry(self, state: RetryCallState) -> None:
        problem = state.outcome.exception() if state.outcome else None
        pause_s = state.next_action.sleep if state.next_action else 0.0
        logger.warning("%s: %s; next attempt in %.1f s", self.description, problem, pause_s)


@dataclass
class JsonRpc:
    """JSON-RPC 2.0 over a node.

    Attributes:
        node: Where calls are sent.
        takes_batches: Whether the node answers a list of calls; the first batch shows it.
    """

    node: HttpNode
    takes_batches: bool = True

    def call(self, method: str, *params: Any, attempts: int = ATTEMPTS_MAX) -> Any:
        """Returns the result of one call.

        Raises:
            RpcError: The node answered with an error that a retry does not change.
            RailUnavailableError, RailRefusedError: as HttpNode.json.
        """
        return self.node.persist(lambda: self._send(method, params), attempts=attempts)

    def batch(self, method: str, params: Sequence[Sequence[Any]]) -> list[Any]:
        """Returns the results of many calls of one method, in order, BATCH_MAX a request.

        Raises:
            RpcError: The node answered one of them with an error.
            RailUnavailableError, RailRefusedError: as HttpNode.json.
        """
        results = self.many([(method, each) for each in params])
        for each in results:
            if isinstance(each, RpcError):
                raise each
        return results

    def many(
        self, calls: Sequence[tuple[str, Sequence[Any]]], *, attempts: int = ATTEMPTS_MAX
    ) -> list[Any]:
        """Returns the results of many calls, in order, BATCH_MAX a request.

        A call that the node answers with an error has that RpcError as its result: it is the
        failure of one item. Calls of one request are answered by one backend where the provider
        takes batches.

        Args:
            calls: Method and parameters of each.
            attempts: Fewer attempts for what is not a rate limit.

        Raises:
            RailUnavailableError, RailRefusedError: as HttpNode.json.
        """
        results: list[Any] = []
        for start in range(0, len(calls), BATCH_MAX):
            chunk = calls[start : start + BATCH_MAX]
            answers = self._batch(chunk) if len(chunk) > 1 else {}
            for number, (method, params) in enumerate(chunk):
                if number not in answers:
                    answers[number] = self._single(method, params, attempts)
                results.append(answers[number])
        return results

    def _single(self, method: str, params: Sequence[Any], attempts: int) -> Any:
        try:
            return self.call(method, *params, attempts=attempts)
        except RpcError as error:
            return error

    def _send(self, method: str, params: Sequence[Any]) -> Any:
        _, answer = self.node.send_once("POST", body=_request(0, method, params))
        if not isinstance(answer, dict) or ("result" not in answer and "error" not in answer):
            raise _TryLaterError(f"{method}: the answer is not JSON-RPC")
        if answer.get("error") is None:
            return answer.get("result")
        error = self._error(method, answer["error"])
        if is_busy(error, method) or may_pass(error, method):
            raise _TryLaterError(f"{method}: {error.message}", is_busy=is_busy(error, method))
        raise error

    def _batch(self, chunk: Sequence[tuple[str, Sequence[Any]]]) -> dict[int, Any]:
        """Returns the results by number; those that are missing have to be requested one by one.

        Whatever is wrong with a batch is no reason to give up: single calls decide.
        """
        if not self.takes_batches:
            return {}
        body = [_request(number, *each) for number, each in enumerate(chunk)]
        try:
            answers = self.node.attempt(
                lambda: self._send_batch(chunk[0][0], body), attempts=ATTEMPTS_WIDE
            )
        except _TryLaterError:
            return {}
        except RailRefusedError:
            # HTTP 403: batches are not in the plan. Wrong credentials are refused singly too.
            self.takes_batches = False
            return {}
        if not isinstance(answers, list):
            self.takes_batches = False  # the node takes no batches, or not of this size
            return {}
        by_number = _by_number(answers, len(body))
        return {
            number: self._result(chunk[number][0], each)
            for number, each in by_number.items()
            if self._is_result(chunk[number][0], each)
        }

    def _is_result(self, method: str, answer: Mapping[str, Any]) -> bool:
        """Returns whether an answer in a batch decides its call; a single call may do better."""
        if answer.get("error") is None:
            return "result" in answer
        error = self._error(method, answer["error"])
        return not (is_busy(error, method) or may_pass(error, method) or _BATCH_WORD in str(error))

    def _result(self, method: str, answer: Mapping[str, Any]) -> Any:
        error = answer.get("error")
        return answer["result"] if error is None else self._error(method, error)

    def _send_batch(self, method: str, body: Sequence[Mapping[str, Any]]) -> Any:
        _, answers = self.node.send_once("POST", body=body)
        error = answers.get("error") if isinstance(answers, dict) else None
        if error and is_busy(self._error(method, error), method):
            raise _TryLaterError(f"{method}: the provider's rate limit", is_busy=True)
        return answers

    def _error(self, method: str, error: Any) -> RpcError:
        known = error if isinstance(error, dict) else {"message": str(error)}
        code, message = known.get("code", 0), str(known.get("message", ""))[:_MESSAGE_MAX]
        message = self.node.redact(" ".join(message.split()))
        return RpcError(
            f"{self.node.description}: {method}: {message[:_TEXT_MAX]} (code {code})",
            code=code if isinstance(code, int) else 0,
            message=message,
            data=known.get("data"),
        )


def is_busy(error: RpcError, method: str = "") -> bool:
    """Returns whether a node asks for fewer requests, rather than for a smaller one."""
    if error.code in _BUSY_CODES or _BUSY_WORDS.search(error.message):
        return True
    return error.code == _LIMIT_EXCEEDED and method not in ("", _LOGS)


def may_pass(error: RpcError, method: str = "") -> bool:
    """Returns whether an error may pass by itself; a search for logs is made smaller instead."""
    if error.code in _LATER_CODES:
        return True
    return method != _LOGS and bool(_LATER_WORDS.search(error.message))


def open_node(
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    ca_file: Path | None = None,
    sleep: Callable[[float], None] = time.sleep,
    transport: httpx2.BaseTransport | None = None,
) -> HttpNode:
    """Returns a node; nothing is sent yet.

    Args:
        url: http(s)://… of the provider.
        headers: Sent with each request, never shown.
        ca_file: The node's own certificate, or the one that signed it.
        sleep: Waits between attempts.
        transport: Answers instead of the network; the URL only names it.

    Raises:
        RailRefusedError: The URL is not valid, or the certificate cannot be read.
    """
    if transport is not None:
        return HttpNode(httpx2.Client(transport=transport), url, url, sleep=sleep)
    parts = urlsplit(url)
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
    # Its own log of requests shows whole URLs, and providers' URLs hold keys.
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    client = httpx2.Client(
        headers=dict(headers or {}), timeout=TIMEOUT, verify=verify, follow_redirects=False
    )
    redact = redactor_of(url, headers or {})
    return HttpNode(client, url.rstrip("/"), description, sleep=sleep, redact=redact)


def _pause_s(state: RetryCallState) -> float:
    """Returns the pause after a failed attempt; it grows, and follows the node's Retry-After."""
    pause_s = PAUSE_FIRST_S * 2.0 ** (state.attempt_number - 1)
    pause_s += random.uniform(0, pause_s / 2)  # noqa: S311 - jitter, not a secret
    error = state.outcome.exception() if state.outcome else None
    return pause_s + (error.retry_after_s if isinstance(error, _TryLaterError) else 0.0)


def _retry_after_s(answer: httpx2.Response) -> float:
    """Returns the pause that a node asks for: seconds, or the difference of its two dates."""
    text = answer.headers.get("Retry-After", "")
    if text.isascii() and text.isdigit() and len(text) < _RETRY_DIGITS:
        return min(float(text), RETRY_AFTER_MAX_S)
    until, now = _date(text), _date(answer.headers.get("Date", ""))
    if until is None:
        return 0.0
    pause_s = (until - (now or datetime.now(UTC))).total_seconds()
    return min(max(pause_s, 0.0), RETRY_AFTER_MAX_S)


def _date(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _by_number(answers: Sequence[Any], count: int) -> dict[int, Any]:
    """Returns the answers of a batch by the id of their call; none where that is not certain."""
    found: dict[int, Any] = {}
    for each in answers:
        number = each.get("id") if isinstance(each, dict) else None
        if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < count:
            return {}
        if number in found:
            return {}
        found[number] = each
    return found


def _request(number: int, method: str, params: Sequence[Any]) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": list(params)}


def _json_of(answer: httpx2.Response) -> Any:
    """Returns the JSON of an answer, None when it is anything else (a proxy's HTML)."""
    if len(answer.content) > RESPONSE_BYTES_MAX:
        return None
    try:
        return answer.json()
    except (ValueError, RecursionError):
        return None
