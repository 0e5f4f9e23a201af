"""Troubles of what the gate delivers: files and rows that are damaged, doubled, lost or late."""

import json
import uuid
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final

import numpy as np

from masques_pipelines.sandbox.world import tables
from masques_pipelines.sandbox.world.landing import moment, parquet_of
from masques_pipelines.sandbox.world.shape import DAY, PAID, REQUEST, SECOND, Rows
from masques_pipelines.sandbox.world.troubles.observed import (
    HOUR,
    ExtraFile,
    Finding,
    Hit,
    Observed,
    Trouble,
    is_break,
    money,
    text,
)

_UNKNOWN: Final = "00000000-0000-4000-8000-%012d"


def file_name(folder: str, trouble: Trouble, ending: str) -> str:
    """Returns the name of the file that a trouble delivers."""
    return f"{folder}/trouble-{trouble.number}.{ending}"


def deliver(seen: Observed, trouble: Trouble, name: str, content: bytes) -> None:
    """Delivers a file at the trouble's time."""
    seen.extra.append(ExtraFile(name, trouble.at_ns, lambda _: content))


def _ndjson(*rows: dict[str, Any]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def bad_rows(seen: Observed, trouble: Trouble) -> Hit | None:
    """The gate writes rows that cannot be read."""
    name = file_name("api_requests", trouble, "ndjson")
    plain = {
        "request_id": _UNKNOWN % trouble.number,
        "timestamp": moment(trouble.at_ns),
        "identity_id": text(seen.people.ids[1][0]),
        "endpoint": "/v1/masques/0",
        "payment_status": "paid",
    }
    wrong = (
        ("bad_decimal:price_usd", plain | {"price_usd": "free"}),
        ("missing:identity_id", plain | {"identity_id": None}),
        ("bad_uuid:request_id", plain | {"request_id": "seven"}),
    )
    deliver(seen, trouble, name, _ndjson(*(row for _, row in wrong)))
    found = (
        Finding("quarantine", reason, f"{name}:{line}")
        for line, (reason, _) in enumerate(wrong, start=1)
    )
    return Hit({"files": [name]}, trouble.at_ns, findings=tuple(found))


def future_rows(seen: Observed, trouble: Trouble) -> Hit | None:
    """A producer's clock is a year ahead."""
    name = file_name("api_requests", trouble, "ndjson")
    row = {
        "request_id": _UNKNOWN % trouble.number,
        "timestamp": moment(trouble.at_ns + 365 * DAY),
        "identity_id": text(seen.people.ids[1][0]),
        "endpoint": "/v1/masques/0",
        "payment_status": "free_tier",
    }
    deliver(seen, trouble, name, _ndjson(row))
    found = Finding("quarantine", "future_timestamp", f"{name}:1")
    return Hit({"files": [name]}, trouble.at_ns, findings=(found,))


def clock_skew(seen: Observed, trouble: Trouble) -> Hit | None:
    """A session ends before it began, by the clock of the server that reports the end."""
    sessions = seen.rows["sessions"]
    place = seen.first("sessions", sessions["ended"] > 0, trouble)
    if place is None:
        return None
    late = seen.drop("sessions", np.arange(len(sessions)) == place)
    name = file_name("masque_sessions", trouble, "ndjson")
    row = {
        "report": "doff",
        "session_id": text(late["id"][0]),
        "identity_id": text(seen.people.ids[1][late["agent"][0]]),
        "donned_at": moment(int(late["donned"][0])),
        "doffed_at": moment(int(late["donned"][0]) - 90 * SECOND),
    }
    at = int(late["t"][0])
    seen.extra.append(ExtraFile(name, at, lambda _: _ndjson(row)))
    found = Finding("quarantine", "doffed_before_donned", f"{name}:1")
    ids = {"sessions": [row["session_id"]], "transfers": _holds(late)}
    return Hit(ids, at, findings=(found,), classes=("unexplained_charge",))


def _holds(sessions: Rows) -> list[str]:
    """Returns the holds of the sessions that were charged: the others are released."""
    found = {text(each) for each in sessions["hold"][sessions["charged"] > 0]}
    return sorted(found - {text((0, 0))})


def damaged_file(seen: Observed, trouble: Trouble) -> Hit | None:
    """A file is cut off on its way."""
    name = file_name("api_requests", trouble, "parquet")
    deliver(seen, trouble, name, b"PAR1 and no more of %d" % trouble.number)
    found = Finding("quarantine", "bad_parquet", f"{name}:0")
    return Hit({"files": [name]}, trouble.at_ns, findings=(found,))


def unknown_ending(seen: Observed, trouble: Trouble) -> Hit | None:
    """Somebody drops a file that no reader knows."""
    name = file_name("api_requests", trouble, "xlsx")
    deliver(seen, trouble, name, b"not for us: %d" % trouble.number)
    found = Finding("file", "passed_over:unknown_ending", name)
    return Hit({"files": [name]}, trouble.at_ns, findings=(found,))


def duplicate_file(seen: Observed, trouble: Trouble) -> Hit | None:
    """The same file is delivered again under another name."""
    cut = _cut(seen, trouble)
    if cut is None:
        return None
    _, end, slice_name = cut
    name = file_name("api_requests", trouble, "parquet")
    seen.extra.append(
        ExtraFile(name, end, lambda data: data, of=f"api_requests/{slice_name}.parquet")
    )
    return Hit({"files": [name]}, end, findings=(Finding("file", "same", name),))


def repeated_rows(seen: Observed, trouble: Trouble) -> Hit | None:
    """Rows come again in another file."""
    cut = _cut(seen, trouble)
    if cut is None:
        return None
    begin, end, _ = cut
    name = file_name("api_requests", trouble, "parquet")
    requests = seen.rows["requests"]
    inside = (requests["t"] >= begin) & (requests["t"] < end)
    rows = requests[seen.take("requests", inside & (np.cumsum(inside) <= 20))]
    seen.extra.append(_file_of(seen, name, end, rows))
    found = Finding("file", "duplicates", name)
    return Hit({"files": [name]}, end, findings=(found,))


def conflicting_row(seen: Observed, trouble: Trouble) -> Hit | None:
    """A request comes again with another price."""
    place = seen.first("requests", seen.rows["requests"]["status"] == PAID, trouble)
    if place is None:
        return None
    rows = seen.rows["requests"][place : place + 1].copy()
    rows["price"] += 1
    end = seen.slice_of(int(rows["t"][0]))[1]
    name = file_name("api_requests", trouble, "parquet")
    seen.extra.append(_file_of(seen, name, end, rows))
    found = Finding("quarantine", "conflict:request_id", f"{name}:1")
    return Hit({"requests": [text(rows["id"][0])]}, end, findings=(found,))


def lost_file(seen: Observed, trouble: Trouble) -> Hit | None:
    """A file of the gate is lost for good."""
    return _without_slice(seen, trouble, comes_after_ns=None)


def late_file(seen: Observed, trouble: Trouble) -> Hit | None:
    """A file of the gate comes an hour late."""
    return _without_slice(seen, trouble, comes_after_ns=HOUR)


def _without_slice(seen: Observed, trouble: Trouble, comes_after_ns: int | None) -> Hit | None:
    cut = _cut(seen, trouble)
    if cut is None:
        return None
    begin, end, _ = cut
    requests = seen.rows["requests"]
    following = _within(requests, max(begin, trouble.at_ns), end)
    if len(following) == 0:
        return None
    first = int(following["t"][0])
    is_there = (requests["t"] >= first) & (requests["t"] < min(end, first + HOUR))
    rows = seen.drop("requests", seen.take("requests", is_there))
    if len(rows) == 0:
        return None
    if comes_after_ns is not None:
        seen.extra.append(
            _file_of(
                seen,
                file_name("api_requests", trouble, "parquet"),
                min(end + comes_after_ns, seen.day.start_ns + DAY),
                rows,
            )
        )
    paid = rows[rows["status"] == PAID]
    transfers = sorted({text(each) for each in paid["transfer"]} - {text((0, 0))})
    # A token's other rides may be in another file: they say that it charged nothing.
    classes = ("unexplained_charge", "amount_mismatch")
    if comes_after_ns is not None:
        return Hit({"late_transfers": transfers}, end, also=_breaks(classes, transfers))
    # Nothing is missing of what is refunded; what was not served will be.
    given_back = {text(each) for each in paid["transfer"][paid["http"] >= 500]}
    refunded = given_back | {text(each) for each in seen.rows["links"]["of"]}
    lost = [each for each in transfers if each not in refunded]
    return Hit({"transfers": lost}, end, also=_breaks(classes, given_back), classes=classes)


def _breaks(classes: Iterable[str], ids: Iterable[str]) -> tuple[Finding, ...]:
    return tuple(found for class_ in classes for found in is_break(class_, *sorted(ids)))


def lost_don(seen: Observed, trouble: Trouble) -> Hit | None:
    """The report of a session's beginning is lost."""
    sessions = seen.rows["sessions"]
    ended = np.isin(sessions["id"], sessions["id"][sessions["ended"] > 0])
    place = seen.first("sessions", (sessions["ended"] == 0) & ended, trouble)
    if place is None:
        return None
    lost = seen.drop("sessions", np.arange(len(sessions)) == place)
    session = text(lost["id"][0])
    visible = int(sessions["t"][sessions["id"] == lost["id"]].max())
    found = Finding("intake", "doff_without_don", session)
    return Hit({"sessions": [session]}, visible, findings=(found,))


def lost_session(seen: Observed, trouble: Trouble) -> Hit | None:
    """All reports of a session are lost; its requests are not."""
    sessions, requests = seen.rows["sessions"], seen.rows["requests"]
    asked = np.isin(sessions["id"], requests["session"])
    place = seen.first("sessions", (sessions["ended"] == 0) & asked, trouble)
    if place is None:
        return None
    lost = seen.drop("sessions", sessions["id"] == sessions["id"][place])
    is_theirs = requests["session"] == lost["id"][0]
    seen.take("requests", is_theirs)
    theirs = requests[is_theirs]
    found = (Finding("intake", "request_of_unknown_session", text(each)) for each in theirs["id"])
    return Hit(
        {"sessions": [text(lost["id"][0])], "transfers": _holds(lost)},
        int(theirs["t"].max()),
        findings=tuple(found),
        classes=("unexplained_charge",),
    )


def _changed(
    change: Callable[[Observed, Rows], None],
    class_: str,
    seen: Observed,
    trouble: Trouble,
) -> Hit | None:
    """Changes one paid request of an agent that pays from its account."""
    requests = seen.rows["requests"]
    is_one = (requests["status"] == PAID) & (requests["charged"] > 1) & (requests["http"] == 200)
    # A token's first request stands for its rides; of a payment on a rail the payer may be anybody.
    is_one &= seen.people.is_prepaid[requests["agent"]]
    place = seen.first("requests", is_one & (requests["asset"] != 1), trouble)
    if place is None:
        return None
    row = requests[place : place + 1]
    amount, currency = money(int(row["charged"][0]), int(row["asset"][0]))
    ids = {"requests": [text(row["id"][0])], "transfers": [text(row["transfer"][0])]}
    change(seen, row)
    return Hit(ids, int(row["t"][0]), amount, currency, classes=(class_,))


def _unname(_seen: Observed, row: Rows) -> None:
    row["transfer"] = 0


def _misname(_seen: Observed, row: Rows) -> None:
    row["transfer"]["lo"] ^= np.uint64(1)


def _overcharge(_seen: Observed, row: Rows) -> None:
    row["charged"] += 1


def _fail(_seen: Observed, row: Rows) -> None:
    row["http"] = 503


def _misattribute(seen: Observed, row: Rows) -> None:
    row["agent"] = (row["agent"] + 1) % seen.people.shape.agents


def paid_without_transfer(seen: Observed, trouble: Trouble) -> Hit | None:
    """A paid request does not say which transfer paid it."""
    hit = _changed(_unname, "unexplained_charge", seen, trouble)
    if hit is not None:
        (request,) = hit.ids["requests"]
        named = Finding("intake", "paid_without_transaction", request)
        hit.findings = (named, *is_break("unbooked_request", request))
    return hit


def wrong_transfer(seen: Observed, trouble: Trouble) -> Hit | None:
    """A request names a transfer that there is not."""
    hit = _changed(_misname, "unexplained_charge", seen, trouble)
    if hit is not None:
        named = uuid.UUID(int=uuid.UUID(hit.ids["transfers"][0]).int ^ 1)
        hit.findings = is_break("unbooked_request", str(named))
    return hit


wrong_charge = partial(_changed, _overcharge, "amount_mismatch")
paid_not_served = partial(_changed, _fail, "paid_not_served")
wrong_party = partial(_changed, _misattribute, "party_mismatch")


def unknown_refund(seen: Observed, trouble: Trouble) -> Hit | None:
    """A refund names a payment that there is not."""
    links = seen.rows["links"]
    place = seen.first("links", np.ones(len(links), bool), trouble)
    if place is None:
        return None
    payment = text(links["of"][place])
    links["of"]["lo"][place] ^= np.uint64(1)
    refund = text(links["transfer"][place])
    found = Finding("intake", "refund_of_unknown_payment", refund)
    return Hit(
        {"refunds": [refund], "transfers": [payment]},
        int(links["t"][place]),
        findings=(found,),
        classes=("paid_not_served",),
    )


def unknown_identity(seen: Observed, trouble: Trouble) -> Hit | None:
    """An event is about an identity that nobody has announced."""
    name = file_name("reputation_events", trouble, "ndjson")
    event = _UNKNOWN % trouble.number
    row = {
        "event_id": event,
        "timestamp": moment(trouble.at_ns),
        "identity_id": _UNKNOWN % (10**6 + trouble.number),
        "category": "task_quality",
        "event_type": "task_accepted",
        "score_delta": "0.5",
    }
    deliver(seen, trouble, name, _ndjson(row))
    found = Finding("intake", "event_of_unknown_identity", event)
    return Hit({"events": [event]}, trouble.at_ns, findings=(found,))


def bad_rate(seen: Observed, trouble: Trouble) -> Hit | None:
    """An exchange rate cannot be read."""
    name = file_name("exchange_rates", trouble, "csv")
    at = moment(trouble.at_ns)
    deliver(seen, trouble, name, f"currency,quoted_at,usd\nBTC,{at},dear\n".encode())
    found = Finding("quarantine", "bad_decimal:usd", f"{name}:2")
    return Hit({"files": [name]}, trouble.at_ns, findings=(found,))


def _cut(seen: Observed, trouble: Trouble) -> tuple[int, int, str] | None:
    """Returns the slice of the trouble's time, if it has requests."""
    begin, end, name = seen.slice_of(trouble.at_ns)
    return (begin, end, name) if len(_within(seen.rows["requests"], begin, end)) else None


def _within(rows: Rows, begin: int, end: int) -> Rows:
    return rows[(rows["t"] >= begin) & (rows["t"] < end)]


def _file_of(seen: Observed, name: str, at_ns: int, rows: Rows) -> ExtraFile:
    kept = np.array(rows, REQUEST)
    return ExtraFile(name, at_ns, lambda _: parquet_of(tables.requests(seen.people, kept)))


def missing_spans(seen: Observed, trouble: Trouble) -> Hit | None:
    """A Collector loses the spans of a request."""
    requests = seen.rows["requests"]
    place = seen.first("requests", requests["status"] == PAID, trouble)
    if place is None:
        return None
    row, spans = requests[place], seen.rows["spans"]
    seen.drop("spans", (spans["span"] == row["span"]) | (spans["parent"] == row["span"]))
    request = text(row["id"])
    amount, currency = money(int(row["charged"]), int(row["asset"]))
    found = Finding("spans", "missing", request)
    return Hit({"requests": [request]}, int(row["t"]), amount, currency, findings=(found,))
