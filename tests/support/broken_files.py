"""Damages the files of a table as a bad disk does, below the engine."""

from pathlib import Path

from masques_pipelines.warehouse.client import Warehouse


def break_a_file(warehouse: Warehouse, name: str) -> None:
    """Changes one byte of the data of a table's newest part."""
    folder = warehouse.scalar(
        "SELECT max(path) FROM system.parts WHERE active AND rows > 0 "
        "AND concat(database, '.', table) = {name:String}",
        {"name": name},
    )
    data = max(Path(folder).glob("*.bin"), key=lambda file: file.stat().st_size)
    content = bytearray(data.read_bytes())
    content[len(content) // 2] ^= 0xFF
    data.write_bytes(content)
