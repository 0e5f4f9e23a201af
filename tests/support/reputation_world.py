"""A small world of facts for reputation tests, and putting it into a warehouse.

Here: the facts, and the scores that the SQL gives them.
Not here: any test, and the model in plain Python (reputation_reference.py).
"""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from masques_pipelines.reputation.facts import write_facts
from masques_pipelines.reputation.model import read_model
from masques_pipelines.warehouse.client import Warehouse

MODEL: Final = read_model(None)
PLATFORM: Final = MODEL.attestors[0]
NOBODY: Final = uuid.UUID(int=0)
CATEGORIES: Final = ("task_quality", "economic", "identity_hygiene")
POSTED: Final = ("single_phase", "two_phase_posted")


def ident(name: str) -> uuid.UUID:
    """The id of whatever a test calls by that name."""
    return uuid.uuid5(uuid.NAMESPACE_URL, name)


@dataclass(frozen=True)
class Event:
    identity: uuid.UUID
    timestamp: datetime
    category: str = "task_quality"
    delta: float = 1.0
    confidence: float = 1.0
    reference_type: str = ""
    reference: uuid.UUID | None = None
    counterparty: str = ""
    event_type: str = "rated"
    channel: str = "landing"
    event_id: uuid.UUID = field(default_factory=uuid.uuid4)


@dataclass(frozen=True)
class Transfer:
    transfer_id: uuid.UUID
    timestamp: datetime
    debit: uuid.UUID
    credit: uuid.UUID
    amount: Decimal = Decimal(1)
    kind: str = "api_call"
    event_type: str = "single_phase"
    currency: str = "USD"
    trace: str = ""
    hold: uuid.UUID | None = None


@dataclass(frozen=True)
class Settlement:
    settlement_id: uuid.UUID
    timestamp: datetime
    status: str
    transfer: uuid.UUID | None = None
    payer: str = ""
    revision: int = 1
    direction: str = "in"
    reason: str = ""


@dataclass(frozen=True)
class Session:
    session_id: uuid.UUID
    identity: uuid.UUID
    author: uuid.UUID
    donned_at: datetime
    transfer: uuid.UUID | None = None


@dataclass(frozen=True)
class Request:
    request_id: uuid.UUID
    identity: uuid.UUID
    timestamp: datetime
    transfer: uuid.UUID | None = None


