"""What each known attack on the reputation model costs, in dollars that the attacker does not get back.

A generated population trades for 120 days: buyers with a few favourite sellers, purchases from a cent to
some hundred dollars, one purchase in three judged. Against its scores each attack is made as cheap as
a search over its choices can make it, and compared with the fees that honest trade of the same rank
caused. The model is that of docs/reputation.md over arrays; tests/integration/reputation holds the SQL
to the same formula.

    python benchmarks/bench_reputation_attack.py [--seed 1] [--sellers 300] [--buyers 3000]
"""

import argparse
import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from masques_pipelines.reputation.model import Model, read_model

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
DAYS: Final = 120
CATEGORIES: Final = 3
RATED: Final = 0.3


@dataclass(frozen=True)
class Trade:
    """Purchases: who bought where, for how much, when (days before now), and what was said of it.

    Attributes:
        said: 1 good, -1 bad, 0 nothing. category: what the judgement is about.
    """

    buyer: Ints
    seller: Ints
    usd: Floats
    age: Floats
    said: Ints
    category: Ints

    def but(self, **changed: Any) -> "Trade":
        return Trade(**{**vars(self), **changed})

    def plus(self, other: "Trade") -> "Trade":
        mine, theirs = vars(self), vars(other)
        return Trade(**{name: np.concatenate([mine[name], theirs[name]]) for name in mine})

    def of(self, kept: npt.NDArray[np.bool_]) -> "Trade":
        return Trade(**{name: values[kept] for name, values in vars(self).items()})


def population(dice: np.random.Generator, sellers: int, buyers: int) -> Trade:
    """Honest trade: heavy tails in prices, in what buyers spend and in who is popular."""
    purchases = np.minimum(2000, 1 + dice.lognormal(2.3, 1.0, buyers)).astype(int)
    buyer = np.repeat(np.arange(buyers), purchases)
    popularity = dice.lognormal(0, 1.2, sellers)
    favourites = dice.choice(sellers, (buyers, 6), p=popularity / popularity.sum())
    seller = favourites[buyer, np.minimum(5, dice.geometric(0.35, buyer.size) - 1)]
    price = dice.lognormal(0.0, 1.3, sellers)
    usd = np.round(price[seller] * dice.lognormal(0, 0.5, buyer.size), 4)
    badness = dice.beta(1.2, 25, sellers)
    is_good = dice.random(buyer.size) >= badness[seller]
    is_said = dice.random(buyer.size) < np.where(is_good, RATED, 2 * RATED)
    return Trade(
        buyer=buyer,
        seller=seller,
        usd=usd,
        age=dice.uniform(0, DAYS, buyer.size),
        said=np.where(is_said, np.where(is_good, 1, -1), 0),
        category=dice.choice(CATEGORIES, buyer.size, p=[0.6, 0.3, 0.1]),
    )


def standings(model: Model, trade: Trade, seeds: Ints, buyers: int) -> tuple[Floats, Floats]:
    """Returns the standing of each buyer, and the traced share of each seller's income."""
    sellers = int(trade.seller.max()) + 1
    recent = trade.of(trade.age < model.window_days)
    spent = np.bincount(recent.buyer, recent.usd, buyers)
    income = np.bincount(recent.seller, recent.usd, sellers)
    is_seed = np.isin(recent.buyer, seeds)
    # Nobody is buyer and seller here, so that one round traces all of it.
    traced = np.bincount(recent.seller, recent.usd * is_seed, sellers) / np.maximum(income, 1e-9)
    to_trusted = np.bincount(recent.buyer, recent.usd * traced[recent.seller], buyers)
    lost = model.fee_share * spent + to_trusted
    standing = lost / (lost + model.standing_usd)
    standing[seeds] = 1
    return standing, traced


def scores(model: Model, trade: Trade, standing: Floats, sellers: int) -> Floats:
    """Returns score_lower of each seller."""
    said = trade.of((trade.said != 0) & (trade.age < model.window_days))
    weight = said.usd / model.usd_per_event * 2 ** (-said.age / model.half_life_days)
    key = (said.buyer * sellers + said.seller) * CATEGORIES + said.category
    keys, place = np.unique(key, return_inverse=True)
    good = np.bincount(place, weight * (said.said > 0), keys.size)
    bad = np.bincount(place, model.bad_weight * weight * (said.said < 0), keys.size)
    voice = model.standing_least + (1 - model.standing_least) * standing[keys // CATEGORIES // sellers]
    good = np.minimum(voice * good, model.cap_payer)
    bad = np.minimum(voice * bad, model.cap_blame)
    where = keys % (sellers * CATEGORIES)
    return lower(
        model,
        np.bincount(where, good, sellers * CATEGORIES).reshape(sellers, CATEGORIES),
        np.bincount(where, bad, sellers * CATEGORIES).reshape(sellers, CATEGORIES),
    )


def lower(model: Model, good: Floats, bad: Floats) -> Floats:
    """Returns score_lower of what counts as good and bad, by category in the last axis."""
    shares = np.array(
        [model.share_task_quality, model.share_economic, model.share_identity_hygiene]
    )
    weight = good + bad + model.prior_weight
    p = (good + model.prior_weight * model.prior_score) / weight
    variance = (shares**2 * p * (1 - p) / (weight + 1)).sum(axis=-1)
    found: Floats = (shares * p).sum(axis=-1) - model.lower_deviations * np.sqrt(variance)
    return np.maximum(0, found)
