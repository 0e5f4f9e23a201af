"""Writes Arrow data as lines of NDJSON, column by column, without a Python object per value.

This way every format is checked by the same statements: what the engine parses, checks and
quarantines is always a line of NDJSON. Values are exact: decimals, nanoseconds, and bytes as they
are. Bytes that are not valid UTF-8 pass unchanged, so that the engine rejects just that row.
"""

import json
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from masques_pipelines.landing.fields import Fields

_ESCAPES: Final = {
    b"\\": b"\\\\",
    b'"': b'\\"',
    **{bytes([code]): b"\\u%04x" % code for code in range(0x20)},
}
_NEEDS_ESCAPE: Final = r'[\x00-\x1f"\\]'
# Floats from here on are written with an exponent; up to here an Int64 holds them.
_EXPONENT_FROM: Final = 1e10
_WHOLE_MAX: Final = 2.0**63
# Lengths of ids: UUIDs and W3C trace ids have 16 bytes, span ids 8.
_ID_BYTES: Final = (8, 16)


def json_lines(batch: pa.RecordBatch) -> bytes:
    """Returns the rows of a batch as lines of NDJSON, without the last line feed.

    A null is left out: for the engine a missing field and a null are the same.

    Raises:
        pyarrow.ArrowInvalid, pyarrow.ArrowNotImplementedError: A column cannot be shown as text.
    """
    if batch.num_rows == 0:
        return b""
    lines = json_objects(batch.schema.names, batch.columns, batch.num_rows)
    return _values(_between(b"", lines, b"\n"))[:-1]


def with_readable_bytes(batch: pa.RecordBatch, fields: Fields) -> pa.RecordBatch:
    """Returns the batch with bytes that are no text as hex digits, where that loses nothing.

    A column of ids has values of 8 or 16 bytes, most of which are no text. In a column that is not
    read, each value that is no text is shown as hex. Anywhere else such a value stays as it is, for
    the engine to reject its row: damaged text is not to be taken for another one.
    """
    for place, name in enumerate(batch.schema.names):
        column = batch.column(place)
        if isinstance(column, pa.DictionaryArray):
            column = column.dictionary_decode()
        if not _is_bytes(column.type) or _is_utf8(column):
            continue
        values = column.to_pylist()
        is_bad = [value is not None and not _is_text_of(value) for value in values]
        lengths = {len(value) for value in values if value is not None}
        filled = sum(value is not None for value in values)
        is_id = lengths <= set(_ID_BYTES) and len(lengths) == 1 and 2 * sum(is_bad) > filled
        if is_id or name not in fields.known:
            shown = [
                value.hex().encode() if value is not None and (bad or is_id) else value
                for value, bad in zip(values, is_bad, strict=True)
            ]
            batch = batch.set_column(place, name, pa.array(shown, pa.large_binary()))
    return batch


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_binary_view(kind)
        or (pa.types.is_fixed_size_binary(kind) and kind.byte_width != 16)
    )


def _is_utf8(column: pa.Array) -> bool:
    try:
        pc.cast(pc.cast(column, pa.large_binary()), pa.large_string())
    except pa.ArrowInvalid:
        return False
    return True