@dataclass
class World:
    """Facts. accounts: account to (owner, type); rates: (currency, since, USD).

    refund_of: refunding transfer to payment; attesting: channels. Who is not in born was there in
    2020.
    """

    identities: dict[uuid.UUID, dict[str, str]] = field(default_factory=dict)
    accounts: dict[uuid.UUID, tuple[uuid.UUID, str]] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    transfers: list[Transfer] = field(default_factory=list)
    settlements: list[Settlement] = field(default_factory=list)
    sessions: list[Session] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    rates: list[tuple[str, datetime, Decimal]] = field(default_factory=list)
    born: dict[uuid.UUID, datetime] = field(default_factory=dict)
    suspended: set[uuid.UUID] = field(default_factory=set)
    refund_of: dict[uuid.UUID, uuid.UUID] = field(default_factory=dict)
    attesting: set[str] = field(default_factory=set)

    def account(self, owner: uuid.UUID, kind: str = "prepaid") -> uuid.UUID:
        """The owner's account of a type, opened on first use."""
        account_id = ident(f"account {owner} {kind}")
        self.accounts[account_id] = (owner, kind)
        return account_id

    def pay(
        self,
        payer: uuid.UUID,
        payee: uuid.UUID,
        timestamp: datetime,
        amount: str = "1",
        **rest: Any,
    ) -> uuid.UUID:
        """Records a payment from one identity to another; returns its id."""
        transfer_id = rest.pop("transfer_id", None) or uuid.uuid4()
        self.transfers.append(
            Transfer(
                transfer_id,
                timestamp,
                rest.pop("debit", None) or self.account(payer),
                rest.pop("credit", None) or self.account(payee, "author"),
                Decimal(amount),
                **rest,
            )
        )
        return transfer_id

    def fund(self, payer: uuid.UUID, payee: uuid.UUID, timestamp: datetime) -> None:
        """Records money that pays for nothing."""
        self.pay(payer, payee, timestamp, "5", credit=self.account(payee), kind="adjustment")

    def load(
        self,
        warehouse: Warehouse,
        *,
        ingested_at: datetime | None = None,
        with_facts: bool = True,
    ) -> None:
        """Inserts the facts, as if they came in at ingested_at; writes down what follows."""
        came_in = ingested_at or datetime(2020, 1, 1, tzinfo=UTC)
        for table, columns, rows in self._tables():
            if table != "masques_ops.landing_channels":
                warehouse.insert_rows(
                    table, [*columns, "ingested_at"], [[*row, came_in] for row in rows]
                )
            else:
                warehouse.insert_rows(table, columns, rows)
        if with_facts:
            write_facts(warehouse)

    def _tables(self) -> Iterable[tuple[str, list[str], list[list[Any]]]]:
        long_ago = datetime(2020, 1, 1, tzinfo=UTC)
        yield (
            "masques.identities",
            [
                "identity_id",
                "identity_type",
                "created_at",
                "external_ids",
                "status",
                "updated_at",
            ],
            [
                [
                    i,
                    "agent",
                    self.born.get(i, long_ago),
                    ids,
                    "suspended" if i in self.suspended else "active",
                    datetime.now(UTC),
                ]
                for i, ids in self.identities.items()
            ],
        )
        yield (
            "masques.accounts",
            ["account_id", "identity_id", "account_type", "snapshot_at"],
            [[a, owner, kind, long_ago] for a, (owner, kind) in self.accounts.items()],
        )
        yield (
            "masques.reputation_events",
            [
                "event_id",
                "timestamp",
                "identity_id",
                "category",
                "event_type",
                "score_delta",
                "confidence",
                "reference_type",
                "reference_id",
                "attributes",
                "channel",
            ],
            [
                [
                    e.event_id,
                    e.timestamp,
                    e.identity,
                    e.category,
                    e.event_type,
                    e.delta,
                    e.confidence,
                    e.reference_type,
                    str(e.reference or ""),
                    {"counterparty_id": e.counterparty} if e.counterparty else {},
                    e.channel,
                ]
                for e in self.events
            ],
        )
        yield (
            "masques.transactions",
            [
                "transaction_id",
                "timestamp",
                "debit_account_id",
                "credit_account_id",
                "amount",
                "currency",
                "transaction_type",
                "event_type",
                "trace_id",
                "pending_id",
            ],
            [
                [
                    t.transfer_id,
                    t.timestamp,
                    t.debit,
                    t.credit,
                    t.amount,
                    t.currency,
                    t.kind,
                    t.event_type,
                    t.trace,
                    t.hold,
                ]
                for t in self.transfers
            ],
        )
        yield (
            "masques.settlements",
            [
                "settlement_id",
                "timestamp",
                "status",
                "transaction_id",
                "payer",
                "revision",
                "direction",
                "failure_reason",
                "recorded_at",
            ],
            [
                [
                    s.settlement_id,
                    s.timestamp,
                    s.status,
                    s.transfer,
                    s.payer,
                    s.revision,
                    s.direction,
                    s.reason,
                    s.timestamp,
                ]
                for s in self.settlements
            ],
        )
        yield (
            "masques.masque_sessions",
            ["report", "session_id", "identity_id", "author_id", "donned_at", "transaction_id"],
            [
                ["session", s.session_id, s.identity, s.author, s.donned_at, s.transfer]
                for s in self.sessions
            ],
        )
        yield (
            "masques.api_requests",
            ["request_id", "identity_id", "timestamp", "transaction_id"],
            [[r.request_id, r.identity, r.timestamp, r.transfer] for r in self.requests],
        )
        yield (
            "masques_ops.exchange_rates",
            ["currency", "quoted_at", "usd"],
            [list(rate) for rate in self.rates],
        )
        yield (
            "masques_ops.payment_links",
            ["transaction_id", "refund_of", "timestamp"],
            [[refund, payment, long_ago] for refund, payment in self.refund_of.items()],
        )
        yield (
            "masques_ops.landing_channels",
            ["channel", "attests", "recorded_at"],
            [[channel, 1, long_ago] for channel in sorted(self.attesting)],
        )


@dataclass(frozen=True)
class Score:
    """What the model says of one identity."""

    overall: float
    lower: float
    confidence: float
    task_quality: float
    economic: float
    identity_hygiene: float
    week_ago: float
    month_ago: float
    evidence: float
    events: int
    positive: int
    negative: int
    excluded: int


_FIELDS: Final = (
    "overall_score, score_lower, confidence, task_quality_score, economic_score, "
    "identity_hygiene_score, score_7d_ago, score_30d_ago, effective_events, total_events, "
    "positive_events, negative_events, excluded_events"
)


def sql_scores(
    warehouse: Warehouse, as_of: datetime, known_at: datetime | None = None
) -> dict[uuid.UUID, Score]:
    """The scores by the SQL, with today's knowledge unless told otherwise."""
    rows = warehouse.rows(
        f"SELECT identity_id, {_FIELDS} FROM masques_ops.reputation_scores_at("
        "as_of = {as_of:DateTime64(9, 'UTC')}, known_at = {known_at:DateTime64(9, 'UTC')})",
        {
            "as_of": f"{as_of:%Y-%m-%d %H:%M:%S.%f}",
            "known_at": f"{known_at or datetime.now(UTC):%Y-%m-%d %H:%M:%S.%f}",
        },
    )
    return {row[0]: Score(*row[1:]) for row in rows}
