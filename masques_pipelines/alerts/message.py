"""Words of the messages: what a person reads on a phone at night, and what to do next."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from masques_pipelines.ages import duration
from masques_pipelines.alerts.fault import Fault, Severity
from masques_pipelines.alerts.runbook import runbook

# Receivers cut what is long, and the page has all of it.
_DETAIL_CHARS: Final = 700
# A title is one line of a phone.
_TITLES_MAX: Final = 3


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


Since = tuple[Fault, datetime]


def told(begun: Sequence[Since], ui: str) -> Message:
    """Returns the message about faults that begin, of one cause."""
    gravest: Severity = "error" if any(each.severity == "error" for each, _ in begun) else "warning"
    return Message(f"Masques: {_titles(begun)}", _text(begun, ui), gravest)


def over(ended: Sequence[Since], now: datetime) -> Message:
    """Returns the message about faults that ended, of one cause."""
    lines = [
        f"{fault.title + ': it' if len(ended) > 1 else 'It'} lasted {duration(now - since)}, "
        f"since {_time(since)}.\nid: {fault.id}"
        for fault, since in ended
    ]
    return Message(f"Masques: over: {_titles(ended)}", "\n".join(lines), None)


def together(begun: Sequence[Since], ended: Sequence[Since], ui: str, now: datetime) -> Message:
    """Returns one message about several warnings, with the ones that are over again."""
    parts = [_text(begun, ui)] if begun else []
    parts += [
        f"over again: {fault.title}, after {duration(now - since)} (id: {fault.id})"
        for fault, since in ended
    ]
    count = len(begun)
    title = begun[0][0].title if count == 1 else f"{count} warnings"
    if not count:
        title = f"{len(ended)} warnings that are over again"
    return Message(f"Masques: {title}", "\n\n".join(parts), "warning" if begun else None)


def _titles(faults: Sequence[Since]) -> str:
    shown = "; ".join(fault.title for fault, _ in faults[:_TITLES_MAX])
    more = len(faults) - _TITLES_MAX
    return f"{shown}; and {more} more" if more > 0 else shown


def _text(begun: Sequence[Since], ui: str) -> str:
    if len(begun) == 1:
        ((fault, since),) = begun
        return _lines(fault, since, ui)
    return "\n\n".join(f"{fault.title}\n{_lines(fault, since, ui)}" for fault, since in begun)


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