def _is_text_of(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def json_objects(names: list[str], columns: list[Any], rows: int) -> pa.Array:
    """Returns one JSON object per row, as LargeBinary."""
    pairs = []
    for name, column in zip(names, columns, strict=True):
        label = b", %s: " % json.dumps(name, ensure_ascii=False).encode("utf-8", "surrogatepass")
        pair = pc.binary_join_element_wise(_large(label), json_values(column), _large(b""))
        pairs.append(pc.fill_null(pair, b""))
    if not pairs:
        return pa.array([b"{}"] * rows, pa.large_binary())
    joined = pc.binary_join_element_wise(*pairs, _large(b""))
    # Each pair begins with a comma. (Arrow's own skipping of nulls loses rows that are all null.)
    inner = pc.binary_replace_slice(joined, start=0, stop=2, replacement=b"")
    return _between(b"{", inner, b"}")


def json_values(column: Any) -> pa.Array:
    """Returns each value as JSON text, null for a null."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    kind = column.type
    if pa.types.is_dictionary(kind):
        return json_values(column.dictionary_decode())
    if pa.types.is_run_end_encoded(kind):
        return json_values(pc.run_end_decode(column))
    if pa.types.is_map(kind):
        return _json_maps(column)
    if pa.types.is_struct(kind):
        return _json_structs(column)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return _json_lists(column)
    return _between(b'"', _escaped(_texts(column)), b'"')


def _texts(column: pa.Array) -> pa.Array:
    """Returns the text of plain values as LargeBinary."""
    kind = column.type
    if pa.types.is_null(kind):
        return pa.nulls(len(column), pa.large_binary())
    if pa.types.is_fixed_size_binary(kind) and kind.byte_width == 16:
        return _hex(column)
    if pa.types.is_floating(kind):
        # pandas writes a missing number as NaN.
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, kind), column)
        return pc.cast(_float_texts(column), pa.large_binary())
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        # The same moment without a zone, which means UTC; the name of a zone needs a database.
        column = pc.cast(pc.cast(column, pa.int64()), pa.timestamp(kind.unit))
    if is_text(kind):
        return pc.cast(pc.cast(column, _wide(kind)), pa.large_binary())
    return pc.cast(pc.cast(column, pa.string()), pa.large_binary())


def _float_texts(column: pa.Array) -> pa.Array:
    """Returns floats as text; whole ones that Arrow would give an exponent, as integers.

    pandas makes floats of integers in a column with gaps. Arrow writes them so up to ten digits.
    """
    size = pc.abs(column)
    is_whole = pc.and_(pc.equal(pc.floor(column), column), pc.less(size, _WHOLE_MAX))
    is_integer = pc.and_(is_whole, pc.greater_equal(size, _EXPONENT_FROM))
    texts = pc.cast(column, pa.string())
    if not pc.any(is_integer).as_py():
        return texts
    integers = pc.cast(pc.if_else(is_integer, pc.cast(column, pa.float64()), 0.0), pa.int64())
    return pc.if_else(is_integer, pc.cast(integers, pa.string()), texts)


def is_text(kind: pa.DataType) -> bool:
    """Says whether values of a type are texts or bytes, which are taken for texts."""
    return bool(
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_string_view(kind)
        or pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_binary_view(kind)
        or pa.types.is_fixed_size_binary(kind)
    )


def _wide(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_string(kind) or pa.types.is_string_view(kind):
        return pa.large_string()
    return kind if pa.types.is_large_string(kind) else pa.large_binary()


def _hex(column: pa.Array) -> pa.Array:
    """Returns 16 bytes as 32 hex digits, which is how the engine reads a UUID without dashes."""
    valid = column.is_valid()
    filled = pc.fill_null(column, b"\0" * 16)
    digits = b"".join(filled.to_pylist()).hex().encode()
    fixed = pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(32), len(column), [None, pa.py_buffer(digits)]
    )
    text = pc.cast(fixed, pa.large_binary())
    return pc.if_else(valid, text, pa.scalar(None, pa.large_binary()))


def _escaped(texts: pa.Array) -> pa.Array:
    if not _any_needs_escape(texts):
        return texts
    for plain, escape in _ESCAPES.items():
        if pc.any(pc.match_substring(texts, plain)).as_py():
            texts = pc.replace_substring(texts, plain, escape)
    return texts


def _any_needs_escape(texts: pa.Array) -> bool:
    return bool(pc.any(pc.match_substring_regex(texts, _NEEDS_ESCAPE)).as_py())


def _json_maps(column: pa.Array) -> pa.Array:
    keys = _between(b'"', _escaped(_texts(column.keys)), b'": ')
    values = json_values(column.items)
    entries = pc.binary_join_element_wise(keys, values, _large(b""))
    return _between(b"{", _joined(column, entries), b"}")


def _json_structs(column: pa.Array) -> pa.Array:
    names = [field.name for field in column.type]
    objects = json_objects(names, column.flatten(), len(column))
    return pc.if_else(column.is_valid(), objects, pa.scalar(None, pa.large_binary()))


def _json_lists(column: pa.Array) -> pa.Array:
    if pa.types.is_fixed_size_list(column.type):
        column = pc.cast(column, pa.list_(column.type.value_type))
    values = pc.fill_null(json_values(column.values), b"null")
    return _between(b"[", _joined(column, values), b"]")


def _joined(column: pa.Array, entries: pa.Array) -> pa.Array:
    """Joins the entries of each list or map with a comma; an entry that is null is left out."""
    lists = pa.LargeListArray.from_arrays(pc.cast(column.offsets, pa.int64()), entries)
    kept = pc.is_valid(entries)
    if not pc.all(kept).as_py():
        lists = _without_nulls(lists, entries, kept)
    joined = pc.binary_join(lists, _large(b", "))
    return pc.if_else(column.is_valid(), joined, pa.scalar(None, pa.large_binary()))


def _without_nulls(lists: pa.Array, entries: pa.Array, kept: pa.Array) -> pa.Array:
    before = pc.cumulative_sum(pc.cast(kept, pa.int64()))
    ends = pa.concat_arrays([pa.array([0], pa.int64()), before])
    offsets = pc.take(ends, lists.offsets)
    return pa.LargeListArray.from_arrays(offsets, entries.filter(kept))


def _between(left: bytes, texts: pa.Array, right: bytes) -> pa.Array:
    return pc.binary_join_element_wise(_large(left), texts, _large(right), _large(b""))


def _large(text: bytes) -> pa.Scalar:
    return pa.scalar(text, pa.large_binary())


def _values(lines: pa.Array) -> bytes:
    """Returns the bytes of all values, one after the other, as they are stored in memory."""
    lines = lines.combine_chunks() if isinstance(lines, pa.ChunkedArray) else lines
    _validity, offsets, data = lines.buffers()
    width = 8 if pa.types.is_large_binary(lines.type) else 4
    first = int.from_bytes(offsets[lines.offset * width :][:width].to_pybytes(), "little")
    end_at = (lines.offset + len(lines)) * width
    end = int.from_bytes(offsets[end_at : end_at + width].to_pybytes(), "little")
    return bytes(data.slice(first, end - first).to_pybytes())
