"""Worlds of arbitrary facts, in which everything occurs that the reputation model tells apart.

Here: making one from a seed.
Not here: what the facts are, and the model over them (reputation_world.py).
"""

import random
import uuid
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from tests.support.reputation_world import (
    CATEGORIES,
    PLATFORM,
    Event,
    Request,
    Session,
    Settlement,
    World,
    ident,
)


def generated_world(now: datetime, *, seed: int, identities: int, events: int) -> World:
    """Everything that the model tells apart, in arbitrary mixtures."""
    dice = random.Random(seed)
    world = World(attesting={"platform"})

    def ago(days: float) -> datetime:
        return now - timedelta(days=days)

    names = [ident(f"agent {seed} {n}") for n in range(identities)]
    for name in names[: identities * 3 // 4]:
        shared = f"0xSHARED{dice.randrange(identities)}"
        world.identities[name] = {"wallet": shared} if dice.random() < 0.1 else {"agent": "7"}
        if dice.random() < 0.9:
            world.identities[name] = {"agent": str(names.index(name))}
    world.rates = [("SOL", ago(days), Decimal(140 + days)) for days in (118, 60, 55, 30, 9, 3)]
    treasury = world.account(ident("platform"), "treasury")
    for _ in range(identities // 3):
        payer, payee = dice.sample(names, 2)
        world.fund(payer, payee, ago(dice.uniform(100, 119)))
    for name in dice.sample(names, identities // 5):
        deposit = world.pay(
            name,
            name,
            ago(dice.uniform(0, 119)),
            debit=treasury,
            credit=world.account(name),
            kind="deposit",
        )
        world.settlements.append(
            Settlement(
                uuid.uuid4(),
                ago(dice.uniform(0, 119)),
                dice.choice(["confirmed", "pending"]),
                deposit,
                f"0xWALLET{dice.randrange(identities // 4)}",
            )
        )
    for n in range(events):
        world.events.append(generated_event(world, dice, names, n, now))
    for event in dice.sample(world.events, events // 50):
        world.events.append(event)
    # Several judgements of one payment.
    world.events += [
        replace(event, category=dice.choice(CATEGORIES), event_id=uuid.uuid4())
        for event in dice.sample(world.events, events // 20)
    ]
    for name in world.identities:
        world.born[name] = ago(dice.uniform(0, 400))
    world.suspended.update(dice.sample(list(world.identities), len(world.identities) // 8))
    return world


def generated_event(  # noqa: C901 - everything that can be, in one event
    world: World, dice: random.Random, names: list[uuid.UUID], n: int, now: datetime
) -> Event:
    """One event, and what it refers to."""
    subject, other = dice.sample(names, 2)
    at = now - timedelta(days=dice.uniform(-2, 130))
    kind = dice.choice(
        ["transaction", "transaction", "session", "request", "settlement", "attestation", ""]
    )
    reference = uuid.uuid4()
    payment = None
    if kind not in ("attestation", "") and dice.random() < 0.8:
        payer, payee = (other, subject) if dice.random() < 0.85 else (subject, other)
        if dice.random() < 0.1:
            payer = dice.choice(names)
        payment = world.pay(
            payer,
            payee,
            at - timedelta(seconds=dice.randrange(1, 3600)),
            dice.choice(["0.0005", "0.004", "1", "20", "0.5", "0"]),
            kind=dice.choice(["api_call", "masque_session", "fee"]),
            currency=dice.choice(["USD", "USD", "SOL", "XYZ"]),
            trace=f"trace {n}",
            event_type=dice.choice(["single_phase", "two_phase_posted", "two_phase_pending"]),
            hold=uuid.uuid4() if dice.random() < 0.3 else None,
        )
        if world.transfers[-1].hold and dice.random() < 0.5:
            payment = world.transfers[-1].hold
        paid = world.transfers[-1]
        if dice.random() < 0.15:
            share = dice.choice([Decimal("0.25"), Decimal(1), Decimal(2)])
            world.pay(
                payee,
                payer,
                at,
                str(paid.amount * share),
                kind="refund",
                debit=paid.credit,
                credit=paid.debit,
                currency=paid.currency,
                trace=paid.trace if dice.random() < 0.7 else "",
            )
            if not world.transfers[-1].trace or dice.random() < 0.3:
                world.refund_of[world.transfers[-1].transfer_id] = paid.transfer_id
    known = dice.random() < 0.9
    if kind == "transaction":
        reference = payment or reference
    elif kind == "session" and known:
        world.sessions.append(
            Session(reference, dice.choice([other, subject]), subject, at, payment)
        )
    elif kind == "request" and known:
        world.requests.append(Request(reference, dice.choice([other, subject]), at, payment))
    elif kind == "settlement" and known:
        for revision in range(1, dice.randrange(2, 4)):
            status = dice.choice(["confirmed", "confirmed", "pending", "failed"])
            world.settlements.append(
                Settlement(reference, at, status, payment, "0xpayer", revision, "out")
            )
    return Event(
        subject,
        at,
        dice.choice([*CATEGORIES, "gossip"]),
        dice.choice([1.0, -1.0, 0.3, -0.7, 0.0, 17.0, -17.0, float("nan")]),
        dice.choice([1.0, 1.0, 0.8, 0.4, 3.0, 0.0, -1.0, float("nan")]),
        kind,
        reference if kind not in ("attestation", "") else None,
        dice.choice([*[str(other)] * 3, "", "", str(PLATFORM), "somebody", str(subject)]),
        dice.choice(["rated", "rated", "refund", "hold_expired"]),
        dice.choice(["landing", "landing", "platform", "pipeline"]),
    )
