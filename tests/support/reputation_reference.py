"""The reputation model in plain Python: docs/reputation.md once more, sharing no line with the SQL.

Here: dictionaries and loops, one event at a time.
Not here: the facts (reputation_world.py), and any test.
"""

import math
import uuid
from collections import defaultdict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from masques_pipelines.reputation.model import Model
from tests.support.reputation_world import (
    CATEGORIES,
    MODEL,
    NOBODY,
    POSTED,
    Event,
    Score,
    Settlement,
    World,
)

FREE: Final = "free"
ATTESTED: Final = "attested"
Trade = dict[tuple[Hashable, Hashable], float]
BLAMELESS: Final = ("hold_expired", "refund", "double_pay_suspect")


def python_scores(
    world: World, as_of: datetime, model: Model = MODEL, *, standing_at: datetime | None = None
) -> dict[uuid.UUID, Score]:
    """The scores by plain Python; the standing of payers is of when it was computed."""
    return Reference(world, model, standing_at or as_of).scores(as_of)


def days(span: timedelta) -> float:
    return span / timedelta(days=1)


def clamp(value: float, least: float, most: float) -> float:
    return 0.0 if math.isnan(value) else min(most, max(least, value))


@dataclass
class Payment:
    """A posted payment; kept and usd are of what was not given back."""

    transfer: uuid.UUID
    payer: uuid.UUID
    payee: uuid.UUID
    kept: float
    usd: float | None
    is_failed: bool


@dataclass
class Weighed:
    """An event with its reason, its voice, and what it weighs before it ages."""

    event: Event
    reason: str
    voice: Hashable
    weight: float
    payment: uuid.UUID | None


