"""Loads exchange rates from `<landing>/exchange_rates/` into masques_ops.exchange_rates.

A rate is identified by its currency and time, and the first one that came stays. A file that was
read whole is not opened again until it changes. One with bad rows is read by every run, so that
each run reports them until they are corrected; meanwhile they are in quarantine. One that the store
does not give is read by some more runs (file_log.ATTEMPTS_MAX).

A file has the fields currency, quoted_at (ISO 8601 with a zone, or Z) and usd (the price of one
whole unit, as text or number, read exactly). A row that cannot be read is counted and named, never
guessed.
"""

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal, DecimalException
from typing import Any, Final

from masques_pipelines.landing.chunks import FileProblemError
from masques_pipelines.landing.file_log import FAILED, FileLog, FileResult
from masques_pipelines.landing.listing import SETTLE_S, Listing, PassedOver, list_folder
from masques_pipelines.landing.zone import (
    EXCHANGE_RATES,
    RETRIED,
    Landing,
    LandingFile,
    is_absent,
    open_landing,
    read_lines,
)
from masques_pipelines.money import EXACT
from masques_pipelines.quarantine import WHOLE_FILE, Entry, close_lines, open_sources, put
from masques_pipelines.settings import Settings
from masques_pipelines.warehouse.client import Warehouse

logger = logging.getLogger(__name__)

RATES: Final = "masques_ops.exchange_rates"
FOLDER: Final = EXCHANGE_RATES
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
        bad_rows: Rows, and files as a whole, that could not be read.
        reasons: The first of them, as `file:line: reason`.
        passed_over: What is in the folder and is not read, with the reason.
    """

    files: int
    rows_written: int
    bad_rows: int
    reasons: tuple[str, ...]
    passed_over: tuple[PassedOver, ...] = ()


@dataclass
class _Progress:
    """What was read so far.

    Attributes:
        known: The rates that are known, by currency and time.
        quarantined: Files that had open entries of quarantine before.
        files, rows_written, bad_rows, reasons: As in RatesLoad.
        fresh, bad: The new rates and the bad rows of one group of files.
    """

    known: set[tuple[str, int]]
    quarantined: set[str]
    files: int = 0
    rows_written: int = 0
    bad_rows: int = 0
    reasons: list[str] = field(default_factory=list)
    fresh: list[list[Any]] = field(default_factory=list)
    bad: list[Entry] = field(default_factory=list)


def load_rates(
    warehouse: Warehouse, settings: Settings, *, settle_s: float = SETTLE_S
) -> RatesLoad:
    """Adds the rates of all files of the landing zone's folder that are new or had bad rows.

    Args:
        warehouse: Where.
        settings: They name the landing zone.
        settle_s: A file that was written less than this ago may still grow, and waits.

    Raises:
        LandingUnavailableError: The landing zone cannot be listed for now.
        LandingMissingError: There is no landing zone where MASQUES_LANDING_URL says.
        SettingError: MASQUES_LANDING_URL cannot be used.
    """
    landing = open_landing(settings)
    listed = Listing()
    if not is_absent(landing, settings):
        listed = list_folder(landing, FOLDER, settle_s=settle_s)
    log = FileLog(warehouse, FOLDER)
    log.note(listed.passed_over)
    known = {(str(row[0]), int(row[1])) for row in warehouse.rows(_KNOWN)}
    progress = _Progress(known, open_sources(warehouse, TABLE))
    for group in log.begun(log.unread(listed.files)):
        with log.reading(group):
            _load_group(warehouse, landing, log, group, progress)
    if not progress.known:
        logger.warning(
            "no exchange rate is known: payments have no USD value until files in %s/%s give some",
            landing.description,
            FOLDER,
        )
    return RatesLoad(
        files=progress.files,
        rows_written=progress.rows_written,
        bad_rows=progress.bad_rows,
        reasons=tuple(progress.reasons[:REASONS_SHOWN]),
        passed_over=tuple(listed.passed_over),
    )


def _load_group(
    warehouse: Warehouse,
    landing: Landing,
    log: FileLog,
    group: list[LandingFile],
    progress: _Progress,
) -> None:
    """Reads some files and writes what they hold; then what became of them."""
    ended: list[FileResult] = []
    again: list[LandingFile] = []
    for file in group:
        result = _read(landing, file, log.begin(file), progress)
        bad_lines = [entry.line_no for entry in progress.bad if entry.source == file.path]
        if file.path in progress.quarantined:
            close_lines(warehouse, TABLE, file.path, bad_lines=bad_lines)
        if bad_lines and result.state != FAILED:
            again.append(file)
        else:
            ended.append(result)
    warehouse.insert_rows(RATES, ["currency", "quoted_at", "usd", "source"], progress.fresh)
    put(warehouse, TABLE, progress.bad)
    progress.rows_written += len(progress.fresh)
    progress.bad_rows += len(progress.bad)
    progress.fresh, progress.bad = [], []
    # Last: after a kill before this line the next run reads the files again.
    log.record(ended)
    log.give_back(again)


def _read(
    landing: Landing, file: LandingFile, result: FileResult, progress: _Progress
) -> FileResult:
    """Reads one file; its result is FAILED when it is not to be read by every run."""
    name = file.path.removeprefix(f"{FOLDER}/")
    progress.files += 1
    fresh_before = len(progress.fresh)
    for line_no, line in _lines(landing, file, result):
        result.rows_read += line_no != WHOLE_FILE
        try:
            currency, quoted_at, usd = _rate(line)
        except _BadRateError as error:
            progress.bad.append(Entry(file.path, line_no, error.reason, error.raw))
            place = name if line_no == WHOLE_FILE else f"{name}:{line_no}"
            progress.reasons.append(f"{place}: {error.reason}: {error}")
            if line_no == WHOLE_FILE and error.reason in RETRIED:
                result.state, result.problem = FAILED, f"{error.reason}: {error}"
            continue
        key = (currency, int(quoted_at.timestamp() * 1_000_000))
        if key not in progress.known:
            progress.known.add(key)
            progress.fresh.append([currency, quoted_at, usd, name])
    result.loaded = len(progress.fresh) - fresh_before
    bad_lines = sum(e.source == file.path and e.line_no != WHOLE_FILE for e in progress.bad)
    result.quarantined = bad_lines
    result.duplicates = result.rows_read - result.loaded - bad_lines
    return result


def _lines(
    landing: Landing, file: LandingFile, result: FileResult
) -> Iterator[tuple[int, bytes | _BadRateError]]:
    """Yields line numbers and lines; an error in the place of one that cannot be read."""
    if result.state == FAILED:  # set aside
        reason, _colon, text = result.problem.partition(": ")
        yield WHOLE_FILE, _BadRateError(reason, text, text.encode())
        return
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
