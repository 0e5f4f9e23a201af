"""Encodes values as ClickHouse's RowBinary, for `Warehouse.insert_select`."""


def rowbinary_string(value: bytes) -> bytes:
    """Returns a String: its length as LEB128, then its bytes."""
    return leb128(len(value)) + value


def leb128(number: int) -> bytes:
    """Returns an unsigned number in groups of seven bits, the lowest first."""
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)
