"""A made world on a real TigerBeetle server: its records are those that the server would make."""

from pathlib import Path

import pytest

from tests.campaigns.replay_world import replay
from tests.support.tigerbeetle_server import binary_or_skip


@pytest.mark.tigerbeetle
def test_a_server_makes_the_same_events_and_accounts(tmp_path: Path) -> None:
    assert replay(tmp_path, binary_or_skip(), seed=2, size=1_000).endswith(
        "40 holds expired on the server"
    )
