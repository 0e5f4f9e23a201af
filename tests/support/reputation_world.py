"""A small world of facts for reputation tests, and the model over it in plain Python.

Here: the facts, putting them into a warehouse, and an implementation of docs/reputation.md that
shares no line with the SQL: dictionaries and loops, one event at a time.
Not here: any test.
"""

import math
import uuid
from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from masques_pipelines.reputation.facts import write_facts
from masques_pipelines.reputation.model import Model, read_model
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

    Who is not in born was there in 2020.
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
            warehouse.insert_rows(
                table, [*columns, "ingested_at"], [[*row, came_in] for row in rows]
            )
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


def python_scores(world: World, as_of: datetime, model: Model = MODEL) -> dict[uuid.UUID, Score]:
    """The scores by plain Python."""
    return _Reference(world, model).scores(as_of)


@dataclass
class _Payment:
    payer: uuid.UUID
    payee: uuid.UUID
    kept: float
    usd: float | None
    is_failed: bool


class _Reference:
    def __init__(self, world: World, model: Model) -> None:
        self.world, self.model = world, model
        self.sessions: dict[Any, Session] = {s.session_id: s for s in world.sessions}
        self.requests: dict[Any, Request] = {r.request_id: r for r in world.requests}
        self.newest = self._newest_settlements()
        self.payments = self._payments()
        self.roots = self._roots()
        self.shared = self._shared_ids()

    # -- the ledger

    def _owner(self, account: uuid.UUID) -> uuid.UUID:
        owner, kind = self.world.accounts[account]
        if kind in self.model.platform_account_types:
            return NOBODY
        return owner if owner != NOBODY else account

    def _newest_settlements(self) -> dict[uuid.UUID, Settlement]:
        newest: dict[uuid.UUID, Settlement] = {}
        for settlement in sorted(self.world.settlements, key=lambda s: s.revision):
            newest[settlement.settlement_id] = settlement
        return newest

    def _usd_each(self, currency: str, at: datetime) -> float | None:
        if currency == "USD":
            return 1.0
        quotes = [(since, usd) for c, since, usd in self.world.rates if c == currency]
        past = [quote for quote in quotes if quote[0] <= at]
        if not past:
            return None
        since, usd = max(past)
        if (at - since).total_seconds() > self.model.rate_age_max_days * 86400:
            return None
        return float(usd)

    def _payments(self) -> dict[uuid.UUID, _Payment]:
        refunded: dict[Hashable, Decimal] = defaultdict(Decimal)
        paid: dict[Hashable, Decimal] = defaultdict(Decimal)
        for t in self.world.transfers:
            if t.event_type in POSTED and t.kind == "refund" and t.trace:
                refunded[t.credit, t.trace, t.currency] += t.amount
            if t.event_type in POSTED and t.kind in self.model.purchase_types:
                paid[t.debit, t.trace, t.currency] += t.amount
        verdicts: dict[uuid.UUID, set[str]] = defaultdict(set)
        for s in self.newest.values():
            if s.transfer is not None:
                verdicts[s.transfer].add(s.status)
        failed = {t for t, said in verdicts.items() if "failed" in said and "confirmed" not in said}
        payments = {}
        for t in self.world.transfers:
            if t.event_type not in POSTED or t.kind not in self.model.purchase_types:
                continue
            key = (t.debit, t.trace, t.currency)
            kept = 1.0
            if refunded.get(key):
                share = float(refunded[key]) / float(paid[key])
                kept = 0.0 if refunded[key] >= paid[key] else 1.0 - share
            each = self._usd_each(t.currency, t.timestamp)
            payment = _Payment(
                payer=self._owner(t.debit),
                payee=self._owner(t.credit),
                kept=kept,
                usd=None if each is None else float(t.amount) * each * kept,
                is_failed=t.transfer_id in failed or t.hold in failed,
            )
            payments[t.transfer_id] = payment
            if t.hold is not None:
                payments[t.hold] = payment
        return payments

    # -- who is who

    def _roots(self) -> dict[uuid.UUID, Hashable]:
        first: dict[uuid.UUID, tuple[datetime, uuid.UUID]] = {}
        not_funding = {*self.model.purchase_types, *self.model.other_unfunding_types}
        for t in sorted(self.world.transfers, key=lambda t: t.timestamp):
            payer, payee = self._owner(t.debit), self._owner(t.credit)
            if t.event_type in POSTED and t.kind not in not_funding:
                if NOBODY in (payer, payee) or payer == payee:
                    continue
                first.setdefault(payee, (t.timestamp, payer))
        wallets: dict[uuid.UUID, tuple[datetime, Hashable]] = {}
        by_id = {t.transfer_id: t for t in self.world.transfers}
        for s in self.newest.values():
            if s.status == "confirmed" and s.direction == "in" and s.payer and s.transfer in by_id:
                t = by_id[s.transfer]
                payer, payee = self._owner(t.debit), self._owner(t.credit)
                owner = payee if payer == NOBODY else payer
                found = (s.timestamp, ("wallet", s.payer.lower()))
                wallets[owner] = min(wallets.get(owner, found), found)
        roots: dict[uuid.UUID, Hashable] = {}
        for party in [*first, *wallets]:
            root, before = party, datetime.max.replace(tzinfo=UTC)
            while root in first and first[root][0] < before:
                before, root = first[root]
            roots[party] = wallets[root][1] if root in wallets else root
        return roots

    def _shared_ids(self) -> dict[uuid.UUID, set[Hashable]]:
        holders: dict[Hashable, set[uuid.UUID]] = defaultdict(set)
        for identity, ids in self.world.identities.items():
            for kind, value in ids.items():
                if value:
                    holders[kind if len(value) < 8 else "", value.lower()].add(identity)
        shared: dict[uuid.UUID, set[Hashable]] = defaultdict(set)
        for key, identities in holders.items():
            for identity in identities if len(identities) > 1 else ():
                shared[identity].add(key)
        return shared

    def _cluster(self, party: Hashable) -> Hashable:
        return self.roots.get(party, party) if isinstance(party, uuid.UUID) else party

    # -- evidence

    def _reference(  # noqa: C901, PLR0911, PLR0912 - one branch for each kind of reference
        self, event: Event
    ) -> tuple[str, uuid.UUID, uuid.UUID, _Payment | None]:
        """What the reference proves: state, one side, the other side, the payment."""
        kind, ref = event.reference_type, event.reference
        one = other = NOBODY
        transfer: uuid.UUID | None = None
        status = ""
        if kind == "transaction":
            transfer = ref
        elif kind == "session":
            session = self.sessions.get(ref)
            if session is None:
                return "", NOBODY, NOBODY, None
            transfer, one, other = session.transfer, session.identity, session.author
        elif kind == "request":
            request = self.requests.get(ref)
            if request is None:
                return "", NOBODY, NOBODY, None
            transfer, one = request.transfer, request.identity
        elif kind == "settlement" and ref in self.newest:
            transfer, status = self.newest[ref].transfer, self.newest[ref].status
        else:
            return "", NOBODY, NOBODY, None
        payment = self.payments.get(transfer) if transfer else None
        if payment is None and kind == "transaction":
            return "", NOBODY, NOBODY, None
        if payment is not None:
            one = payment.payer if payment.payer != NOBODY else one
            other = payment.payee if payment.payee != NOBODY else other
        if status == "failed" or (payment is not None and payment.is_failed):
            return "reorged", one, other, payment
        if payment is not None and payment.kept == 0:
            return "refunded", one, other, payment
        if kind == "settlement" and status != "confirmed":
            return "settling", one, other, payment
        if payment is not None:
            return "money", one, other, payment
        return ("settled" if kind == "settlement" else "plain"), one, other, None

    def weigh(self, event: Event) -> tuple[float, Hashable, bool]:  # noqa: C901 - one rule a branch
        """Weight before ageing, payer cluster, and whether the platform says it."""
        model = self.model
        state, one, other, payment = self._reference(event)
        try:
            reported: Hashable = uuid.UUID(event.counterparty) if event.counterparty else NOBODY
        except ValueError:
            reported = ("text", event.counterparty.lower())
        is_side = bool(state) and event.identity in (one, other) and event.identity != NOBODY
        counterparty = reported
        if is_side:
            across = other if event.identity == one and other != NOBODY else one
            if across not in (NOBODY, event.identity) or one == other:
                counterparty = across
        is_attested = reported in model.attestors and event.identity not in model.attestors
        cluster = PLATFORM if is_attested else self._cluster(counterparty)
        is_self_dealing = event.identity in (reported, counterparty) or (
            not is_attested
            and (
                cluster == self._cluster(event.identity)
                or (
                    isinstance(counterparty, uuid.UUID)
                    and bool(self.shared[event.identity] & self.shared[counterparty])
                )
            )
        )
        grounding = 0.0
        delta = clamp(event.delta, -1, 1)
        if is_self_dealing:
            pass
        elif is_attested and delta < 0:
            refuted = event.reference_type == "settlement" and state in ("money", "settled")
            grounding = 0.0 if refuted else 1.0
        elif state in ("reorged", "refunded"):
            pass
        elif is_attested and state != "settling":
            grounding = 1.0
        elif state == "money" and is_side and payment is not None:
            dust = 1.0
            if payment.usd is not None:
                dust = clamp(payment.usd / model.dust_usd, model.dust_least, 1)
            grounding = payment.kept * dust
        elif state == "plain" and (
            is_side or (event.reference_type == "request" and reported == one)
        ):
            grounding = model.weight_plain
        else:
            grounding = model.weight_ungrounded
        return clamp(event.confidence, 0, 1) * grounding, cluster, is_attested

    # -- scores

    def _spending(self, as_of: datetime) -> dict[Hashable, float]:
        pairs: dict[tuple[Hashable, Hashable], float] = defaultdict(float)
        for t in self.world.transfers:
            is_refund = t.kind == "refund"
            if t.event_type not in POSTED:
                continue
            if t.kind not in self.model.purchase_types and not is_refund:
                continue
            if not 0 <= days(as_of - t.timestamp) < self.model.window_days:
                continue
            payer, payee = self._owner(t.debit), self._owner(t.credit)
            if is_refund:
                payer, payee = payee, payer
            if NOBODY in (payer, payee):
                continue
            one, other = self._cluster(payer), self._cluster(payee)
            if one != other:
                usd = float(t.amount) * (self._usd_each(t.currency, t.timestamp) or 0.0)
                pairs[one, other] += -usd if is_refund else usd
        sellers: dict[Hashable, list[float]] = defaultdict(list)
        for (payer_cluster, seller_cluster), usd in pairs.items():
            back = pairs.get((seller_cluster, payer_cluster), 0.0)
            sellers[payer_cluster].append(max(0.0, usd - back))
            if (seller_cluster, payer_cluster) not in pairs:
                sellers[seller_cluster].append(max(0.0, -usd))
        return {cluster: sum(each) - max(each) for cluster, each in sellers.items()}

    def scores(self, as_of: datetime) -> dict[uuid.UUID, Score]:
        model = self.model
        horizon = model.window_days + 30
        once: dict[uuid.UUID, Event] = {}
        for event in sorted(self.world.events, key=lambda e: e.timestamp):
            if 0 <= days(as_of - event.timestamp) < horizon:
                once.setdefault(event.event_id, event)
        kept = [event for event in once.values() if event.category in CATEGORIES]
        weighed = [(event, *self.weigh(event)) for event in kept]
        weighed += self._inherited(weighed)
        names = {*self.world.identities, *(event.identity for event in kept)}
        by_anchor = {
            anchor: self._at(weighed, names, as_of - timedelta(days=anchor))
            for anchor in (0, 7, 30)
        }
        return {
            name: Score(
                **by_anchor[0][name],
                week_ago=by_anchor[7][name]["overall"],
                month_ago=by_anchor[30][name]["overall"],
            )
            for name in names
        }

    def _inherited(
        self, weighed: Sequence[tuple[Event, float, Hashable, bool]]
    ) -> list[tuple[Event, float, Hashable, bool]]:
        """The bad judgements of suspended identities, for those who are likely the same person."""
        long_ago = datetime(2020, 1, 1, tzinfo=UTC)
        marks: dict[Hashable, set[uuid.UUID]] = defaultdict(set)
        for identity in self.world.identities:
            for mark in (("cluster", self._cluster(identity)), *self.shared[identity]):
                marks[mark].add(identity)
        pairs = {
            (one, heir)
            for family in marks.values()
            if len(family) <= self.model.heirs_most + 1
            for one in family & self.world.suspended
            for heir in family - self.world.suspended
            if self.world.born.get(heir, long_ago) > self.world.born.get(one, long_ago)
        }
        return [
            (replace(event, identity=heir), weight, cluster, is_attested)
            for one, heir in pairs
            for event, weight, cluster, is_attested in weighed
            if event.identity == one and clamp(event.delta, -1, 1) < 0 and weight > 0
        ]

    def _at(
        self,
        weighed: Sequence[tuple[Event, float, Hashable, bool]],
        names: Iterable[uuid.UUID],
        at: datetime,
    ) -> dict[uuid.UUID, dict[str, Any]]:
        model = self.model
        spending = self._spending(at)
        # By identity and category, by cluster: good, bad, cap.
        sums: dict[tuple[uuid.UUID, str], dict[Hashable, list[float]]] = defaultdict(dict)
        counts: dict[uuid.UUID, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
        for event, weight, cluster, is_attested in weighed:
            age = days(at - event.timestamp)
            if not 0 <= age < model.window_days:
                continue
            delta = clamp(event.delta, -1, 1)
            aged = weight * 2 ** (-age / model.half_life_days)
            cap = model.cap_attestor
            if not is_attested:
                spent = spending.get(cluster, 0.0)
                cap = min(model.cap_most, model.cap_least + math.log2(1 + spent))
            found = sums[event.identity, event.category].setdefault(cluster, [0.0, 0.0, cap])
            found[0] += aged * max(delta, 0.0)
            found[1] += aged * max(-delta, 0.0)
            count = counts[event.identity]
            count[0] += 1
            count[1] += delta > 0
            count[2] += delta < 0
            count[3] += weight == 0
        shares = (model.share_task_quality, model.share_economic, model.share_identity_hygiene)
        out = {}
        for name in names:
            parts = {}
            overall = confidence = variance = evidence = 0.0
            for category, share in zip(CATEGORIES, shares, strict=True):
                good = total = 0.0
                for r, s, cap in sums.get((name, category), {}).values():
                    if r + s > 0:
                        counted = min(1.0, cap / (r + s))
                        good += counted * r
                        total += counted * (r + s)
                w = model.prior_weight
                p = (good + w * model.prior_score) / (total + w)
                parts[category] = p
                overall += share * p
                confidence += share * total / (total + w)
                variance += share**2 * p * (1 - p) / (total + w + 1)
                evidence += total
            out[name] = {
                "overall": overall,
                "lower": max(0.0, overall - model.lower_deviations * math.sqrt(variance)),
                "confidence": confidence,
                **parts,
                "evidence": evidence,
                "events": counts[name][0],
                "positive": counts[name][1],
                "negative": counts[name][2],
                "excluded": counts[name][3],
            }
        return out


def days(span: timedelta) -> float:
    return span / timedelta(days=1)


def clamp(value: float, low: float, high: float) -> float:
    return (
        low
        if math.isnan(value) and low == 0
        else 0.0
        if math.isnan(value)
        else min(high, max(low, value))
    )
