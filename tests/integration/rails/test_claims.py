"""Claims that contradict each other: listed, decided by a person, and decided for good."""

import uuid
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from masques_pipelines.cli import masques
from masques_pipelines.rails.attribution import link_settlements
from masques_pipelines.settings import Settings
from masques_pipelines.warehouse.client import Warehouse
from tests.integration.rails.test_links import (
    OTHER_TX,
    PAID,
    TRUE,
    A,
    B,
    V,
    kinds,
    line,
    links,
    mined,
    rows,
    write,
)

DECISIONS = (
    "SELECT decision, transaction_ids, decided_by, reason FROM masques_ops.claim_decisions FINAL "
    "ORDER BY decided_at"
)


@pytest.fixture(autouse=True)
def _environment(
    monkeypatch: pytest.MonkeyPatch, engine_settings: Settings, tmp_path: Path
) -> None:
    monkeypatch.setenv("MASQUES_CLICKHOUSE_URL", engine_settings.clickhouse_url)
    monkeypatch.setenv("MASQUES_HOME", str(tmp_path))
    monkeypatch.setenv("LOGNAME", "kai")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(masques, ["rails", *arguments])


def resolve(*arguments: object, reason: str = "the buyer's receipt says so") -> Result:
    return run("resolve", str(PAID), *map(str, arguments), "--reason", reason)


def test_a_decision_links_and_stays_whatever_is_claimed_later(warehouse: Warehouse) -> None:
    assert run("claims").output == "no claims contradict each other, or all are decided\n"
    write(warehouse, TRUE, line(40, "success", A, B), mined())
    shown = run("claims").output
    assert f"{PAID}  base eip155:8453 confirmed in 5 USDC, transaction {mined().tx_hash}" in shown
    assert f"claimed 2026-09-21 14:13:40: {V}\n" in shown
    assert f": {A} and {B}\n" in shown
    assert f"to decide: masques rails resolve {PAID}" in shown

    assert resolve(V).exit_code == 0
    assert (links(warehouse), rows(warehouse)[0][5]) == ([(PAID, V)], V)
    assert run("claims").output == "no claims contradict each other, or all are decided\n"
    assert "by kai: linked to " in run("claims", "--all").output
    assert kinds(warehouse) == ["claims_disagree"]

    # Nine more lines, forged: the link stays, and it is said.
    later = [line(50 + n, "success", uuid.UUID(int=9000 + n)) for n in range(8)]
    write(warehouse, *later, line(49, "refused", A))
    write(warehouse, later[3])
    assert (links(warehouse), rows(warehouse)[0][5]) == ([(PAID, V)], V)
    assert kinds(warehouse) == ["claims_disagree"] * 2
    assert "a claim came later" in run("claims").output

    # Decided otherwise: by one transfer of a claim, which means the whole claim.
    assert resolve(A, reason="refunded").exit_code == 0
    assert (links(warehouse), rows(warehouse)[0][5]) == ([(PAID, A), (PAID, B)], A)
    assert resolve("--none", "--by", "mia").exit_code == 0
    assert (links(warehouse), rows(warehouse)[0][5]) == ([], None)
    assert resolve("--withdraw").exit_code == 0
    assert links(warehouse) == []
    assert warehouse.rows(DECISIONS) == [
        ("linked", [V], "kai", "the buyer's receipt says so"),
        ("linked", [A, B], "kai", "refunded"),
        ("none", [], "mia", "the buyer's receipt says so"),
        ("withdrawn", [], "kai", "the buyer's receipt says so"),
    ]
    link_settlements(warehouse)
    assert links(warehouse) == []


def test_a_decision_holds_only_while_the_chain_proves_its_claim(warehouse: Warehouse) -> None:
    write(warehouse, TRUE, line(40, "success", A), mined())
    resolve(A)
    write(warehouse, mined(status="failed", failure_reason="reorged_out", tx_hash=OTHER_TX))
    assert links(warehouse) == []
    assert "not proved any more" in run("claims").output
    write(warehouse, mined())
    assert links(warehouse) == [(PAID, A)]


def test_only_a_proved_claim_can_be_decided_for(warehouse: Warehouse) -> None:
    write(warehouse, TRUE, mined())
    refused = resolve(V)
    assert refused.exit_code == 1
    assert "no two claims on this settlement contradict each other" in str(refused.exception)
    write(warehouse, line(40, "success", A), line(41, "success", B, tx_hash=OTHER_TX))
    for arguments in ((B,), (V, A), (uuid.UUID(int=1),)):
        refused = resolve(*arguments)
        assert refused.exit_code == 1
        assert "no proved claim names" in str(refused.exception)
    assert resolve("--withdraw").exit_code == 1
    assert resolve().exit_code == 2
    assert resolve(A, "--none").exit_code == 2
    assert resolve(A, reason=" ").exit_code == 1
    assert warehouse.rows(DECISIONS) == []
    assert links(warehouse) == []
    write(warehouse, line(42, "success", A, V))
    assert resolve(V).exit_code == 0  # exactly that claim, though another names it too
    assert links(warehouse) == [(PAID, V)]
