"""What changed since the last run, against everything compared: the two must never differ."""

import random
import uuid
from datetime import UTC, datetime, timedelta

import pytest

from masques_pipelines.reputation import runs
from masques_pipelines.reputation.compaction import compact_evidence
from masques_pipelines.reputation.facts import write_facts
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.errors import WarehousePermanentError
from tests.support.campaign import rounds
from tests.support.reputation_generated import generated_world
from tests.support.reputation_reference import python_scores
from tests.support.reputation_world import (
    Event,
    Score,
    Session,
    Settlement,
    World,
    ident,
    sql_scores,
)

NOW = datetime.now(UTC).replace(microsecond=0)
STAGES = 3


def ago(days: float) -> datetime:
    return NOW - timedelta(days=days)


def staged(world: World, dice: random.Random) -> list[World]:
    """Cuts a world into what comes in first, next and last, in arbitrary order.

    Only who funded whom comes in by its order, as the ledger gives it; see clusters.py.
    """
    stages = [World(born=world.born, attesting=world.attesting) for _ in range(STAGES)]
    funding = {t.transfer_id for t in world.transfers if t.kind in ("adjustment", "deposit")}
    wallets = {s.settlement_id for s in world.settlements if s.transfer in funding}
    known = {a for t in world.transfers if t.transfer_id in funding for a in (t.debit, t.credit)}
    for account, owner in world.accounts.items():
        dice.choice(stages[: 1 if account in known else None]).accounts[account] = owner
    for transfer in world.transfers:
        first = transfer.transfer_id in funding
        dice.choice(stages[: 1 if first else None]).transfers.append(transfer)
    for settlement in world.settlements:
        first = settlement.settlement_id in wallets
        dice.choice(stages[: 1 if first else None]).settlements.append(settlement)
    for name in ("events", "sessions", "requests", "rates"):
        for fact in getattr(world, name):
            getattr(dice.choice(stages), name).append(fact)
    for refund, payment in world.refund_of.items():
        dice.choice(stages).refund_of[refund] = payment
    for identity, ids in world.identities.items():
        # Some are reported twice: without their ids and in good standing, and as they are.
        stages[0].identities[identity] = {} if dice.random() < 0.5 else ids
    stages[-1].identities = world.identities
    stages[-1].suspended = world.suspended
    return stages


@pytest.mark.parametrize("seed", range(11, 11 + rounds(1)))
def test_what_is_new_makes_of_the_facts_what_everything_makes(
    warehouse: Warehouse, seed: int
) -> None:
    world = generated_world(NOW, seed=seed, identities=250, events=2500)
    for number, stage in enumerate(staged(world, random.Random(seed))):
        stage.load(warehouse, ingested_at=datetime.now(UTC), with_facts=False)
        new = write_facts(warehouse)
        again = write_facts(warehouse)
        # The second and third bring evidence that changes old verdicts: two rows for each change.
        assert (new.is_full, new.evidence > 0) == (number == 0, True)
        assert (again.is_full, again.evidence) == (False, 0)
    # Who is who and what a rate was worth is compared once a day.
    write_facts(warehouse, full=True)
    assert write_facts(warehouse, full=True).evidence == 0
    taken_back = warehouse.scalar(
        "SELECT count() FROM masques_ops.reputation_evidence WHERE sign = -1"
    )
    assert taken_back > 100
    by_sql, by_python = sql_scores(warehouse, NOW), python_scores(world, NOW)
    assert_compacted_without_a_change(warehouse)
    assert_same(by_sql, by_python)


def assert_same(found: dict[uuid.UUID, Score], expected: dict[uuid.UUID, Score]) -> None:
    assert set(found) == set(expected)
    for identity, score in found.items():
        assert vars(score) == pytest.approx(vars(expected[identity]), rel=0, abs=1e-9), identity


def assert_compacted_without_a_change(warehouse: Warehouse) -> None:
    """What was cancelled goes, in months of any number, and nothing that is known changes."""
    current = (
        "SELECT * EXCEPT (sign, known_from), sum(e.sign) FROM masques_ops.reputation_evidence AS e "
        "GROUP BY ALL HAVING sum(e.sign) != 0 ORDER BY ALL"
    )
    counts = "SELECT count(), countIf(sign < 0) FROM masques_ops.reputation_evidence"
    known, scores = warehouse.rows(current), sql_scores(warehouse, NOW)
    before, cancelled = warehouse.row(counts)
    assert compact_evidence(warehouse) == 0  # all of it is of the last 180 days
    assert compact_evidence(warehouse, kept_days=0) == 2 * cancelled
    assert warehouse.row(counts) == (before - 2 * cancelled, 0)
    assert warehouse.rows(current) == known
    assert_same(sql_scores(warehouse, NOW), scores)
    assert compact_evidence(warehouse, kept_days=0) == 0
    assert write_facts(warehouse, full=True).evidence == 0


def reasons(warehouse: Warehouse) -> dict[str, tuple[int, float, float]]:
    """What the evidence says now of each event: reason, weight and USD, by event type."""
    rows = warehouse.rows(
        "SELECT event_type, reason_code, weight, usd FROM masques_ops.reputation_evidence "
        "GROUP BY event_type, reason_code, weight, usd HAVING sum(sign) != 0"
    )
    assert len({row[0] for row in rows}) == len(rows)
    return {row[0]: row[1:] for row in rows}


