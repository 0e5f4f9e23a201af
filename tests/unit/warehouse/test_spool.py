"""Rows that wait in a file."""

from pathlib import Path

import pytest

from masques_pipelines.warehouse.errors import WarehouseTransientError
from masques_pipelines.warehouse.spool import Spool


def test_rows_are_read_back_and_the_file_goes_with_the_spool(tmp_path: Path) -> None:
    for folder in (tmp_path, None):
        with Spool(folder) as spool:
            spool.write((b"head", memoryview(b"data")))
            spool.write((b"more",))
            assert (spool.size, spool.read(4, 4), spool.read(0, 12)) == (
                12,
                b"data",
                b"headdatamore",
            )
            if folder:
                assert Path(spool.path()).read_bytes() == b"headdatamore"
        assert list(tmp_path.iterdir()) == []


def test_a_folder_that_takes_no_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(WarehouseTransientError, match=r"gone: cannot be written"):
        Spool(tmp_path / "gone")