class Reference:
    def __init__(self, world: World, model: Model, standing_at: datetime) -> None:
        self.world, self.model = world, model
        self.sessions = {s.session_id: s for s in world.sessions}
        self.requests = {r.request_id: r for r in world.requests}
        self.newest: dict[uuid.UUID, Settlement] = {}
        for settlement in sorted(world.settlements, key=lambda s: s.revision):
            self.newest[settlement.settlement_id] = settlement
        self.payments = self._payments()
        self.roots = self._roots()
        self.standing, self.backed = self._standing(standing_at)

    # -- the ledger

    def _owner(self, account: uuid.UUID) -> uuid.UUID:
        owner, kind = self.world.accounts[account]
        if kind in self.model.platform_account_types:
            return NOBODY
        return owner if owner != NOBODY else account

    def _usd_each(self, currency: str, at: datetime) -> float | None:
        if currency == "USD":
            return 1.0
        past = [(since, usd) for c, since, usd in self.world.rates if c == currency and since <= at]
        if not past:
            return None
        since, usd = max(past)
        too_old = (at - since).total_seconds() > self.model.rate_age_max_days * 86400
        return None if too_old else float(usd)

    def _payments(self) -> dict[uuid.UUID, Payment]:
        by_link: dict[uuid.UUID, Decimal] = defaultdict(Decimal)
        by_trace: dict[Hashable, Decimal] = defaultdict(Decimal)
        paid: dict[Hashable, Decimal] = defaultdict(Decimal)
        purchases = []
        for t in self.world.transfers:
            if t.event_type not in POSTED:
                continue
            if t.kind == "refund" and t.transfer_id in self.world.refund_of:
                by_link[self.world.refund_of[t.transfer_id]] += t.amount
            elif t.kind == "refund" and t.trace:
                by_trace[t.credit, t.trace, t.currency] += t.amount
            elif t.kind in self.model.purchase_types:
                purchases.append(t)
                paid[t.debit, t.trace, t.currency] += t.amount
        said: dict[uuid.UUID, set[str]] = defaultdict(set)
        for s in self.newest.values():
            if s.transfer is not None:
                said[s.transfer].add(s.status)
        failed = {t for t, words in said.items() if "failed" in words and "confirmed" not in words}
        payments = {}
        for t in purchases:
            key = (t.debit, t.trace, t.currency)
            back = float(by_trace[key]) / float(paid[key]) if paid[key] else 0.0
            linked = by_link[t.transfer_id] + (by_link[t.hold] if t.hold else 0)
            kept = max(0.0, 1.0 - back - float(linked) / float(t.amount)) if t.amount else 1.0
            each = self._usd_each(t.currency, t.timestamp)
            payment = Payment(
                t.transfer_id,
                self._owner(t.debit),
                self._owner(t.credit),
                kept,
                None if each is None else float(t.amount) * each * kept,
                t.transfer_id in failed or t.hold in failed,
            )
            payments[t.transfer_id] = payment
            if t.hold is not None:
                payments[t.hold] = payment
        return payments

    # -- who is who

    def _roots(self) -> dict[Hashable, Hashable]:
        """Where the first money of each party came from, followed back to its beginning."""
        found: list[tuple[datetime, uuid.UUID, Hashable]] = []
        not_funding = {*self.model.purchase_types, *self.model.other_unfunding_types}
        by_id = {t.transfer_id: t for t in self.world.transfers}
        for t in self.world.transfers:
            payer, payee = self._owner(t.debit), self._owner(t.credit)
            if t.event_type not in POSTED or t.kind in not_funding or payer == payee:
                continue
            if NOBODY not in (payer, payee):
                found.append((t.timestamp, payee, payer))
        for s in self.newest.values():
            if s.status == "confirmed" and s.direction == "in" and s.payer and s.transfer in by_id:
                t = by_id[s.transfer]
                payer, payee = self._owner(t.debit), self._owner(t.credit)
                party = payee if payer == NOBODY else payer
                found.append((s.timestamp, party, ("wallet", s.payer.lower())))
        roots: dict[Hashable, Hashable] = {}
        first: dict[uuid.UUID, datetime] = {}
        for at, party, funder in sorted(found, key=lambda f: (f[0], str(f[1]))):
            if party not in first:
                first[party] = at
                roots[party] = roots.get(funder, funder)
        return roots

    def _cluster(self, party: Hashable) -> Hashable:
        return self.roots.get(party, party)

    def _ids(self, party: Hashable) -> set[Hashable]:
        ids = self.world.identities.get(party, {}) if isinstance(party, uuid.UUID) else {}
        return {(k if len(v) < 8 else "", v.lower()) for k, v in ids.items() if v}

    # -- standing

    def _standing(self, at: datetime) -> tuple[dict[Hashable, float], dict[Hashable, float]]:
        """How much the word of each cluster counts, and the USD that back each party."""
        model = self.model
        trade, seeded = self._trade(at)
        share = self._traced(trade, seeded) if model.seeds else self._known(trade)
        credit: dict[Hashable, list[float]] = defaultdict(list)
        trusted: dict[Hashable, float] = defaultdict(float)
        spent: dict[Hashable, float] = defaultdict(float)
        for (payer_c, payee), usd in trade.items():
            own, of_seeds = share.get(self._cluster(payee), 0.0), seeded.get((payer_c, payee), 0.0)
            if usd > 0:
                fees = model.fee_share * model.weight_fees
                credit[payer_c].append(max(of_seeds, usd * (fees + own)))
                trusted[payer_c] += max(of_seeds, usd * own)
                spent[payer_c] += usd
        each = {cluster: sum(parts) / len(parts) for cluster, parts in credit.items()}
        usual = sum(trusted.values()) / sum(spent.values()) if trade else 0.0
        income: dict[Hashable, float] = defaultdict(float)
        backed: dict[Hashable, float] = defaultdict(float)
        for (payer_c, payee), usd in trade.items():
            if usd > 0 and usual > 0:
                income[payee] += usd
                backed[payee] += usd * trusted[payer_c] / spent[payer_c] / usual
        return (
            {cluster: usd / (usd + model.standing_usd) for cluster, usd in each.items()},
            {party: min(usd, backed[party]) for party, usd in income.items()},
        )

    def _known(self, trade: Trade) -> dict[Hashable, float]:
        """Without seeds: by how much each earns, beside where the average dollar is spent."""
        income: dict[Hashable, float] = defaultdict(float)
        for (_, payee), usd in trade.items():
            income[self._cluster(payee)] += usd
        total = sum(income.values())
        if not total:
            return {}
        half = self.model.half_trusted * sum(usd * usd for usd in income.values()) / total
        return {cluster: usd / (usd + half) for cluster, usd in income.items()}

    def _trade(self, at: datetime) -> tuple[Trade, Trade]:
        model = self.model
        trade: dict[tuple[Hashable, Hashable], float] = defaultdict(float)
        seeded: dict[tuple[Hashable, Hashable], float] = defaultdict(float)
        for t in self.world.transfers:
            is_refund = t.kind == "refund"
            if t.event_type not in POSTED or not (is_refund or t.kind in model.purchase_types):
                continue
            if not 0 <= days(at - t.timestamp) < model.window_days:
                continue
            payer, payee = self._owner(t.debit), self._owner(t.credit)
            if is_refund:
                payer, payee = payee, payer
            pair = (self._cluster(payer), payee)
            if NOBODY in (payer, payee) or pair[0] == self._cluster(payee):
                continue
            usd = float(t.amount) * (self._usd_each(t.currency, t.timestamp) or 0.0)
            trade[pair] += -usd if is_refund else usd
            if payer in model.seeds:
                seeded[pair] += -usd if is_refund else usd
        return (
            {pair: max(0.0, usd) for pair, usd in trade.items()},
            {pair: max(0.0, usd) for pair, usd in seeded.items()},
        )

    def _traced(self, trade: Trade, seeded: Trade) -> dict[Hashable, float]:
        """The share of each cluster's income that comes from seeds over so many payments."""
        spent: dict[Hashable, float] = defaultdict(float)
        income: dict[Hashable, float] = defaultdict(float)
        for (payer_c, payee), usd in trade.items():
            spent[payer_c] += usd
            income[self._cluster(payee)] += usd
        share: dict[Hashable, float] = {}
        for _ in range(self.model.trace_hops):
            passed = {
                c: s * (min(1.0, income[c] / spent[c]) if spent[c] > 0 else 1.0)
                for c, s in share.items()
            }
            traced: dict[Hashable, float] = defaultdict(float)
            for (payer_c, payee), usd in trade.items():
                own = seeded.get((payer_c, payee), 0.0)
                traced[self._cluster(payee)] += own + (usd - own) * passed.get(payer_c, 0.0)
            share = {c: usd / income[c] for c, usd in traced.items() if income[c] > 0}
        return share

    # -- evidence

    def _reference(  # noqa: C901 - one branch for each kind of reference
        self, event: Event
    ) -> tuple[str, uuid.UUID, uuid.UUID, uuid.UUID | None, Payment | None]:
        """What the reference leads to: state, payer, payee, the payment's id, the payment."""
        kind, ref = event.reference_type, event.reference
        payer = payee = NOBODY
        transfer: uuid.UUID | None = None
        status = ""
        if kind == "transaction":
            transfer = ref
        elif kind == "session" and ref in self.sessions:
            session = self.sessions[ref]
            transfer, payer, payee = session.transfer, session.identity, session.author
        elif kind == "request" and ref in self.requests:
            request = self.requests[ref]
            transfer, payer = request.transfer, request.identity
        elif kind == "settlement" and ref in self.newest:
            transfer, status = self.newest[ref].transfer, self.newest[ref].status
        payment = self.payments.get(transfer) if transfer else None
        if payment is not None:
            payer = payment.payer if payment.payer != NOBODY else payer
            payee = payment.payee if payment.payee != NOBODY else payee
        state = ""
        if status == "failed" or (payment is not None and payment.is_failed):
            state = "reorged"
        elif payment is not None and payment.kept <= 0:
            state = "refunded"
        elif status and status != "confirmed":
            state = "settling"
        elif payment is not None:
            state = "money"
        elif status:
            state = "settled"
        return state, payer, payee, payment.transfer if payment else transfer, payment

    def _reason(self, event: Event) -> tuple[str, Hashable, uuid.UUID | None, float]:
        """Why an event counts, the cluster of the other side, the payment and its USD."""
        model = self.model
        state, payer, payee, transfer, payment = self._reference(event)
        reported: Hashable = NOBODY
        if event.counterparty:
            try:
                reported = uuid.UUID(event.counterparty)
            except ValueError:
                reported = ("text", event.counterparty.lower())
        who = event.identity
        other = reported
        if who == payer and payee != NOBODY:
            other = payee
        elif who == payee and payer != NOBODY:
            other = payer
        is_attested = reported in model.attestors and (
            event.channel == "pipeline" or event.channel in self.world.attesting
        )
        cluster, delta = self._cluster(other), clamp(event.delta, -1, 1)
        usd = payment.usd if payment is not None and payment.usd is not None else -1.0
        is_one = (
            cluster in (who, self._cluster(who))
            or (other != NOBODY and other == self.roots.get(who))
            or bool(self._ids(who) & self._ids(other))
        )
        reasons: list[tuple[str, Callable[[], bool]]] = [
            ("self_dealing", lambda: who in (reported, other) or (is_one and not is_attested)),
            (
                "not_theirs",
                lambda: event.channel == "pipeline" and event.event_type in BLAMELESS,
            ),
            (
                "contradicted",
                lambda: (
                    is_attested
                    and delta < 0
                    and event.reference_type == "settlement"
                    and state in ("money", "settled")
                ),
            ),
            (
                "attested",
                lambda: (
                    is_attested and (delta < 0 or state not in ("reorged", "refunded", "settling"))
                ),
            ),
            ("reorged", lambda: state == "reorged"),
            ("refunded", lambda: state == "refunded"),
            (
                "free",
                lambda: (
                    state != "money"
                    or who not in (payer, payee)
                    or NOBODY in (payer, payee)
                    or (who == payer and delta < 0)
                    or reported not in (NOBODY, other)
                ),
            ),
            ("unpriced", lambda: usd < 0),
            ("money", lambda: True),
        ]
        return next(name for name, holds in reasons if holds()), cluster, transfer, usd

    def weigh(self, events: list[Event]) -> list[Weighed]:
        model = self.model
        found = [(event, *self._reason(event)) for event in events]
        shared: dict[Hashable, int] = defaultdict(int)
        for event, reason, _, transfer, _ in found:
            shared[transfer, event.identity] += reason == "money"
        weighed = []
        for event, reason, cluster, transfer, usd in found:
            quality = clamp(event.confidence, 0, 1)
            voice: Hashable = FREE
            weight = 0.0
            if reason == "money":
                voice = ("payer", cluster)
                weight = quality * usd / model.usd_per_event / shared[transfer, event.identity]
            elif reason == "attested":
                voice, weight = ATTESTED, quality
            elif reason in ("free", "unpriced"):
                weight = quality * model.weight_free
            weighed.append(Weighed(event, reason, voice, weight, transfer))
        return weighed

    # -- scores

    def scores(self, as_of: datetime) -> dict[uuid.UUID, Score]:
        horizon = self.model.window_days + 30
        once: dict[uuid.UUID, Event] = {}
        for event in sorted(self.world.events, key=lambda e: e.timestamp):
            once.setdefault(event.event_id, event)
        kept = [event for event in once.values() if event.category in CATEGORIES]
        # Events of tomorrow share a payment's weight today: they are known.
        weighed = [w for w in self.weigh(kept) if 0 <= days(as_of - w.event.timestamp) < horizon]
        long_ago = datetime(2020, 1, 1, tzinfo=UTC)
        names = {w.event.identity for w in weighed}
        names |= {i for i in self.world.identities if self.world.born.get(i, long_ago) <= as_of}
        by_name: dict[uuid.UUID, list[Weighed]] = defaultdict(list)
        for each in weighed:
            by_name[each.event.identity].append(each)
        scores = {}
        for name in names:
            then = [
                self._at(name, by_name[name], as_of - timedelta(days=anchor))
                for anchor in (0, 7, 30)
            ]
            scores[name] = Score(
                **then[0], week_ago=then[1]["overall"], month_ago=then[2]["overall"]
            )
        return scores

    def _at(self, name: uuid.UUID, weighed: list[Weighed], moment: datetime) -> dict[str, Any]:
        model = self.model
        shares = (model.share_task_quality, model.share_economic, model.share_identity_hygiene)
        voices: dict[tuple[str, Hashable], float] = defaultdict(float)
        events = [w for w in weighed if 0 <= days(moment - w.event.timestamp) < model.window_days]
        for w in events:
            aged = w.weight * 2 ** (-days(moment - w.event.timestamp) / model.half_life_days)
            voices[w.event.category, w.voice] += aged * clamp(w.event.delta, -1, 1)
        good: dict[str, float] = defaultdict(float)
        bad: dict[str, float] = defaultdict(float)
        praise: dict[str, float] = defaultdict(float)
        blame = 0.0
        for (category, voice), said in voices.items():
            if isinstance(voice, tuple):
                standing = self.standing.get(voice[1], 0.0)
                if said > 0:
                    most = min(said, math.sqrt(said), model.cap_payer)
                    praise[category] += standing * model.weight_praise * most
                else:
                    against = min(model.weight_blame * -said, model.cap_blame)
                    bad[category] += against
                    blame += against
            else:
                cap = model.cap_free if voice == FREE else model.cap_attested
                good[category] += min(cap, max(0.0, said))
                bad[category] += min(cap, max(0.0, -said))
        whole = sum(praise.values())
        limit = model.limit_per_usd * self.backed.get(name, 0.0)
        most = min(whole, limit)
        lost = min(1.0, blame / (model.blame_ruins * most)) ** 3 if most else 1.0
        for category, counted in praise.items():
            good[category] += counted / whole * most * (1 - lost) if whole else 0.0
        p, variance, confidence = {}, 0.0, 0.0
        for category, share in zip(CATEGORIES, shares, strict=True):
            n = good[category] + bad[category]
            total = n + model.prior_weight
            p[category] = (good[category] + model.prior_weight * model.prior_score) / total
            variance += share**2 * p[category] * (1 - p[category]) / (total + 1)
            confidence += share * n / total
        overall = sum(s * p[c] for c, s in zip(CATEGORIES, shares, strict=True))
        return {
            "overall": overall,
            "lower": max(0.0, overall - model.lower_deviations * math.sqrt(variance)),
            "confidence": confidence,
            **p,
            "evidence": sum(good.values()) + sum(bad.values()),
            "events": len(events),
            "positive": sum(clamp(w.event.delta, -1, 1) > 0 for w in events),
            "negative": sum(clamp(w.event.delta, -1, 1) < 0 for w in events),
            "excluded": sum(w.weight == 0 for w in events),
        }
