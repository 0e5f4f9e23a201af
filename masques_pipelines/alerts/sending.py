"""Sends messages to the receivers, and writes down what was sent to whom."""

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from masques_pipelines.alerts.fault import Severity
from masques_pipelines.alerts.outbox import Waiting
from masques_pipelines.alerts.rules import Receiver, Rules
from masques_pipelines.errors import SettingError

LOG_NAME: Final = "alerts.ndjson"
_PING_TIMEOUT_S: Final = 10.0
_TYPES: Final[dict[Severity | None, str]] = {
    "error": "failure",
    "warning": "warning",
    None: "success",
}
logger = logging.getLogger(__name__)


def opened(receiver: Receiver) -> tuple[str, Callable[..., Any]]:
    """Returns a receiver's address without its secrets, and what sends to it; calls nobody.

    Raises:
        SettingError: Its URL is none that apprise knows, or the file that holds it is unreadable.
    """
    # It takes longer to load than most commands need.
    import apprise  # noqa: PLC0415

    known = apprise.Apprise.instantiate(receiver.address(), suppress_exceptions=True)
    if known is None:
        raise SettingError("its URL is none that apprise knows")
    shown = str(known.url(privacy=True)).split("?", 1)[0]  # type: ignore[no-untyped-call]
    return shown, known.notify


@dataclass(frozen=True)
class Sender:
    """Sends a message to a receiver, and writes down whether it took it.

    Attributes:
        folder: Where the log is.
    """

    folder: Path

    def __call__(self, receiver: Receiver, waiting: Waiting) -> str:
        """Returns why the receiver did not take a message, or ''."""
        message = waiting.message
        shown, problem = "a receiver", ""
        try:
            shown, notify = opened(receiver)
            if not notify(
                body=message.body, title=message.title, notify_type=_TYPES[message.severity]
            ):
                problem = "it did not take the message"
        except SettingError as error:
            problem = str(error)
        if problem:
            logger.error("%s could not be told of %s: %s", shown, message.title, problem)
        line = {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "to": shown,
            "title": message.title,
            "ids": waiting.ids,
            "problem": problem,
        }
        try:
            with (self.folder / LOG_NAME).open("a", encoding="utf-8") as log:
                log.write(json.dumps(line) + "\n")
        except OSError as error:
            # The message is out: to send it again would not bring the line.
            logger.warning("%s: it cannot be written (%s)", self.folder / LOG_NAME, error)
        return problem


def ping(rules: Rules) -> str:
    """Calls the monitor outside, which alarms when nobody calls; returns what went wrong, or ''."""
    if rules.ping is None:
        return ""
    import httpx2  # noqa: PLC0415 - as above

    try:
        answer = httpx2.get(str(rules.ping), timeout=_PING_TIMEOUT_S, follow_redirects=True)
    except httpx2.HTTPError as error:
        return f"the monitor of `ping` gives no answer ({type(error).__name__})"
    if answer.is_error:
        return f"the monitor of `ping` answers {answer.status_code}"
    return ""
