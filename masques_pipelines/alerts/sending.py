"""Sends messages to the receivers, and writes down what was sent to whom."""

import json
import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from masques_pipelines.alerts.fault import Fault, Severity
from masques_pipelines.alerts.message import Message
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


class Sender:
    """Sends by the rules; the log of it lies beside the book.

    A receiver that fails is tried with the next look again, and so are those beside it: a message
    twice is better than none.
    """

    def __init__(self, rules: Rules, folder: Path) -> None:
        """Args: rules: Who is told. folder: Where the log is."""
        self._rules = rules
        self._folder = folder

    def __call__(self, message: Message, faults: tuple[Fault, ...]) -> bool:
        """Sends a message to all who want one of its faults; returns whether all have it."""
        wanting = [each for each in self._rules.to if any(map(each.wants, faults))]
        sent = [self._sent(receiver, message, faults) for receiver in wanting]
        return all(sent)

    def _sent(self, receiver: Receiver, message: Message, faults: Sequence[Fault]) -> bool:
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
            "ids": [fault.id for fault in faults],
            "problem": problem,
        }
        with (self._folder / LOG_NAME).open("a", encoding="utf-8") as log:
            log.write(json.dumps(line) + "\n")
        return not problem


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
