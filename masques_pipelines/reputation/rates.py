"""Exchange rates: from files in the landing zone into masques_ops.exchange_rates.

Here: reading `<landing>/exchange_rates/` and adding what is not there yet.
Not here: how a rate is used (sql/014_evidence.sql), listing and opening files (intake/).
A re-run adds nothing: a rate is known by its currency and time, and the first one that came stays.
A file that was read whole is not opened again until it changes; one with bad rows is, so that every
run tells of them until they are corrected.

A file has the fields currency, quoted_at (ISO 8601 with a zone, or Z) and usd (the price of one
whole unit, as text or number, read exactly). A row that cannot be read is counted and named, never
guessed.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, DecimalException
from typing import Any, Final

from masques_pipelines.landing.chunks import FileProblemError
from masques_pipelines.landing.file_log import FileResult, known_files, record_files, unread_files
from masques_pipelines.landing.zone import (
    SETTLE_S,
    Landing,
    LandingFile,
    open_landing,
    read_lines,
    settled_files,
)
from masques_pipelines.money import EXACT
from masques_pipelines.settings import Settings
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.sql import sql

RATES: Final = "masques_ops.exchange_rates"
FOLDER: Final = "exchange_rates"
REASONS_SHOWN: Final = 5
# Decimal(38, 18).
USD_MAX: Final = Decimal(10) ** 19
_PLACES: Final = Decimal(1).scaleb(-18)
# Python's own 28 digits would refuse or round.


@dataclass(frozen=True)
class RatesLoad:
    """What a load did.

    Attributes:
        files: Files read.
        rows_written: Rates that were not there before.
        bad_rows: Rows that could not be read.
        reasons: The first of them, as `file:line: reason`.
    """

    files: int
    rows_written: int
    bad_rows: int
    reasons: tuple[str, ...]


def load_rates(
    warehouse: Warehouse, settings: Settings, *, settle_s: float = SETTLE_S
) -> RatesLoad:
    """Adds the rates of all files of the landing zone's folder that are new or had bad rows.

    Args:
        warehouse: Where.
        settings: They name the landing zone.
        settle_s: A file that was written less than this ago may still grow, and waits.

    Raises:
        LandingUnavailableError: The landing zone cannot be read for now.
        SettingError: MASQUES_LANDING_URL cannot be used.
    """
    landing = open_landing(settings)
    found = settled_files(landing, FOLDER, settle_s=settle_s)
    files = unread_files(known_files(warehouse, FOLDER), found)
    known = {(str(row[0]), int(row[1])) for row in warehouse.rows(sql("reputation/rates"))}
    fresh: list[list[Any]] = []
    bad: list[str] = []
    whole: list[FileResult] = []
    for file in files:
        bad_before, fresh_before, rows = len(bad), len(fresh), 0
        name = file.path.removeprefix(f"{FOLDER}/")
        for line_no, row in _rows(landing, file):
            rows += 1
            try:
                currency, quoted_at, usd = _read(row)
            except (ValueError, TypeError, DecimalException) as error:
                bad.append(f"{name}:{line_no}: {type(error).__name__}: {error}")
                continue
            key = (currency, int(quoted_at.timestamp() * 1_000_000))
            if key not in known:
                known.add(key)
                fresh.append([currency, quoted_at, usd, name])
        if len(bad) == bad_before:
            added = len(fresh) - fresh_before
            whole.append(_read_whole(file, rows=rows, added=added))
    warehouse.insert_rows(RATES, ["currency", "quoted_at", "usd", "source"], fresh)
    # Last: a kill before it only makes the next run read them again.
    record_files(warehouse, whole)
    return RatesLoad(
        files=len(files),
        rows_written=len(fresh),
        bad_rows=len(bad),
        reasons=tuple(bad[:REASONS_SHOWN]),
    )


def _read_whole(file: LandingFile, *, rows: int, added: int) -> FileResult:
    return FileResult(
        folder=FOLDER,
        path=file.path,
        version=file.version,
        source=file.path,
        bytes=file.bytes,
        rows_read=rows,
        loaded=added,
        duplicates=rows - added,
    )


def _rows(landing: Landing, file: LandingFile) -> Iterator[tuple[int, Any]]:
    """Yields line numbers and objects; a text in the place of an object says what is wrong."""
    line_no = 0
    try:
        for chunk in read_lines(landing, file):
            if chunk.problem:
                yield chunk.first_line, chunk.problem
                continue
            for line_no, line in enumerate(chunk.data.split(b"\n"), start=chunk.first_line):
                if line.strip():
                    yield line_no, _parsed(line)
    except FileProblemError as error:
        yield line_no + 1, f"{error.reason}: {error}"


def _parsed(line: bytes) -> Any:
    try:
        # As text: a float would round the price.
        return json.loads(line, parse_float=str, parse_int=str)
    except ValueError:
        return "not JSON"


def _read(row: Any) -> tuple[str, datetime, Decimal]:
    if not isinstance(row, dict):
        raise TypeError(row if isinstance(row, str) else "not an object")
    missing = [name for name in ("currency", "quoted_at", "usd") if row.get(name) in (None, "")]
    if missing:
        raise ValueError(f"{' and '.join(missing)} missing")
    currency, quoted_at = (
        str(row["currency"]).strip(),
        datetime.fromisoformat(str(row["quoted_at"])),
    )
    try:
        usd = Decimal(str(row["usd"]))
    except DecimalException:
        raise ValueError(f"usd is no number: {row['usd']!r}") from None
    if quoted_at.tzinfo is None:
        raise ValueError("quoted_at has no zone")
    if not (usd.is_finite() and 0 < usd < USD_MAX):
        raise ValueError(f"usd is {usd}")
    return currency, quoted_at, usd.quantize(_PLACES, context=EXACT)
