"""The gate's rows as files of every format."""

import gzip
import io
import json
import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet

from masques_pipelines.zstd import compress as zstd_compress
from tests.support.gate_rows import (
    ndjson,
)


def as_csv(rows: list[dict[str, Any]]) -> bytes:
    frame = pd.DataFrame(rows)
    for name in frame.columns:
        frame[name] = [json.dumps(v) if isinstance(v, dict) else v for v in frame[name]]
    return frame.to_csv(index=False).encode()


def as_parquet(rows: list[dict[str, Any]]) -> bytes:
    """Typed as an engine would write it: times, decimals, binary ids, maps."""
    columns: dict[str, pa.Array] = {}
    for name in rows[0]:
        values: list[Any] = [row.get(name) for row in rows]
        if name.endswith("_at") or name == "timestamp":
            ns = [pd.Timestamp(v).value for v in values]
            columns[name] = pa.array(ns, pa.timestamp("ns", "UTC"))
        elif name.endswith(("_id", "refund_of")) and name not in (
            "resource_id",
            "trace_id",
            "span_id",
            "reference_id",
        ):
            columns[name] = pa.array([uuid.UUID(v).bytes for v in values], pa.binary(16))
        elif name == "price_usd":
            columns[name] = pa.array([Decimal(v) for v in values], pa.decimal128(18, 6))
        elif name == "charged":
            amounts = [None if v is None else Decimal(v) for v in values]
            columns[name] = pa.array(amounts, pa.decimal256(76, 18))
        elif isinstance(values[0], dict):
            pairs = [list(v.items()) for v in values]
            columns[name] = pa.array(pairs, pa.map_(pa.string(), pa.string()))
        elif name == "tokens_output":
            columns[name] = pa.array(values, pa.uint64())
        else:
            columns[name] = pa.array(values)
    out = io.BytesIO()
    pyarrow.parquet.write_table(pa.table(columns), out, row_group_size=3)
    return out.getvalue()


FORMATS: dict[str, Callable[[list[dict[str, Any]]], bytes]] = {
    "a.jsonl": ndjson,
    "deep/er/a.ndjson": ndjson,
    "a.ndjson.gz": lambda rows: gzip.compress(ndjson(rows)),
    "a.ndjson.zst": lambda rows: zstd_compress(ndjson(rows)),
    "a.csv": as_csv,
    "a.csv.gz": lambda rows: gzip.compress(as_csv(rows)),
    "a.parquet": as_parquet,
    "a.parquet.zst": lambda rows: zstd_compress(as_parquet(rows)),
}