def test_old_verdicts_change_when_something_new_speaks_of_them(warehouse: Warehouse) -> None:
    world = World()
    payer, subject = ident("payer"), ident("subject")

    def judged(name: str, **rest: object) -> None:
        world.events.append(Event(subject, ago(40), event_type=name, **rest))  # type: ignore[arg-type]

    payments = {name: world.pay(payer, subject, ago(50), trace=name) for name in "abcd"}
    for name, payment in payments.items():
        judged(name, reference_type="transaction", reference=payment)
    # Refers to a payment, and to a session, that nobody has reported yet.
    judged("late payment", reference_type="transaction", reference=ident("late"))
    judged("late session", reference_type="session", reference=ident("session"))
    # Refers to the hold; the settlement fails under the id of the payment.
    hold = ident("hold")
    posted = world.pay(payer, subject, ago(50), event_type="two_phase_posted", hold=hold)
    judged("hold", reference_type="transaction", reference=hold)
    world.load(warehouse)
    paid, free = (1, 5.0, 1.0), (3, 0.05, 0.0)
    assert reasons(warehouse) == {
        **dict.fromkeys(["a", "b", "c", "d", "hold"], paid),
        **dict.fromkeys(["late payment", "late session"], free),
    }

    later = World(accounts=world.accounts)
    by_trace, by_link, _, _ = world.transfers[:4]
    back = {"kind": "refund", "debit": by_trace.credit, "credit": by_trace.debit}
    later.pay(subject, payer, ago(1), "0.25", trace="a", **back)
    refund = later.pay(subject, payer, ago(1), "1", trace="other", **back)
    later.refund_of[refund] = by_link.transfer_id
    later.pay(payer, subject, ago(50), "7", transfer_id=ident("late"))
    later.sessions.append(Session(ident("session"), payer, subject, ago(41), ident("late")))
    later.settlements += [
        Settlement(ident("s1"), ago(50), "failed", payments["c"], "0x1"),
        Settlement(ident("s2"), ago(50), "failed", posted, "0x1"),
    ]
    # A second judgement of the same payment shares its weight.
    later.events.append(
        Event(
            *(subject, ago(1), "economic", -1.0),
            event_type="second",
            reference_type="transaction",
            reference=payments["d"],
        )
    )
    later.load(warehouse, ingested_at=datetime.now(UTC))
    assert reasons(warehouse) == {
        "a": (1, 3.75, 0.75),
        "b": (6, 0.0, 0.0),
        "c": (7, 0.0, 1.0),
        "hold": (7, 0.0, 1.0),
        "d": (1, 2.5, 1.0),
        "second": (1, 2.5, 1.0),
        **dict.fromkeys(["late payment", "late session"], (1, 17.5, 7.0)),
    }
    assert write_facts(warehouse, full=True).evidence == 0


def test_a_run_that_died_half_way_is_made_whole_by_the_next(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World()
    payment = world.pay(ident("payer"), ident("subject"), ago(3))
    world.events.append(
        Event(ident("subject"), ago(2), reference_type="transaction", reference=payment)
    )
    world.load(warehouse)
    later = World(accounts=world.accounts)
    later.settlements.append(Settlement(ident("s"), ago(3), "failed", payment, "0x1"))
    later.load(warehouse, ingested_at=datetime.now(UTC), with_facts=False)

    insert = Warehouse.command

    def dies(self: Warehouse, sql: str, *args: object, **rest: object) -> None:
        insert(self, sql, *args, **rest)  # type: ignore[arg-type]
        if "INSERT INTO masques_ops.reputation_evidence" in sql:
            raise WarehousePermanentError("the line went dead")

    with monkeypatch.context() as patched:
        patched.setattr(Warehouse, "command", dies)
        with pytest.raises(WarehousePermanentError, match="went dead"):
            write_facts(warehouse)
    # Of the pair that was written, only what cancels the old row is left.
    newest = "(SELECT max(known_from) FROM masques_ops.reputation_evidence)"
    warehouse.command(
        "ALTER TABLE masques_ops.reputation_evidence "
        f"DELETE WHERE sign = 1 AND known_from = {newest}",
        mutations_sync=2,
    )
    assert write_facts(warehouse).evidence == 1
    assert sql_scores(warehouse, NOW)[ident("subject")].excluded == 1


def test_events_that_count_no_more_make_no_more_parts(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Each part reads the ledger once.
    monkeypatch.setattr(runs, "PART_ROWS", 10)
    world = World()
    world.events += [Event(ident(f"new {n}"), ago(n)) for n in range(15)]
    world.events += [Event(ident(f"old {n}"), ago(200 + n)) for n in range(95)]
    world.load(warehouse, with_facts=False)
    filled: list[str] = []
    command = Warehouse.command

    def seen(self: Warehouse, sql: str, *args: object, **rest: object) -> None:
        filled.extend(["part"] * ("INSERT INTO masques_ops.reputation_batch" in sql))
        command(self, sql, *args, **rest)  # type: ignore[arg-type]

    monkeypatch.setattr(Warehouse, "command", seen)
    assert write_facts(warehouse).evidence == 15
    assert len(filled) == 2
