"""ClickHouse's own compressed blocks, which `compress=1` and `decompress=1` ask for.

A block is a checksum of what follows (CityHash128 of version 1.0.2), a method, both sizes and the
data. Answers are blocks of LZ4. The JDBC driver, and so DBeaver, reads nothing else by default.
Source: ClickHouse `src/Compression/CompressionInfo.h`, `CompressedReadBufferBase.cpp`.
"""

import struct
from typing import Final

# Neither ships type information.
from clickhouse_cityhash.cityhash import CityHash128  # type: ignore[import-untyped]
from lz4 import block as lz4_block  # type: ignore[import-untyped]

from masques_pipelines import zstd

_NONE: Final = 0x02
_LZ4: Final = 0x82
_ZSTD: Final = 0x90
# Method, then the size with this header and the size of the data, both little-endian.
_HEADER: Final = struct.Struct("<BII")
_CHECKSUM: Final = struct.Struct("<QQ")
# As a server does; a block that says more than it can hold is damaged.
_BLOCK_BYTES: Final = 1 << 20
_BLOCK_BYTES_MAX: Final = 1 << 30


def to_blocks(data: bytes) -> bytes:
    """Returns data as blocks of LZ4; no block for no data."""
    return b"".join(
        _block(data[start : start + _BLOCK_BYTES]) for start in range(0, len(data), _BLOCK_BYTES)
    )


def from_blocks(blocks: bytes) -> bytes:
    """Returns the data of blocks.

    Raises:
        ValueError: They are cut, damaged or of a method that is not known.
    """
    found, start = [], 0
    while start < len(blocks):
        head = start + _CHECKSUM.size
        if head + _HEADER.size > len(blocks):
            raise ValueError("the last block is cut")
        method, size, data_size = _HEADER.unpack_from(blocks, head)
        body = blocks[head : head + size]
        if size < _HEADER.size or len(body) < size:
            raise ValueError("the last block is cut")
        if _checksum(body) != blocks[start:head]:
            raise ValueError("a block's checksum is not that of its data")
        found.append(_data(method, body[_HEADER.size :], data_size))
        start = head + size
    return b"".join(found)


def _block(data: bytes) -> bytes:
    compressed: bytes = lz4_block.compress(data, store_size=False)
    body = _HEADER.pack(_LZ4, _HEADER.size + len(compressed), len(data)) + compressed
    return _checksum(body) + body


def _checksum(body: bytes) -> bytes:
    """Returns the hash in the order of a block: the low half first."""
    whole: int = CityHash128(body)
    return _CHECKSUM.pack(whole >> 64, whole & (1 << 64) - 1)


def _data(method: int, compressed: bytes, size: int) -> bytes:
    if size > _BLOCK_BYTES_MAX:
        raise ValueError(f"a block of {size:,} bytes is larger than {_BLOCK_BYTES_MAX:,}")
    if method == _NONE:
        data = compressed
    elif method == _LZ4:
        try:
            data = lz4_block.decompress(compressed, uncompressed_size=size)
        except lz4_block.LZ4BlockError as error:
            raise ValueError(f"a block is damaged ({error})") from error
    elif method == _ZSTD:
        try:
            data = zstd.decompress(compressed)
        except zstd.ZstdError as error:
            raise ValueError(f"a block is damaged ({error})") from error
    else:
        raise ValueError(f"method {method:#x} of a block is none of LZ4, ZSTD and NONE")
    if len(data) != size:
        raise ValueError(f"a block has {len(data):,} bytes and says {size:,}")
    return bytes(data)
