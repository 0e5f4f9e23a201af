"""Records what the demo replays: three rails and a journal, from the peers that tests run against.

`python -m tests.support.make_recordings` writes new recordings over the old ones.
"""

import contextlib
import json
import sys
import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx2
from solders.keypair import Keypair

from masques_pipelines.rails import endpoint, node, recording
from masques_pipelines.rails.run import ingest_all
from masques_pipelines.sandbox import rails as packaged
from masques_pipelines.schema.migrations import migrate
from masques_pipelines.settings import project_root, read_settings
from masques_pipelines.warehouse.client import Origin, Warehouse
from masques_pipelines.warehouse.connect import open_warehouse
from tests.integration.rails.test_solana import BUYER as SOLANA_BUYER
from tests.integration.rails.test_solana import FACILITATOR as SOLANA_FACILITATOR
from tests.integration.rails.test_solana import settle as solana_settle
from tests.support import anvil, fake_lnd, solana_rpc
from tests.support.x402_evm import BUYER, FACILITATOR, Payments

TARGET = project_root() / "masques_pipelines" / "sandbox" / "data" / "rails"
# Long enough that a demo's undecided payments are not overdue for a month.
MONTH_S = 30 * 86_400
SUMMARY = (
    "SELECT rail, status, failure_reason, count() FROM masques_marts.settlements_current "
    "GROUP BY ALL ORDER BY ALL"
)
# Deposits of the packaged ledger (masques_pipelines/sandbox/data/capture).
TRANSFERS = (
    "01a0c585-9503-1785-1825-13e37108ccf7",
    "01a0c585-9504-0130-8717-1322da13d87e",
    "01a0c585-9505-aa9d-212f-72c8093b6117",
    "01a0c585-9506-399b-eda3-a8f71238ac96",
    "01a0c585-9507-834d-92e8-2f4abd4609b6",
    "01a0c585-9508-21b8-ef7e-e471ede218c2",
)


def base_story(chain: anvil.Anvil, payments: Payments, transfers: Iterator[str]) -> None:
    """Paid and confirmed, reverted, replayed, expired, sent out, undecided, unanswered."""
    chain.mint(BUYER, 50_000_000)
    chain.mint(FACILITATOR, 50_000_000)
    chain.rpc("anvil_impersonateAccount", anvil.TREASURY)
    for units in (10_000, 250_000, 12_345):
        payments.settle(payments.sign(units, valid_s=MONTH_S), transaction_id=next(transfers))
        chain.pass_time(40)
    payments.settle(payments.sign(900_000_000))  # more than there is: reverts
    twice = payments.sign(75_000, valid_s=MONTH_S)
    payments.settle(twice, transaction_id=next(transfers))
    payments.facilitator = payments.new_facilitator()
    payments.settle(twice)
    payments.note("verify", payments.sign(5_000, valid_s=60), {"isValid": True})  # never sent
    chain.transfer(FACILITATOR, anvil.TREASURY, 2_000_000)  # plain, from an unknown address
    chain.transfer(anvil.TREASURY, FACILITATOR, 150_000)
    chain.pass_time(600)
    chain.finalize()
    payments.send(payments.sign(33_000, valid_s=MONTH_S))  # above the final block
    payments.note("settle", payments.sign(44_000, valid_s=MONTH_S), None)  # no answer came


def solana_story(chain: solana_rpc.Solana, settings: Any) -> None:
    """Paid, failed though the facilitator said success, paid by hand, not final yet."""
    for wallet in (SOLANA_BUYER, SOLANA_FACILITATOR):
        chain.airdrop(str(wallet.pubkey()))
    buyer = str(SOLANA_BUYER.pubkey())
    chain.fund(buyer, 50_000_000)
    chain.fund(solana_rpc.TREASURY, 0)
    solana_settle(chain, settings, 10_000, "order-1")
    solana_settle(chain, settings, 990_000, "order-2")
    chain.before_send = lambda: chain.fund(buyer, 5)
    solana_settle(chain, settings, 20_000, "order-3")
    chain.fund(buyer, 50_000_000)
    chain.transfer(Keypair.from_seed(bytes([7] * 32)), solana_rpc.TREASURY, 640_000)
    chain.advance()
    chain.transfer(SOLANA_BUYER, solana_rpc.TREASURY, 70_000)


def lightning_story(lnd: fake_lnd.FakeLnd) -> None:
    """Paid at once and in parts, held, canceled, never paid, paid out."""
    for name in ("tea", "parts", "held", "canceled", "ignored"):
        lnd.add(name, 21_000)
    lnd.now_s += 3_000  # "ignored" has expired by now
    lnd.hold("tea", 21_000)
    lnd.settle("tea")
    lnd.hold("parts", 12_000, 9_500)
    lnd.settle("parts")
    lnd.hold("held", 21_000)
    lnd.hold("canceled", 8_000)
    lnd.cancel("canceled")
    lnd.cancel("ignored")
    lnd.pay("payout", 15_000, "SUCCEEDED", fee_msat="42")


