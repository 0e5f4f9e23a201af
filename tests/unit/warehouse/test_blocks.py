"""ClickHouse's compressed blocks: what is packed is unpacked, and damage is no data."""

import contextlib
import struct

import pytest
from clickhouse_cityhash.cityhash import CityHash128  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st

from masques_pipelines import zstd
from masques_pipelines.warehouse.serve.blocks import from_blocks, to_blocks


@given(st.lists(st.tuples(st.binary(max_size=200), st.integers(0, 20_000)), max_size=4))
def test_what_is_packed_is_unpacked(parts: list[tuple[bytes, int]]) -> None:
    data = b"".join(part * times for part, times in parts)
    assert from_blocks(to_blocks(data)) == data


@given(st.binary(min_size=1, max_size=300), st.data())
def test_damaged_or_cut_blocks_are_refused(data: bytes, drawn: st.DataObject) -> None:
    blocks = to_blocks(data)
    place = drawn.draw(st.integers(0, len(blocks) - 1))
    other = drawn.draw(st.integers(1, 255))
    damaged = blocks[:place] + bytes([blocks[place] ^ other]) + blocks[place + 1 :]
    with pytest.raises(ValueError, match="block"):
        from_blocks(damaged)
    with pytest.raises(ValueError, match="cut") if place else contextlib.nullcontext():
        from_blocks(blocks[:place])


def sealed(method: int, data: bytes, size: int) -> bytes:
    """A block with a right checksum, whatever it says."""
    body = struct.pack("<BII", method, 9 + len(data), size) + data
    whole = CityHash128(body)
    return struct.pack("<QQ", whole >> 64, whole % 2**64) + body


def test_other_methods_are_read_and_lies_refused() -> None:
    data = b"masques" * 9
    assert from_blocks(sealed(0x02, data, 63) + sealed(0x90, zstd.compress(data), 63)) == 2 * data
    for method, held, size, said in (
        (0x83, data, 63, "method 0x83"),
        (0x02, data, 64, "has 63 bytes and says 64"),
        (0x02, data, 2**31, "larger than"),
        (0x82, b"no lz4 at all", 63, "damaged"),
        (0x90, b"no zstd at all", 63, "damaged"),
        (0x90, zstd.compress(data), 62, "says 62"),
    ):
        with pytest.raises(ValueError, match=said):
            from_blocks(sealed(method, held, size))
