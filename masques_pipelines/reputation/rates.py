"""Exchange rates: from files in the landing zone into masques_ops.exchange_rates.

Here: reading `<landing>/exchange_rates/*.{ndjson,jsonl,csv}` and adding what is not there yet.
Not here: how a rate is used (sql/011_reputation.sql).
A re-run adds nothing: a rate is known by its currency and time, and the first one that came stays.

A file has the fields currency, quoted_at (ISO 8601 with a zone, or Z) and usd (the price of one
whole unit, as text or number, read exactly). A row that cannot be read is counted and named, never
guessed.
"""

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Context, Decimal, DecimalException
from pathlib import Path
from typing import Any, Final

from masques_pipelines.settings import Settings
from masques_pipelines.warehouse.sql_files import sql
from masques_pipelines.warehouse.warehouse import Warehouse

RATES: Final = "masques_ops.exchange_rates"
FOLDER: Final = "exchange_rates"
REASONS_SHOWN: Final = 5
# Decimal(38, 18).
USD_MAX: Final = Decimal(10) ** 19
_PLACES: Final = Decimal(1).scaleb(-18)
# Python's own 28 digits would refuse or round.
_EXACT: Final = Context(prec=80)


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


def load_rates(warehouse: Warehouse, settings: Settings) -> RatesLoad:
    """Adds the rates of all files of the landing zone's folder.

    A landing zone that is not a local folder is read by the intake, which lands rates in the same
    table; here it counts as empty.
    """
    folder = Path(settings.landing_url.removeprefix("file://")) / FOLDER
    known = {(str(row[0]), int(row[1])) for row in warehouse.rows(sql("queries/reputation/rates"))}
    fresh: list[list[Any]] = []
    bad: list[str] = []
    files = [path for path in sorted(folder.glob("*")) if _is_ours(path)]
    for path in files:
        for line_no, row in _rows(path):
            try:
                currency, quoted_at, usd = _read(row)
            except (ValueError, TypeError, KeyError, DecimalException) as error:
                bad.append(f"{path.name}:{line_no}: {type(error).__name__}: {error}")
                continue
            key = (currency, int(quoted_at.timestamp() * 1_000_000))
            if key not in known:
                known.add(key)
                fresh.append([currency, quoted_at, usd, path.name])
    warehouse.insert_rows(RATES, ["currency", "quoted_at", "usd", "source"], fresh)
    return RatesLoad(
        files=len(files),
        rows_written=len(fresh),
        bad_rows=len(bad),
        reasons=tuple(bad[:REASONS_SHOWN]),
    )


def _is_ours(path: Path) -> bool:
    return path.is_file() and path.suffix in (".ndjson", ".jsonl", ".csv")


def _rows(path: Path) -> Iterator[tuple[int, Any]]:
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    if path.suffix == ".csv":
        reader = csv.DictReader(io.StringIO(text))
        for row in reader:
            yield reader.line_num, row
        return
    for line_no, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            try:
                # As text: a float would round the price.
                yield line_no, json.loads(line, parse_float=str, parse_int=str)
            except ValueError:
                yield line_no, None


def _read(row: Any) -> tuple[str, datetime, Decimal]:
    if not isinstance(row, dict):
        raise TypeError("not an object")
    currency, quoted_at = str(row["currency"]).strip(), datetime.fromisoformat(row["quoted_at"])
    usd = Decimal(str(row["usd"]))
    if not currency:
        raise ValueError("currency is empty")
    if quoted_at.tzinfo is None:
        raise ValueError("quoted_at has no zone")
    if not (usd.is_finite() and 0 < usd < USD_MAX):
        raise ValueError(f"usd is {usd}")
    return currency, quoted_at, usd.quantize(_PLACES, context=_EXACT)
