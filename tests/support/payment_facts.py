"""Writes hand-made facts about payments into the tables that reconciliation compares."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from masques_pipelines.ledger.chart import load_chart, read_chart
from masques_pipelines.warehouse.client import Warehouse

TREASURY: Final = uuid.UUID(int=100)
AGENT: Final = uuid.UUID(int=200)
AUTHOR: Final = uuid.UUID(int=300)
PLATFORM: Final = uuid.UUID(int=400)
AGENT_IDENTITY: Final = uuid.UUID(int=0xA)
START: Final = datetime(2026, 11, 20, tzinfo=UTC)
_CODES: Final = {
    "deposit": 1,
    "masque_session": 2,
    "api_call": 3,
    "fee": 4,
    "refund": 5,
    "settlement": 6,
}
_ACCOUNTS: Final = ((TREASURY, 100), (AGENT, 200), (AUTHOR, 300), (PLATFORM, 400))


def moment(minutes: float) -> str:
    """Returns a time so many minutes after START, as the engine reads it."""
    return (START + timedelta(minutes=minutes)).strftime("%Y-%m-%d %H:%M:%S.%f")


def item(name: str) -> uuid.UUID:
    """Returns the id that a name stands for."""
    return uuid.uuid5(uuid.NAMESPACE_DNS, name)


@dataclass
class PaymentFacts:
    """Facts about payments, each with a name instead of an id; times are minutes after START."""

    warehouse: Warehouse
    names: dict[uuid.UUID, str] = field(default_factory=dict)
    revisions: dict[str, int] = field(default_factory=dict)

    def prepare(self) -> None:
        """Loads the chart and the four accounts."""
        load_chart(self.warehouse, read_chart(None))
        self._insert(
            "masques.accounts",
            [
                {
                    "account_id": str(account),
                    "identity_id": str(AGENT_IDENTITY if account == AGENT else uuid.UUID(int=0)),
                    "snapshot_at": moment(0),
                    "currency": "USD",
                    "ledger": 1,
                    "code": code,
                }
                for account, code in _ACCOUNTS
            ],
        )
        self.warehouse.command(
            "INSERT INTO masques_ops.landing_channels (channel, tables, prefixes, recorded_at) "
            "VALUES ('gate', ['api_requests', 'masque_sessions'], [''], now64(6))"
        )

    def read_to(self, minutes: float, *, only: str = "") -> None:
        """Says that every side, or only one, was read up to a time."""
        if only in ("", "ledger"):
            ns = int((START + timedelta(minutes=minutes)).timestamp()) * 10**9
            self.warehouse.command(
                "INSERT INTO masques_ops.ledger_syncs (watermark_ns, recorded_at) "
                "VALUES ({ns:UInt64}, now64(6))",
                {"ns": ns},
            )
        for table in ("api_requests", "masque_sessions"):
            if only in ("", table):
                self.warehouse.command(
                    "INSERT INTO masques_ops.intake_files "
                    "(folder, path, channel, state, newest_at, recorded_at) VALUES "
                    "({t:String}, 'f', 'gate', 'loaded', {at:DateTime64(9, 'UTC')}, now64(6))",
                    {"t": table, "at": moment(minutes)},
                )
        for rail in ("base", "journal"):
            if only in ("", rail):
                self.warehouse.command(
                    "INSERT INTO masques_ops.rail_cursors (rail, network, read_to, saved_at) "
                    "VALUES ({r:String}, '', {at:DateTime64(9, 'UTC')}, now64(6))",
                    {"r": rail, "at": moment(minutes)},
                )

    def transfer(self, name: str, kind: str, amount: str, at: float, **given: Any) -> None:
        """Books a transfer: event and pending name a phase, sides the two accounts."""
        self._insert("masques.transactions", [self._transfer(name, kind, amount, at, **given)])

    def request(self, name: str, at: float, **given: Any) -> None:
        """Tells of a request: of names the transfer, charged what it cost."""
        self._insert("masques.api_requests", [self._request(name, at, **given)])

    def calls(self, times: Mapping[str, float], amount: str) -> None:
        """Books a call at each time, by name."""
        rows = [self._transfer(name, "api_call", amount, at) for name, at in times.items()]
        self._insert("masques.transactions", rows)

    def requests_of(self, times: Mapping[str, float], charged: str) -> None:
        """Tells of a request of each of these calls, a minute later."""
        self._insert(
            "masques.api_requests",
            [
                self._request(f"asked {name}", at + 1, of=name, charged=charged)
                for name, at in times.items()
            ],
        )

    def _transfer(
        self, name: str, kind: str, amount: str, at: float, **given: Any
    ) -> dict[str, Any]:
        debit, credit = given.pop("sides", (AGENT, AUTHOR))
        pending = given.pop("pending", None)
        return {
            "transaction_id": str(self._id(name)),
            "timestamp": moment(at),
            "debit_account_id": str(debit),
            "credit_account_id": str(credit),
            "amount": amount,
            "currency": "USD",
            "transaction_type": kind,
            "event_type": "single_phase",
            "ledger": 1,
            "code": _CODES[kind],
            "pending_id": str(item(pending)) if pending else None,
            **given,
        }

    def _request(self, name: str, at: float, **given: Any) -> dict[str, Any]:
        of, charged = given.pop("of", None), given.pop("charged", None)
        return {
            "request_id": str(self._id(name)),
            "timestamp": moment(at),
            "transaction_id": str(self._id(of)) if of else None,
            "status_code": 200,
            "payment_status": "paid",
            "charged": charged,
            "charged_currency": "USD" if charged is not None else "",
            "identity_id": str(AGENT_IDENTITY),
            **given,
        }

    def session(self, name: str, of: str, at: float, **given: Any) -> None:
        """Tells of a session: with doffed_at it is over."""
        charged = given.pop("charged", None)
        doffed = given.pop("doffed", None)
        self._insert(
            "masques.masque_sessions",
            [
                {
                    "report": "doff" if doffed is not None else "don",
                    "session_id": str(self._id(name)),
                    "identity_id": str(AGENT_IDENTITY),
                    "donned_at": moment(at),
                    "doffed_at": moment(doffed) if doffed is not None else None,
                    "transaction_id": str(self._id(of)),
                    "charged": charged,
                    "charged_currency": "USD" if charged is not None else "",
                    **given,
                }
            ],
        )

    def settlement(self, name: str, amount: str, at: float, **given: Any) -> None:
        """Writes a revision of a settlement; of names the transfers that it is linked to now."""
        of = given.pop("of", None)
        revision = self.revisions[name] = self.revisions.get(name, 0) + 1
        self._insert(
            "masques.settlements",
            [
                {
                    "settlement_id": str(self._id(name)),
                    "timestamp": moment(at),
                    "rail": "base",
                    "amount": amount,
                    "currency": "USDC",
                    "status": "confirmed",
                    "direction": "in",
                    "revision": revision,
                    "recorded_at": moment(at),
                    **given,
                }
            ],
        )
        if of is not None:
            self.link(name, *of)

    def link(self, settlement: str, *transfers: str, withdrawn: bool = False) -> None:
        """Links a settlement to transfers, or withdraws the links."""
        for transfer in transfers:
            self.warehouse.command(
                "INSERT INTO masques_ops.settlement_links "
                "(settlement_id, transaction_id, recorded_at, is_deleted) "
                "SELECT {s:UUID}, {t:UUID}, now64(6), {w:UInt8}",
                {"s": str(item(settlement)), "t": str(self._id(transfer)), "w": int(withdrawn)},
            )

    def rail_run(self, *networks: str) -> None:
        """Says which networks of Base the newest run read."""
        now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
        self._insert(
            "masques_ops.rail_runs",
            [
                {"rail": "base", "network": each, "finished_at": now, "state": "read"}
                for each in networks
            ],
        )

    def balance(self, amount: str, block: int, network: str = "") -> None:
        """Says what Base's node has at a block, one a minute."""
        self._insert(
            "masques_ops.rail_balances",
            [
                {
                    "rail": "base",
                    "network": network,
                    "asset": "usdc",
                    "address": "ours",
                    "line": "balance",
                    "currency": "USDC",
                    "balance": amount,
                    "block": block,
                    "read_at": moment(block),
                    "recorded_at": datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f"),
                }
            ],
        )

    def books(self, owed: str) -> None:
        """Says that the ledger owes the agent so much, and that the treasury has it."""
        self._insert(
            "masques.accounts",
            [
                {
                    "account_id": str(account),
                    "identity_id": str(AGENT_IDENTITY if account == AGENT else uuid.UUID(int=0)),
                    "snapshot_at": moment(len(self.names) + 1),
                    "currency": "USD",
                    "ledger": 1,
                    "code": code,
                    "debits_posted": owed if account == TREASURY else "0",
                    "credits_posted": owed if account == AGENT else "0",
                }
                for account, code in _ACCOUNTS[:2]
            ],
        )

    def refund(self, transfer: str, of: str, at: float) -> None:
        """Links a refund to the transfer that it gives back."""
        self._insert(
            "masques_ops.payment_links",
            [
                {
                    "transaction_id": str(self._id(transfer)),
                    "refund_of": str(item(of)),
                    "timestamp": moment(at),
                }
            ],
        )

    def verdicts(self) -> dict[str, tuple[str, str]]:
        """Returns what is said now: both legs of each payment, by name."""
        return {
            self.names.get(item_id, str(item_id)): (gate, rail)
            for item_id, gate, rail in self.warehouse.rows(
                "SELECT item_id, gate, rail FROM masques_marts.payments ORDER BY at, item_id"
            )
        }

    def risks(self) -> dict[str, tuple[Decimal, Decimal]]:
        """Returns the money at risk on both legs of each payment, by name."""
        return {
            self.names.get(item_id, str(item_id)): (gate, rail)
            for item_id, gate, rail in self.warehouse.rows(
                "SELECT item_id, gate_risk, rail_risk FROM masques_marts.payments"
            )
        }

    def _id(self, name: str) -> uuid.UUID:
        found = item(name)
        self.names.setdefault(found, name)
        return found

    def _insert(self, table: str, rows: list[dict[str, Any]]) -> None:
        self.warehouse.insert_json(table, rows)
