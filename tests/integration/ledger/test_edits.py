"""No edit of any column of a sealed row passes, whichever value it is given."""

from masques_pipelines.ledger.accounts import sync_accounts
from masques_pipelines.ledger.chart import Chart, read_chart
from masques_pipelines.ledger.proofs.chart_findings import CHART
from masques_pipelines.ledger.proofs.integrity import prove_integrity
from masques_pipelines.ledger.proofs.scope import read_scope
from masques_pipelines.ledger.proofs.suite import prove_all
from masques_pipelines.ledger.rebuild import rebuild_transactions
from masques_pipelines.ledger.transactions import sync_transactions
from masques_pipelines.schema.files import sql_files
from masques_pipelines.warehouse.client import Warehouse
from tests.campaigns import ledger_edits
from tests.support.campaign import rounds, seeded
from tests.support.memory_ledger import MemoryLedger, account, event

RUN = "run `masques ledger rebuild`"
START_NS = 1_790_812_700_000_000_000
WORDS = "SELECT DISTINCT resource_code, resource_type FROM masques.transactions ORDER BY ALL"


def test_a_round_of_edits_names_exactly_the_edited_batches(warehouse: Warehouse) -> None:
    seed = seeded().randrange(10**9)
    edits, _, faults, _ = ledger_edits.run(warehouse, edits=rounds(250), seed=seed)
    assert (faults, edits >= 250) == ([], True)


def ledger_of_resources(*types: int) -> MemoryLedger:
    ledger = MemoryLedger(known_accounts=account(START_NS - 1))
    own = {"debit_account_id": START_NS - 1, "credit_account_id": START_NS - 1}
    ledger.add(
        *(
            event(START_NS + n, transfer_code=3, transfer_user_data_32=(type_ << 24) + 5, **own)
            for n, type_ in enumerate(types)
        )
    )
    return ledger


def sync(warehouse: Warehouse, ledger: MemoryLedger, chart: Chart) -> None:
    sync_accounts(warehouse, ledger, chart)
    sync_transactions(warehouse, ledger, chart)


def changed(chart: Chart, **parts: object) -> Chart:
    return chart.model_copy(update=parts)


CHANGES: dict[str, dict[int, str | None]] = {
    "one renamed and its name given to another": {3: "api_v1", 7: "api"},
    "one retired and its name given to another": {3: None, 7: "api"},
    "two names swapped": {1: "mcp_tool", 2: "masque"},
    "two of one name": {1: "api"},
    "one learned": {7: "book"},
    "one forgotten": {2: None},
}


def test_a_chart_renames_and_reuses_words_without_breaking_the_past(warehouse: Warehouse) -> None:
    before = read_chart(None)
    ledger = ledger_of_resources(1, 2, 3, 7)
    sync(warehouse, ledger, before)
    for number, (change, given) in enumerate(CHANGES.items(), 1):
        types: dict[int, str | None] = {**before.resource_types, **given}
        after = changed(before, resource_types={n: name for n, name in types.items() if name})
        at_ns = START_NS + 50 * number
        ledger.add(*(event(at_ns + n, transfer_user_data_32=n << 24) for n in (1, 2, 3, 7)))
        sync(warehouse, ledger, after)
        scope = read_scope(warehouse)
        assert prove_integrity(scope).holds, change
        assert CHART.prove(scope).outcome == "fails", change  # it says which rows are of before

        rebuild_transactions(warehouse, ledger, after)
        assert prove_integrity(scope).holds, change
        names = after.resource_types
        assert warehouse.rows(WORDS) == [(n, names.get(n, f"type_{n}")) for n in (1, 2, 3, 7)]
        rebuild_transactions(warehouse, ledger, before)
    assert prove_integrity(scope).holds


def test_what_was_renamed_is_said_with_the_remedy(warehouse: Warehouse) -> None:
    before = read_chart(None)
    ledger = ledger_of_resources(1, 1, 7)
    sync(warehouse, ledger, before)
    after = changed(
        before,
        transfer_codes={
            **before.transfer_codes,
            3: before.transfer_codes[3].model_copy(update={"name": "tool"}),
        },
        resource_types={**before.resource_types, 1: "mask"},
    )
    ledger.add(event(START_NS + 9))
    sync(warehouse, ledger, after)
    assert prove_all(warehouse)[CHART].findings == (
        f"transactions: 3 rows call transfer code 3 api_call, which the chart calls tool: {RUN}",
        f"transactions: 2 rows call resource type 1 masque, which the chart calls mask: {RUN}",
        "transactions: 1 rows with type_7, which is not in the chart: add it",
    )
    rebuild_transactions(warehouse, ledger, after)
    assert len(prove_all(warehouse)[CHART].findings) == 1


def test_rows_of_before_the_numbers_were_kept_are_given_theirs(warehouse: Warehouse) -> None:
    before = read_chart(None)
    types = {**before.resource_types, 3: "api_v1", 7: "api"}
    ledger = ledger_of_resources(0, 1, 2, 3, 7, 0xFF)
    sync(warehouse, ledger, before)
    ledger.add(*(event(START_NS + 50 + n, transfer_user_data_32=n << 24) for n in (3, 7)))
    sync(warehouse, ledger, changed(before, resource_types=types))
    numbers = "SELECT timestamp, resource_code, chart_version FROM masques.transactions ORDER BY 1"
    written = warehouse.rows(numbers)
    warehouse.command(
        "ALTER TABLE masques.transactions UPDATE resource_code = 0, chart_version = 0 WHERE 1",
        mutations_sync=2,
    )
    assert not prove_integrity(read_scope(warehouse)).holds

    (file,) = (file for file in sql_files() if file.name == "019_ledger_proofs.sql")
    for statement in file.statements(cluster=False):
        if "UPDATE" in statement:
            warehouse.command(statement)
    assert warehouse.rows(numbers) == written
    assert prove_integrity(read_scope(warehouse)).holds