def l402_lines(lnd: fake_lnd.FakeLnd, transfers: Iterator[str]) -> list[dict[str, Any]]:
    """The gate's challenges, by payment hash: an invoice has its moment inside."""
    return [
        {
            "recorded_at": lnd.now_s - 2_990 + number,
            "protocol": "L402",
            "event": "challenge",
            "payment_hash": fake_lnd.payment_hash(name),
            "amount_msat": 21_000,
            "resource": "/tools/search",
            "transaction_id": next(transfers) if name == "tea" else None,
        }
        for number, name in enumerate(("tea", "parts", "ignored"))
    ]


def main() -> None:
    """Writes the recordings."""
    TARGET.mkdir(exist_ok=True)
    transfers = iter(TRANSFERS)
    with contextlib.ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        chain = stack.enter_context(anvil.running_anvil())
        sol = stack.enter_context(solana_rpc.running_solana())
        journal = home / "landing" / "settlement_journal" / "gate.ndjson"
        payments = Payments(chain, journal)
        base_story(chain, payments, transfers)
        payments.close()
        lnd = stack.enter_context(fake_lnd.running_lnd(chain.time_s - 3_000))
        lightning_story(lnd)
        macaroon = home / "macaroon"
        macaroon.write_bytes(fake_lnd.MACAROON)
        settings = read_settings(
            {
                "MASQUES_HOME": str(home),
                "MASQUES_BASE_RPC_URL": chain.url,
                "MASQUES_BASE_TREASURY": anvil.TREASURY,
                "MASQUES_BASE_START_BLOCK": str(packaged.START["base"]),
                "MASQUES_SOLANA_RPC_URL": sol.url,
                "MASQUES_SOLANA_TREASURY": solana_rpc.TREASURY,
                "MASQUES_SOLANA_START_SLOT": str(packaged.START["solana"]),
                "MASQUES_LND_URL": lnd.url,
                "MASQUES_LND_MACAROON_FILE": str(macaroon),
            }
        )
        # The clocks of the three peers differ: all are moved to the chain's.
        sol.start_s = chain.time_s - 200
        solana_story(sol, settings)
        lines = [json.loads(line) for line in journal.read_text().splitlines()]
        lines = sorted(map(harmless_line, lines), key=lambda each: float(each["recorded_at"]))
        lines += l402_lines(lnd, transfers)
        journal.write_text("".join(json.dumps(line) + "\n" for line in lines))
        (TARGET / packaged.JOURNAL_NAME).write_text(journal.read_text())
        warehouse = stack.enter_context(open_warehouse(settings, origin=Origin(job="record")))
        migrate(warehouse)
        record(warehouse, settings, {chain.url: "base", sol.url: "solana", lnd.url: "lightning"})


def harmless_line(line: dict[str, Any]) -> dict[str, Any]:
    """Returns a line without signatures, its time as a number."""
    at = line["recorded_at"]
    if isinstance(at, str):
        at = datetime.fromisoformat(at).timestamp()
    payload = line["request"]["paymentPayload"]["payload"]
    payload.pop("signature", None)
    payload.pop("transaction", None)
    return {**line, "recorded_at": at}


def record(warehouse: Warehouse, settings: Any, names: dict[str, str]) -> None:
    """Runs the rails three times through recorders: a first run, the next, and an idle one."""
    exchanges: dict[str, list[dict[str, Any]]] = {name: [] for name in names.values()}
    original = node.open_node

    def recorded_node(url: str, **more: Any) -> node.HttpNode:
        opened = original(url, **more)
        headers = dict(opened.client.headers)
        opened.client.close()
        transport = recording.recording_transport(httpx2.HTTPTransport(), exchanges[names[url]])
        opened.client = httpx2.Client(transport=transport, headers=headers, timeout=30)
        return opened

    vars(endpoint)["open_node"] = recorded_node
    for _ in range(3):
        done = ingest_all(warehouse, settings)
    if done.rows_written:
        raise SystemExit("the third run still wrote rows")
    newest_s = max(_block_times(exchanges["base"]))
    for name, found in exchanges.items():
        text = json.dumps({"recorded_at_s": newest_s, "exchanges": found}, indent=0)
        (TARGET / f"{name}.json").write_text(text + "\n")
    sys.stdout.write(warehouse.text(SUMMARY))


def _block_times(value: Any) -> Iterator[int]:
    """Yields the times of all blocks in a conversation, of single calls and of batches."""
    if isinstance(value, list):
        for each in value:
            yield from _block_times(each)
    elif isinstance(value, dict):
        if isinstance(value.get("timestamp"), str):
            yield int(value["timestamp"], 16)
        for each in value.values():
            yield from _block_times(each)


if __name__ == "__main__":
    main()
