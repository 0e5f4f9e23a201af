"""Words of the messages: what a person reads on a phone at night, and what to do next."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from masques_pipelines.alerts.fault import Fault, Severity
from masques_pipelines.alerts.runbook import runbook

# Receivers cut what is long, and the page has all of it.
_DETAIL_CHARS: Final = 700


@dataclass(frozen=True)
class Message:
    """One message.

    Attributes:
        title, body: Its text.
        severity: The gravest of what it tells; None when all of it is over.
    """

    title: str
    body: str
    severity: Severity | None


def told(fault: Fault, first_seen: datetime, ui: str) -> Message:
    """Returns the message about a fault that begins."""
    return Message(f"Masques: {fault.title}", _lines(fault, first_seen, ui), fault.severity)


def over(fault: Fault, first_seen: datetime, now: datetime) -> Message:
    """Returns the message about a fault that ended."""
    body = f"It lasted {_duration(now - first_seen)}, since {_time(first_seen)}.\nid: {fault.id}"
    return Message(f"Masques: over: {fault.title}", body, None)


def together(
    begun: Sequence[tuple[Fault, datetime]],
    ended: Sequence[tuple[Fault, datetime]],
    ui: str,
    now: datetime,
) -> Message:
    """Returns one message about several warnings, with the ones that are over again."""
    parts = [f"{fault.title}\n{_lines(fault, since, ui)}" for fault, since in begun]
    parts += [
        f"over again: {fault.title}, after {_duration(now - since)} (id: {fault.id})"
        for fault, since in ended
    ]
    count = len(begun)
    title = begun[0][0].title if count == 1 else f"{count} warnings"
    if not count:
        title = f"{len(ended)} warnings that are over again"
    return Message(f"Masques: {title}", "\n\n".join(parts), "warning" if begun else None)


def _lines(fault: Fault, first_seen: datetime, ui: str) -> str:
    entry = runbook()[fault.entry]
    detail = fault.detail.strip()
    if len(detail) > _DETAIL_CHARS:
        detail = f"{detail[:_DETAIL_CHARS]}…"
    link = f"{ui.rstrip('/')}/{fault.page}" if ui else ""
    return "\n".join(
        line
        for line in (
            detail,
            f"since: {_time(first_seen)}",
            f"owner: {fault.owner}",
            f"next: {entry.what_to_do}",
            f"page: {link}" if link else "",
            f"runbook: {entry.place}",
            f"id: {fault.id}",
        )
        if line
    )


def _time(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _duration(length: timedelta) -> str:
    seconds = int(length.total_seconds())
    for unit, name in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * unit:
            return f"{seconds // unit} {name}"
    return f"{seconds} s"
