"""Makes Arrow tables of what the gate reports: the rows of the landing zone's folders."""

from typing import Any, Final

import numpy as np
import pyarrow as pa

from masques_pipelines.sandbox.world.population import Population
from masques_pipelines.sandbox.world.shape import LEDGERS, STATUSES, Column, Rows

# All charges in the places of the finest ledger.
_PLACES: Final = max(ledger.scale for ledger in LEDGERS)
_FACTORS: Final = np.array([10 ** (_PLACES - ledger.scale) for ledger in LEDGERS])
_ASSETS: Final = pa.array([ledger.asset for ledger in LEDGERS])
_TIME: Final = pa.timestamp("ns", "UTC")
VERSIONS: Final = ("1.0.0", "1.1.0", "2.0.0")
_INTENTS: Final = ("explain", "write", "review", "translate")


def requests(people: Population, rows: Rows) -> pa.Table:
    """Returns requests as rows of api_requests."""
    masques = pa.array([f"/v1/masques/{each}" for each in range(people.shape.masques)])
    count = len(rows)
    return pa.table(
        {
            "request_id": ids(rows["id"]),
            "timestamp": pa.array(rows["t"]).cast(_TIME),
            "identity_id": ids(people.ids[1][rows["agent"]]),
            "session_id": ids(rows["session"]),
            "endpoint": masques.take(pa.array(rows["masque"])),
            "method": pa.array(["POST"]).take(pa.array(np.zeros(count, np.int64))),
            "resource_type": pa.array(["masque"]).take(pa.array(np.zeros(count, np.int64))),
            "resource_id": pa.array(rows["masque"]).cast(pa.string()),
            "tokens_input": pa.array(rows["tokens_in"]),
            "tokens_output": pa.array(np.where(rows["http"] == 200, rows["tokens_out"], 0)),
            "bytes_transferred": pa.array(rows["tokens_out"].astype(np.int64) * 4),
            "duration_ms": pa.array(rows["ms"]),
            "price_usd": _decimals(rows["price"], 6),
            "transaction_id": ids(rows["transfer"]),
            "status_code": pa.array(rows["http"]),
            "payment_status": pa.array(STATUSES).take(pa.array(rows["status"])),
            "trace_id": _hex(rows["trace"]["hi"], rows["trace"]["lo"]),
            "span_id": _hex(rows["span"]),
            **_charges(rows),
        }
    )


def sessions(people: Population, rows: Rows) -> pa.Table:
    """Returns dons and doffs as rows of masque_sessions."""
    shape = people.shape
    names = pa.array([people.masque_name(each) for each in range(shape.masques)])
    authors = people.ids[1][shape.agents + people.masque_author[rows["masque"]]]
    is_doff = rows["ended"] > 0
    return pa.table(
        {
            "report": pa.array(["don", "doff"]).take(pa.array(is_doff.astype(int))),
            "session_id": ids(rows["id"]),
            "identity_id": ids(people.ids[1][rows["agent"]]),
            "masque_name": names.take(pa.array(rows["masque"])),
            "masque_version": pa.array(VERSIONS).take(pa.array(rows["masque"] % len(VERSIONS))),
            "masque_source": pa.array(["marketplace"]).take(
                pa.array(np.zeros(len(rows), np.int64))
            ),
            "donned_at": pa.array(rows["donned"]).cast(_TIME),
            "doffed_at": pa.array(rows["ended"], mask=~is_doff).cast(_TIME),
            "duration_ms": pa.array((rows["ended"] - rows["donned"]) // 10**6, mask=~is_doff),
            "intent": pa.array(_INTENTS).take(pa.array(rows["masque"] % len(_INTENTS))),
            "trace_id": _hex(rows["trace"]["hi"], rows["trace"]["lo"]),
            "author_id": ids(authors),
            "transaction_id": ids(rows["hold"]),
            **_charges(rows),
        }
    )


def ratings(people: Population, rows: Rows) -> pa.Table:
    """Returns ratings as rows of reputation_events."""
    shape = people.shape
    count = len(rows)
    agents = id_texts(people.ids[1][rows["agent"]])
    return pa.table(
        {
            "event_id": ids(rows["id"]),
            "timestamp": pa.array(rows["t"]).cast(_TIME),
            "identity_id": ids(people.ids[1][shape.agents + rows["author"]]),
            "category": pa.array(["task_quality"]).take(pa.array(np.zeros(count, np.int64))),
            "event_type": pa.array(["task_refused", "task_accepted"]).take(
                pa.array(rows["good"].astype(int))
            ),
            "score_delta": _decimals(rows["delta"].astype(np.int64), 1),
            "confidence": pa.array(np.full(count, 0.9)),
            "reference_type": pa.array(["session"]).take(pa.array(np.zeros(count, np.int64))),
            "reference_id": ids(rows["session"]),
            "attributes": pa.array(
                [[("counterparty_id", each)] for each in agents], pa.map_(pa.string(), pa.string())
            ),
        }
    )


def _charges(rows: Rows) -> dict[str, Any]:
    is_said = rows["charged"] >= 0
    units = rows["charged"] * _FACTORS[rows["asset"]]
    return {
        "charged": _decimals(units, _PLACES, is_said),
        "charged_currency": _ASSETS.take(pa.array(rows["asset"], mask=~is_said)),
    }


def ids(rows: Rows) -> Any:
    """Returns ids as 16 bytes each, null where an id is zero."""
    data = np.empty((len(rows), 2), ">u8")
    data[:, 0], data[:, 1] = rows["hi"], rows["lo"]
    valid = (data != 0).any(axis=1)
    buffers = [_bits(valid), pa.py_buffer(data.tobytes())]
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), len(rows), buffers)


def _decimals(units: Column, places: int, valid: Column | None = None) -> Any:
    """Returns whole numbers of the smallest unit as exact decimals."""
    data = np.zeros((len(units), 2), "<i8")
    data[:, 0], data[:, 1] = units, np.where(units < 0, -1, 0)
    bits = None if valid is None else _bits(valid)
    kind = pa.decimal128(38, places)
    return pa.Decimal128Array.from_buffers(kind, len(units), [bits, pa.py_buffer(data.tobytes())])


def _bits(valid: Column) -> Any:
    return pa.py_buffer(np.packbits(valid, bitorder="little").tobytes())


def _hex(*words: Column) -> Any:
    """Returns 64-bit words as hexadecimal text, those of a row one after another."""
    data = np.empty((len(words[0]), len(words)), ">u8")
    for place, word in enumerate(words):
        data[:, place] = word
    digits = 16 * len(words)
    text = data.tobytes().hex().encode()
    offsets = np.arange(0, len(text) + 1, digits, dtype=np.int32)
    return pa.StringArray.from_buffers(
        len(words[0]), pa.py_buffer(offsets.tobytes()), pa.py_buffer(text)
    )


def id_texts(rows: Rows) -> list[str]:
    """Returns ids as text."""
    text = np.empty((len(rows), 2), ">u8")
    text[:, 0], text[:, 1] = rows["hi"], rows["lo"]
    digits = text.tobytes().hex()
    return [
        f"{each[:8]}-{each[8:12]}-{each[12:16]}-{each[16:20]}-{each[20:]}"
        for each in (digits[at : at + 32] for at in range(0, len(digits), 32))
    ]
