"""Loads exchange rates from `<landing>/exchange_rates/` into masques_ops.exchange_rates.

A rate is identified by its currency and time, and the first one that came stays. A file that was
read whole is not opened again until it changes. One with bad rows is read by every run, so that
each run reports them until they are corrected; meanwhile they are in quarantine.

A file has the fields currency, quoted_at (ISO 8601 with a zone, or Z) and usd (the price of one
whole unit, as text or number, read exactly). A row that cannot be read is counted and named, never
guessed.
"""

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, DecimalException
from typing import Any, Final

from masques_pipelines.landing.chunks import FileProblemError
from masques_pipelines.landing.file_log import FileLog, FileResult
from masques_pipelines.landing.zone import (
    SETTLE_S,
    Landing,
    LandingFile,
    open_landing,
    read_lines,
    settled_files,
)
from masques_pipelines.money import EXACT
from masques_pipelines.quarantine import WHOLE_FILE, Entry, close_lines, open_sources, put
from masques_pipelines.settings import Settings
from masques_pipelines.warehouse.client import Warehouse

logger = logging.getLogger(__name__)

RATES: Final = "masques_ops.exchange_rates"
FOLDER: Final = "exchange_rates"
TABLE: Final = "exchange_rates"
REASONS_SHOWN: Final = 5
# Decimal(38, 18).
USD_MAX: Final = Decimal(10) ** 19
_PLACES: Final = Decimal(1).scaleb(-18)
_KNOWN: Final = """
SELECT DISTINCT currency, toUnixTimestamp64Micro(toDateTime64(quoted_at, 6, 'UTC'))
FROM masques_ops.exchange_rates
"""


class _BadRateError(Exception):
    """A row that cannot be read.

    Attributes:
        reason: `kind` or `kind:field`, as in quarantine.
        raw: The row as it came.
    """

    def __init__(self, reason: str, text: str, raw: bytes) -> None:
        super().__init__(text)
        self.reason = reason
        self.raw = raw


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
    log = FileLog(warehouse, FOLDER)
    files = log.unread(found)
    known = {(str(row[0]), int(row[1])) for row in warehouse.rows(_KNOWN)}
    fresh: list[list[Any]] = []
    bad: list[Entry] = []
    reasons: list[str] = []
    whole: list[FileResult] = []
    quarantined = open_sources(warehouse, TABLE)
    for file in files:
        name = file.path.removeprefix(f"{FOLDER}/")
        rows, fresh_before, bad_before = 0, len(fresh), len(bad)
        for line_no, line in _lines(landing, file):
            rows += 1
            try:
                currency, quoted_at, usd = _rate(line)
            except _BadRateError as error:
                bad.append(Entry(file.path, line_no, error.reason, error.raw))
                place = name if line_no == WHOLE_FILE else f"{name}:{line_no}"
                reasons.append(f"{place}: {error.reason}: {error}")
                continue
            key = (currency, int(quoted_at.timestamp() * 1_000_000))
            if key not in known:
                known.add(key)
                fresh.append([currency, quoted_at, usd, name])
        bad_lines = [entry.line_no for entry in bad[bad_before:]]
        if not bad_lines:
            whole.append(_read_whole(file, rows=rows, added=len(fresh) - fresh_before))
        if file.path in quarantined:
            close_lines(warehouse, TABLE, file.path, bad_lines=bad_lines)
    warehouse.insert_rows(RATES, ["currency", "quoted_at", "usd", "source"], fresh)
    put(warehouse, TABLE, bad)
    # Last: after a kill before this line the next run reads the files again.
    log.record(whole)
    if not known:
        logger.warning(
            "no exchange rate is known: payments have no USD value until files in %s/%s give some",
            landing.description,
            FOLDER,
        )
    return RatesLoad(
        files=len(files),
        rows_written=len(fresh),
        bad_rows=len(bad),
        reasons=tuple(reasons[:REASONS_SHOWN]),
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


def _lines(landing: Landing, file: LandingFile) -> Iterator[tuple[int, bytes | _BadRateError]]:
    """Yields line numbers and lines; an error in the place of one that cannot be read."""
    line_no = WHOLE_FILE
    try:
        for chunk in read_lines(landing, file):
            if chunk.problem:
                yield chunk.first_line, _BadRateError(chunk.problem, "not a line", chunk.data)
                continue
            for line_no, line in enumerate(chunk.data.split(b"\n"), start=chunk.first_line):
                if line.strip():
                    yield line_no, line
    except FileProblemError as error:
        yield WHOLE_FILE, _BadRateError(error.reason, str(error), str(error).encode())


def _rate(line: bytes | _BadRateError) -> tuple[str, datetime, Decimal]:
    """Returns currency, time and price of a line.

    Raises:
        _BadRateError: It cannot be read.
    """
    if isinstance(line, _BadRateError):
        raise line
    try:
        # As text: a float would round the price.
        row = json.loads(line, parse_float=str, parse_int=str)
    except ValueError:
        raise _BadRateError("invalid_json", "not JSON", line) from None
    if not isinstance(row, dict):
        raise _BadRateError("not_an_object", "not an object", line)
    for name in ("currency", "quoted_at", "usd"):
        if row.get(name) in (None, ""):
            raise _BadRateError(f"missing:{name}", f"{name} is missing", line)
    try:
        quoted_at = datetime.fromisoformat(str(row["quoted_at"]))
    except ValueError as error:
        raise _BadRateError("bad_timestamp:quoted_at", str(error), line) from None
    if quoted_at.tzinfo is None:
        raise _BadRateError("bad_timestamp:quoted_at", "quoted_at has no zone", line)
    return str(row["currency"]).strip(), quoted_at, _price(row["usd"], line)


def _price(text: Any, line: bytes) -> Decimal:
    try:
        usd = Decimal(str(text))
    except DecimalException:
        raise _BadRateError("bad_decimal:usd", f"usd is not a number: {text!r}", line) from None
    if not (usd.is_finite() and 0 < usd < USD_MAX):
        raise _BadRateError("bad_decimal:usd", f"usd is {usd}", line)
    return usd.quantize(_PLACES, context=EXACT)
