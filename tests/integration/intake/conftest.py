"""Fixtures of the intake."""

from pathlib import Path

import pytest

from tests.support.landing_zone import Zone


@pytest.fixture
def zone(tmp_path: Path) -> Zone:
    return Zone(tmp_path / "landing")
