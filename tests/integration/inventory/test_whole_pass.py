"""A whole pass is made in slices, over many runs, and finds what one at once would find."""

from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from masques_pipelines.cli import masques
from masques_pipelines.inventory.tables import EVENTS
from masques_pipelines.inventory.writes import counted
from masques_pipelines.ledger.accounts import sync_accounts
from masques_pipelines.ledger.capture.source import CaptureSource
from masques_pipelines.ledger.chart import read_chart
from masques_pipelines.ledger.proofs.suite import PROOFS
from masques_pipelines.ledger.records import ACCOUNT_DTYPE, CHANGE_EVENT_DTYPE, records_of
from masques_pipelines.ledger.transactions import sync_transactions
from masques_pipelines.settings import Settings
from masques_pipelines.verification import passes, slices
from masques_pipelines.verification.passes import advance_pass, read_passes
from masques_pipelines.verification.slices import Slice, SliceResult, plan
from masques_pipelines.warehouse.client import Warehouse
from tests.integration.inventory.test_losses import write
from tests.support.kept_rows import filled_once
from tests.support.memory_ledger import MemoryLedger


@pytest.fixture(autouse=True)
def _small_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "EVENTS_PER_RANGE", 700)


@pytest.fixture
def synced(warehouse: Warehouse, small_capture: Path) -> Warehouse:
    """2,120 events in some sealed batches, and rows of one table of the gate."""

    def fill() -> None:
        with CaptureSource(small_capture) as source:
            ledger = MemoryLedger(
                events=records_of(source.change_events(0).data, CHANGE_EVENT_DTYPE, origin="test"),
                known_accounts=records_of(source.accounts(0).data, ACCOUNT_DTYPE, origin="test"),
                cluster_id=source.cluster_id,
                page_events=300,
            )
            chart = read_chart(None)
            sync_accounts(warehouse, ledger, chart)
            sync_transactions(warehouse, ledger, chart, batch_events=300)
        with counted(warehouse, EVENTS):
            write(warehouse, EVENTS, days=60)

    filled_once(warehouse, "synced, and a table of the gate", fill)
    return warehouse


def only(monkeypatch: pytest.MonkeyPatch, *kinds: str) -> None:
    """Leaves the other slices out of the passes that begin from now on."""
    monkeypatch.setattr(
        passes, "plan", lambda warehouse: [one for one in plan(warehouse) if one.kind in kinds]
    )


def findings(warehouse: Warehouse) -> tuple[str, ...]:
    """What a new pass finds, without the statements that changed rows."""
    while advance_pass(warehouse, budget_s=3600, rest_s=0) and read_passes(warehouse).running:
        pass
    found = read_passes(warehouse).complete
    assert found is not None
    return tuple(line for line in found.findings if not line.startswith("mutations: "))


def test_a_pass_goes_on_where_a_run_stopped_or_was_killed(
    synced: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = [(one.kind, one.part) for one in plan(synced)]
    assert [kind for kind, _ in planned].count("seals") == 3
    assert [part for kind, part in planned if kind == "proof"] == [
        proof.name for proof in PROOFS if proof.name != "integrity"
    ]
    assert sum(kind == "content" and "reputation_events 20" in part for kind, part in planned) >= 2
    only(monkeypatch, "seals", "content")
    planned = [(kind, part) for kind, part in planned if kind in ("seals", "content")]
    made: list[tuple[str, str]] = []
    is_killed = False

    def counting(warehouse: Warehouse, due: Slice, *, kept: dict[str, int]) -> SliceResult:
        nonlocal is_killed
        is_killed = not is_killed
        if is_killed:
            raise KeyboardInterrupt
        made.append((due.kind, due.part))
        return SliceResult("holds", "", sealed_sequence=1)

    monkeypatch.setattr(passes, "prove_slice", counting)
    for _ in range(2 * len(planned)):
        with suppress(KeyboardInterrupt):
            assert advance_pass(synced, budget_s=0) == 1
        assert (read_passes(synced).complete is None) == (len(made) < len(planned))
    assert made == planned
    done = read_passes(synced)
    assert done.complete is not None
    assert done.running is None
    assert (done.complete.slices, done.complete.left) == (len(planned), 0)
    # One a night, and then the next.
    assert advance_pass(synced, budget_s=0) == 0
    is_killed = True
    assert advance_pass(synced, budget_s=0, rest_s=0) == 1
    assert read_passes(synced).running is not None


def test_a_pass_finds_what_was_changed_wherever_it_is(
    synced: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert findings(synced) == ()
    only(monkeypatch, "seals", "content")
    for number in (0, 1000, 1700):
        synced.command(
            "ALTER TABLE masques.transactions UPDATE timeout_s = timeout_s + 1 WHERE timestamp = "
            "(SELECT timestamp FROM masques.transactions ORDER BY timestamp LIMIT 1 "
            f"OFFSET {number})",
            mutations_sync=2,
        )
    lines = findings(synced)
    batches = [line for line in lines if "a row is not as the ledger sent it" in line]
    assert [line.split()[1] for line in batches] == ["1", "4", "6"]
    synced.command("TRUNCATE TABLE masques.reputation_events")
    assert any(line.startswith("reputation_events: ") for line in findings(synced))


def test_a_seal_that_is_gone_is_missed_wherever_it_was(
    synced: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    only(monkeypatch, "seals")
    seals = synced.rows("SELECT sequence FROM masques_ops.ledger_seals ORDER BY sequence")
    synced.command(
        "CREATE TABLE masques_ops.kept ENGINE = Memory AS SELECT * FROM masques_ops.ledger_seals"
    )
    try:
        # The first, the last, and those beside the ends of the three ranges.
        assert len(seals) > 6
        for (sequence,) in (seals[0], seals[2], seals[3], seals[-1]):
            synced.command(f"DELETE FROM masques_ops.ledger_seals WHERE sequence = {sequence}")
            assert findings(synced) != (), sequence
            synced.command(
                "INSERT INTO masques_ops.ledger_seals SELECT * FROM masques_ops.kept "
                f"WHERE sequence = {sequence}"
            )
        assert findings(synced) == ()
    finally:
        synced.command("DROP TABLE masques_ops.kept")


def test_nothing_to_prove_is_no_pass(
    warehouse: Warehouse, engine_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = "last whole pass: none was completed yet"
    assert (read_passes(warehouse).is_overdue, read_passes(warehouse).text) == (False, empty)
    monkeypatch.setenv("MASQUES_CLICKHOUSE_URL", engine_settings.clickhouse_url)
    assert empty in CliRunner().invoke(masques, ["verify", "--full"]).output
    monkeypatch.setattr(passes, "PASS_DAYS_MAX", -1)
    assert read_passes(warehouse).is_overdue


def test_verify_full_is_a_whole_pass(
    synced: Warehouse, engine_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MASQUES_CLICKHOUSE_URL", engine_settings.clickhouse_url)
    result = CliRunner().invoke(masques, ["verify", "--full"])
    assert f"last whole pass: of {datetime.now(UTC).date()}" in result.output
    found = read_passes(synced)
    assert found.complete is not None
    assert (found.running, found.complete.is_complete) == (None, True)
