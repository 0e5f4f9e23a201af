"""Looks at what is around the warehouse: settings, the disk, the sources, Dagster's own files."""

import importlib.metadata
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from masques_pipelines.ages import age
from masques_pipelines.alerts.book import Book, problem_of_writing, read_book
from masques_pipelines.alerts.look import receivers_of
from masques_pipelines.alerts.rules import Rules, read_rules
from masques_pipelines.alerts.runbook import runbook
from masques_pipelines.alerts.sending import opened
from masques_pipelines.doctor.clocks import ledger_clock
from masques_pipelines.doctor.finding import Finding
from masques_pipelines.errors import MasquesError, SettingError
from masques_pipelines.landing.zone import open_landing
from masques_pipelines.ledger.connect import is_live, open_ledger
from masques_pipelines.rails.status import check_lines
from masques_pipelines.sandbox.stand_ins import ledger_url, mode_text
from masques_pipelines.settings import Settings

DISK_SHARE_MIN: Final = 0.1
# The sensor of the alerts looks each minute.
LOOK_AGE_MAX: Final = timedelta(minutes=5)
_HISTORY_BYTES_MAX: Final = 5 * 10**9
_GIB: Final = 2**30


@dataclass(frozen=True)
class Surroundings:
    """What the looks need.

    Attributes:
        settings: As `with_stand_ins` gives them.
        dagster_home: Where Dagster's history and the book of faults are.
        now: The time.
    """

    settings: Settings
    dagster_home: Path
    now: datetime


def look_around(at: Surroundings) -> Iterator[Finding]:
    """Yields a finding for each thing beside the warehouse; a look that fails is a finding."""
    yield Finding("settings", "good", mode_text(at.settings))
    yield Finding("versions", "good", _versions())
    looks: tuple[tuple[str, Callable[[Surroundings], Iterator[Finding]]], ...] = (
        ("disk", _disk),
        ("ledger", _ledger),
        ("rails", _rails),
        ("landing zone", _landing),
        ("alerts", _alerts),
        ("dagster", _dagster),
    )
    for name, each in looks:
        yield from guarded(name, lambda each=each: each(at))  # type: ignore[misc]


def guarded(name: str, look: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """Yields what a look finds; that it cannot look is a finding of its own."""
    try:
        yield from look()
    except (MasquesError, OSError) as error:
        yield Finding(name, "bad", str(error))


def _versions() -> str:
    names = ("masques-pipelines", "dagster", "clickhouse-connect", "chdb", "tigerbeetle")
    known = [f"{name} {importlib.metadata.version(name)}" for name in names]
    return ", ".join((*known, f"Python {sys.version.split()[0]}"))


def _disk(at: Surroundings) -> Iterator[Finding]:
    folder = next(path for path in (at.settings.home, *at.settings.home.parents) if path.exists())
    used = shutil.disk_usage(folder)
    text = f"{used.free / _GIB:,.1f} of {used.total / _GIB:,.1f} GiB free at {folder}"
    if used.free < DISK_SHARE_MIN * used.total:
        yield Finding("disk", "bad", text, "make room: on a full disk every run fails")
    else:
        yield Finding("disk", "good", text)


def _ledger(at: Surroundings) -> Iterator[Finding]:
    with open_ledger(ledger_url(at.settings)) as source:
        yield Finding(
            "ledger",
            "good",
            f"cluster {source.cluster_id}, release {source.release}, {source.description}",
        )
        if is_live(at.settings.ledger_url):
            yield ledger_clock(source)


def _rails(at: Surroundings) -> Iterator[Finding]:
    for line, is_good in check_lines(at.settings):
        name, _, text = line.partition(" ")
        is_off = text.strip().startswith("off:")
        advice = "" if is_good else "masques rails check tries it again"
        level = "off" if is_off else "good" if is_good else "bad"
        yield Finding(f"rail {name}", level, text.strip(), advice)  # type: ignore[arg-type]


def _landing(at: Surroundings) -> Iterator[Finding]:
    landing = open_landing(at.settings)
    landing.check()
    yield Finding("landing zone", "good", landing.description)


def _alerts(at: Surroundings) -> Iterator[Finding]:
    rules = read_rules(at.settings.alerts_file)
    if not rules.to:
        level = "off" if at.settings.sandbox_folder else "warning"
        yield Finding(
            "alerts",
            level,  # type: ignore[arg-type]
            "nobody is told of what is wrong",
            "name receivers in MASQUES_ALERTS_FILE (docs/operating.md)",
        )
        return
    yield from _receivers(rules, read_book(at.dagster_home), at.now)


def _receivers(rules: Rules, book: Book, now: datetime) -> Iterator[Finding]:
    for number, (key, receiver) in enumerate(receivers_of(rules).items(), start=1):
        name = f"receiver {number}"
        waiting = [each for each in book.outbox.get(key, ()) if each.tries]
        try:
            shown = opened(receiver)[0]
        except SettingError as error:
            yield Finding(name, "bad", str(error), "correct it in MASQUES_ALERTS_FILE")
            continue
        if waiting:
            since = age(min(each.made_at for each in waiting), now)
            text = f"{shown} refuses {len(waiting):,} messages, the first of {since}"
            advice = "alerts.ndjson has its answers; a message is given up after a day"
            yield Finding(name, "bad", text, advice)
        else:
            yield Finding(name, "good", shown)


def _dagster(at: Surroundings) -> Iterator[Finding]:
    book = read_book(at.dagster_home)
    yield _daemon(at, book)
    if problem := problem_of_writing(at.dagster_home):
        text = f"nothing can be written in {at.dagster_home}: {problem}"
        yield Finding("alert book", "bad", text, "make room there, or give this user the right")
    size = sum(file.stat().st_size for file in at.dagster_home.rglob("*") if file.is_file())
    text = f"{size / 10**9:.2f} GB at {at.dagster_home}"
    if size > _HISTORY_BYTES_MAX:
        yield Finding("run history", "warning", text, "see whether housekeeping_job runs")
    else:
        yield Finding("run history", "good", text)
    for known in book.open.values():
        fault = known.fault
        level = "bad" if fault.severity == "error" else "warning"
        yield Finding(
            "fault",
            level,  # type: ignore[arg-type]
            f"{fault.title}, since {known.first_seen:%Y-%m-%d %H:%M} UTC",
            runbook()[fault.entry].what_to_do,
        )


def _daemon(at: Surroundings, book: Book) -> Finding:
    advice = "start it: masques dev, or the service of dagster-daemon"
    if book.looked_at is None:
        return Finding("daemon", "warning", "it never looked for faults in this home", advice)
    text = f"it looked for faults {age(book.looked_at, at.now)}"
    if at.now - book.looked_at > LOOK_AGE_MAX:
        return Finding("daemon", "bad", text, advice)
    return Finding("daemon", "good", text)


def utc_now() -> datetime:
    """Returns the time."""
    return datetime.now(UTC)
