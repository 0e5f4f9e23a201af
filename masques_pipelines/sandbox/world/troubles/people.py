"""Troubles of reputation: words and identities that are not what they seem."""

import json
from typing import Final

import numpy as np

from masques_pipelines.sandbox.world.landing import csv_of, moment
from masques_pipelines.sandbox.world.shape import DAY, PAID, RATING, SECOND, random_ids
from masques_pipelines.sandbox.world.troubles.gate import deliver, file_name
from masques_pipelines.sandbox.world.troubles.observed import Hit, Observed, Trouble, money, text

_WORDS: Final = 25


def framing(seen: Observed, trouble: Trouble) -> Hit | None:
    """One agent speaks ill of one author again and again."""
    return _speak(seen, trouble, agents=1, good=False)


def praise_ring(seen: Observed, trouble: Trouble) -> Hit | None:
    """A few agents that never worked with an author praise it."""
    return _speak(seen, trouble, agents=4, good=True)


def exit_scam(seen: Observed, trouble: Trouble) -> Hit | None:
    """An author of good name serves nobody any more: all are dissatisfied at once."""
    return _speak(seen, trouble, agents=20, good=False)


def _speak(seen: Observed, trouble: Trouble, *, agents: int, good: bool) -> Hit:
    shape = seen.people.shape
    chance = np.random.default_rng([shape.seed, 2, trouble.number])
    made = np.zeros(_WORDS, RATING)
    made["t"] = trouble.at_ns + np.arange(_WORDS) * SECOND
    made["id"] = random_ids(chance, _WORDS)
    made["session"] = random_ids(chance, _WORDS)
    made["author"] = trouble.number % shape.authors
    made["agent"] = np.arange(_WORDS) % min(agents, shape.agents)
    made["good"], made["delta"] = good, 9 if good else -9
    ratings = np.concatenate([seen.rows["ratings"], made])
    seen.rows["ratings"] = ratings[np.argsort(ratings["t"], kind="stable")]
    author = seen.people.ids[1][shape.agents + made["author"][0]]
    return Hit({"identities": [text(author)]}, trouble.at_ns, classes=("reputation",))


def whitewash(seen: Observed, trouble: Trouble) -> Hit | None:
    """An agent comes back under a new name, with its old wallets."""
    number = trouble.number % seen.people.shape.agents
    identity = f"00000000-0000-4000-9000-{trouble.number:012d}"
    wallets = {"base": seen.wallets.of(0, number), "solana": seen.wallets.of(1, number)}
    row = {
        "identity_id": identity,
        "identity_type": "agent",
        "created_at": moment(trouble.at_ns),
        "display_name": "a new agent",
        "external_ids": json.dumps(wallets),
        "updated_at": moment(trouble.at_ns),
    }
    name = file_name("identities", trouble, "csv")
    deliver(seen, trouble, name, csv_of(row, [row.values()]))
    old = text(seen.people.ids[1][number])
    return Hit({"identities": [old, identity]}, trouble.at_ns, classes=("reputation",))


def wash_revenue(seen: Observed, trouble: Trouble) -> Hit | None:
    """An author turns out to own the wallets of an agent that pays it, and so paid itself."""
    shape = seen.people.shape
    requests = seen.rows["requests"]
    place = seen.first("requests", requests["status"] == PAID, trouble)
    if place is None:
        return None
    row = requests[place]
    author = int(seen.people.masque_author[row["masque"]])
    is_wash = (requests["agent"] == row["agent"]) & (requests["status"] == PAID)
    is_wash &= seen.people.masque_author[requests["masque"]] == author
    agent, identity = (
        text(seen.people.ids[1][number]) for number in (row["agent"], shape.agents + author)
    )
    payer = int(row["agent"])
    wallets = {"base": seen.wallets.of(0, payer), "solana": seen.wallets.of(1, payer)}
    known = {
        "identity_id": identity,
        "identity_type": "user",
        "created_at": moment(shape.start_ns - DAY + (shape.agents + author) * SECOND),
        "display_name": f"author {author}",
        "external_ids": json.dumps(wallets),
        "updated_at": moment(trouble.at_ns),
    }
    name = file_name("identities", trouble, "csv")
    deliver(seen, trouble, name, csv_of(known, [known.values()]))
    amount, currency = money(int(requests["charged"][is_wash].sum()), int(row["asset"]))
    ids = {"identities": [agent, identity]}
    return Hit(ids, trouble.at_ns, amount, currency, classes=("reputation",))
