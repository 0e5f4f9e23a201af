"""Messages reach a receiver on loopback through apprise, and the log says so."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from masques_pipelines.alerts.book import KeptBook
from masques_pipelines.alerts.fault import Fault
from masques_pipelines.alerts.look import look
from masques_pipelines.alerts.message import Message, told
from masques_pipelines.alerts.outbox import Waiting
from masques_pipelines.alerts.rules import Receiver, Rules
from masques_pipelines.alerts.sending import LOG_NAME, Sender, ping
from tests.support.hook import Hook, hook_server

FAULT = Fault("a", "error", "a is red", "why", "payments", "freshness", "runs/1")
MESSAGE = Message("Masques: a is red", "why\nid: a", "error")
NOW = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
WAITING = Waiting(MESSAGE, ("a",), NOW, NOW)


@pytest.fixture
def hook() -> Iterator[Hook]:
    with hook_server() as server:
        yield server


def log_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / LOG_NAME).read_text().splitlines()]


def test_a_message_reaches_who_wants_it_and_the_log(tmp_path: Path, hook: Hook) -> None:
    url = f"json://user:hunter2@127.0.0.1:{hook.server_port}/alerts"
    rules = Rules.model_validate({"to": [{"url": url}, {"url": url, "owner": "risk"}]})
    assert look(KeptBook(tmp_path), [FAULT], rules, Sender(tmp_path), NOW).outbox == {}
    ((path, body),) = hook.received
    assert path.startswith("/alerts")
    assert (body["title"], body["message"], body["type"]) == (
        MESSAGE.title,
        told([(FAULT, NOW)], "").body,
        "failure",
    )
    (line,) = log_of(tmp_path)
    assert (line["title"], line["ids"], line["problem"]) == (MESSAGE.title, ["a"], "")
    assert line["to"].startswith("json://")
    assert "hunter2" not in json.dumps(line)


def test_what_a_receiver_does_not_take_is_known(tmp_path: Path, hook: Hook) -> None:
    hook.answer = 500
    urls = (f"json://127.0.0.1:{hook.server_port}/", "nothing://x", "json://127.0.0.1:9/")
    sender = Sender(tmp_path)
    problems = [sender(Receiver(url=url), WAITING) for url in urls]
    assert problems == [line["problem"] for line in log_of(tmp_path)]
    assert problems == [
        "it did not take the message",
        "its URL is none that apprise knows",
        "it did not take the message",
    ]
    assert "cannot be read" in sender(Receiver(url_file=tmp_path / "gone"), WAITING)


def test_the_monitor_outside_is_called(hook: Hook) -> None:
    assert ping(Rules()) == ""
    rules = Rules.model_validate({"ping": f"http://127.0.0.1:{hook.server_port}/alive"})
    assert ping(rules) == ""
    assert hook.received == [("/alive", None)]
    hook.answer = 404
    assert ping(rules) == "the monitor of `ping` answers 404"
    assert "no answer" in ping(Rules.model_validate({"ping": "http://127.0.0.1:9/"}))
