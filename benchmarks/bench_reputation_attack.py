"""What each known attack on the reputation model costs, in dollars that do not come back.

A generated population trades for 120 days: buyers with a few favourite sellers, purchases from a
cent to some hundred dollars, one in three of them judged. Against its scores each attack is made as
cheap as a search over its choices can make it, and compared with the fees that honest trade of the
same rank caused. The model is that of docs/reputation.md over arrays; the tests in
tests/integration/reputation hold the SQL to the same formula.

    python benchmarks/bench_reputation_attack.py [--seed 1] [--sellers 300] [--buyers 3000]
"""

import argparse
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from masques_pipelines.reputation.model import Model, read_model

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
DAYS: Final = 120
CATEGORIES: Final = 3
RATED: Final = 0.3
TARGETS: Final = (("the median", 0.5), ("the top decile", 0.9), ("above all honest", 1.0))


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

    def plus(self, other: "Trade") -> "Trade":
        """Returns both."""
        mine, theirs = vars(self), vars(other)
        return Trade(**{name: np.concatenate([mine[name], theirs[name]]) for name in mine})

    def of(self, kept: npt.NDArray[np.bool_]) -> "Trade":
        """Returns those purchases."""
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
    """Returns the standing of each buyer, and the trusted share of each seller's income."""
    sellers = int(trade.seller.max()) + 1
    recent = trade.of(trade.age < model.window_days)
    income = np.bincount(recent.seller, recent.usd, sellers)
    is_seed = np.isin(recent.buyer, seeds)
    # Nobody is buyer and seller here, so that one hop traces all of it.
    share = np.bincount(recent.seller, recent.usd * is_seed, sellers) / np.maximum(income, 1e-9)
    credit = recent.usd * (model.fee_share * model.weight_fees + share[recent.seller])
    lost = np.bincount(recent.buyer, np.maximum(credit, recent.usd * is_seed), buyers)
    pairs = np.unique(recent.buyer * sellers + recent.seller)
    lost /= np.maximum(1, np.bincount(pairs // sellers, minlength=buyers))
    standing: Floats = lost / (lost + model.standing_usd)
    return standing, share


def scores(model: Model, trade: Trade, standing: Floats, sellers: int) -> Floats:
    """Returns score_lower of each seller."""
    said = trade.of((trade.said != 0) & (trade.age < model.window_days))
    weight = said.usd / model.usd_per_event * 2 ** (-said.age / model.half_life_days)
    voices = (said.buyer * sellers + said.seller) * CATEGORIES + said.category
    keys, place = np.unique(voices, return_inverse=True)
    voice = standing[keys // CATEGORIES // sellers]
    good = voice * voiced(np.bincount(place, weight * (said.said > 0), keys.size), model.cap_payer)
    bad = voice * voiced(np.bincount(place, weight * (said.said < 0), keys.size), model.cap_blame)
    where, size = keys % (sellers * CATEGORIES), sellers * CATEGORIES
    return lower(
        model,
        np.bincount(where, good, size).reshape(sellers, CATEGORIES),
        np.bincount(where, bad, size).reshape(sellers, CATEGORIES),
    )


def voiced(weight: Floats, cap: float) -> Floats:
    """Returns how much of a payer's evidence counts, before its standing."""
    return np.minimum(np.minimum(weight, np.sqrt(weight)), cap)


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


@dataclass(frozen=True)
class Wallets:
    """Attacks by equal wallets: every choice of a grid, per wallet.

    Attributes:
        paid: What it pays the seller that it judges in all categories, in USD.
        bought: What it buys at honest sellers: money to strangers.
        standing: What that makes of its word.
        lost: What of it does not come back, for each judged seller.
    """

    paid: Floats
    bought: Floats
    standing: Floats
    lost: Floats

    @classmethod
    def grid(cls, model: Model, share: float, *, own_sellers: int) -> "Wallets":
        """Returns every choice.

        Args:
            model: The model.
            share: The trusted share of the income of the honest sellers where they buy.
            own_sellers: How many of the attacker's sellers they pay and judge; 0: one who is honest
                and whom they blame.
        """
        paid, bought = (
            axis.ravel()
            for axis in np.meshgrid(
                np.geomspace(0.01, 2000, 120),
                np.concatenate([[0.0], np.geomspace(0.02, 500, 60)]),
            )
        )
        gift = paid if own_sellers == 0 else 0 * paid
        judged = max(1, own_sellers)
        fees = model.fee_share * (paid * judged + bought)
        lost = model.weight_fees * fees + share * (bought + gift)
        lost /= judged + (bought > 0)
        standing = lost / (lost + model.standing_usd)
        return cls(paid, bought, standing, (fees + bought + gift) / judged)

    def evidence(self, model: Model, cap: float) -> Floats:
        """Returns what one wallet gives in each category."""
        return self.standing * voiced(self.paid / CATEGORIES / model.usd_per_event, cap)


def cheapest(cost: Floats, evidence: Floats, needed: float) -> tuple[float, int]:
    """Returns what so much evidence in each category costs, and how many wallets it takes."""
    wallets = np.ceil(needed / np.maximum(evidence, 1e-12))
    best = int(np.argmin(wallets * cost))
    return float(wallets[best] * cost[best]), int(wallets[best])


def needed_to_lift(model: Model, target: float) -> float:
    """Returns the good evidence in each category with which a newcomer reaches a score."""
    grid = np.geomspace(1e-3, 1e4, 4000)
    reached = lower(
        model, np.repeat(grid[:, None], CATEGORIES, 1), np.zeros((grid.size, CATEGORIES))
    )
    return float(grid[np.argmax(reached >= target)])


def needed_to_sink(model: Model, veteran: float, target: float) -> float:
    """Returns the bad evidence in each category with which a veteran falls to a score."""
    good = needed_to_lift(model, veteran)
    grid = np.geomspace(1e-3, 1e4, 4000)
    left = lower(
        model, np.full((grid.size, CATEGORIES), good), np.repeat(grid[:, None], CATEGORIES, 1)
    )
    return float(grid[np.argmax(left <= target)])


@dataclass(frozen=True)
class Line:
    """One attack: what it reaches and costs, and the fees of honest trade of that rank."""

    attack: str
    reaches: str
    cost_usd: float
    wallets: int
    honest_usd: float


class World:
    """A population, its scores, and what attacks on them cost."""

    def __init__(
        self, model: Model, *, seed: int, sellers: int, buyers: int, trusted: float
    ) -> None:
        dice = np.random.default_rng(seed)
        self.model, self.sellers, self.buyers = model, sellers, buyers
        self.trade = population(dice, sellers, buyers)
        self.seeds = np.flatnonzero(dice.random(buyers) < trusted)
        self.standing, share = standings(model, self.trade, self.seeds, buyers)
        # An attacker buys where it gets most for it, among shops that everybody knows.
        self.share = float(np.quantile(share, 0.9))
        self.scores = scores(model, self.trade, self.standing, sellers)
        recent = self.trade.of(self.trade.age < model.window_days)
        self.fees = model.fee_share * np.bincount(recent.seller, recent.usd, sellers)

    def rank(self, score: float) -> float:
        """Returns the share of the honest sellers that a score is above."""
        return float(np.mean(self.scores < score))

    def honest_fees(self, rank: float) -> float:
        """Returns the fees of the median seller within five percent of a rank."""
        ranks = np.argsort(np.argsort(self.scores)) / (self.sellers - 1)
        return float(np.median(self.fees[np.abs(ranks - rank) <= 0.05]))

    def attacks(self) -> list[Line]:
        """Returns what each attack reaches and costs."""
        model = self.model
        lines: list[Line] = []
        free = lower(model, np.full(CATEGORIES, model.cap_free), np.zeros(CATEGORIES))
        reaches = f"{100 * self.rank(float(free)):.0f} % are below"
        lines += [
            Line(name, reaches, 0.0, 0, self.honest_fees(self.rank(float(free))))
            for name in ("any number of invented counterparties", "the attestor's id, forged")
        ]
        for name, own_sellers in (
            ("own money in a circle", 1),
            ("the same, a hundred sellers, each", 100),
        ):
            wallets = Wallets.grid(model, self.share, own_sellers=own_sellers)
            for target, rank in TARGETS:
                needed = needed_to_lift(model, float(np.quantile(self.scores, rank)))
                usd, number = cheapest(
                    wallets.lost, wallets.evidence(model, model.cap_payer), needed
                )
                lines.append(Line(name, target, usd, number, self.honest_fees(rank)))
        veteran = float(np.quantile(self.scores, 0.9))
        gifts = Wallets.grid(model, self.share, own_sellers=0)
        evidence = gifts.evidence(model, model.cap_blame)
        for target, rank in (("from the top decile to the median", 0.5), ("... below 90 %", 0.1)):
            needed = needed_to_sink(model, veteran, float(np.quantile(self.scores, rank)))
            usd, number = cheapest(gifts.lost, evidence, needed)
            lines.append(Line("bad-mouthing", target, usd, number, self.honest_fees(0.9)))
        return lines

    def after_exit(self) -> tuple[float, float]:
        """Returns the rank of a good seller before and after 15 victims of 500 USD."""
        order = np.argsort(self.scores)
        seller = int(order[int(0.8 * self.sellers)])
        victims = np.arange(15) * (self.buyers // 15)
        scam = Trade(
            buyer=victims,
            seller=np.full(15, seller),
            usd=np.full(15, 500.0),
            age=np.zeros(15),
            said=np.full(15, -1),
            category=np.zeros(15, int),
        )
        # The standing of payers is of the day before.
        after = scores(self.model, self.trade.plus(scam), self.standing, self.sellers)
        return self.rank(self.scores[seller]), float(np.mean(self.scores < after[seller]))

    def newcomer(self, like: float, days: float) -> float:
        """Returns the rank of who trades for so long as the seller of a rank does."""
        seller = int(np.argsort(self.scores)[round(like * (self.sellers - 1))])
        kept = (self.trade.seller != seller) | (self.trade.age < days)
        found = scores(self.model, self.trade.of(kept), self.standing, self.sellers)
        return self.rank(float(found[seller]))


def report(world: World, title: str) -> None:
    print(f"\n{title}: {len(world.seeds)} of {world.buyers} buyers are seeds")
    print(f"{'attack':<40}{'reaches':<36}{'USD':>9}{'wallets':>9}{'honest fees':>13}{'ratio':>8}")
    for line in world.attacks():
        ratio = f"{line.cost_usd / line.honest_usd:.1f}" if line.cost_usd else "-"
        print(
            f"{line.attack:<40}{line.reaches:<36}{line.cost_usd:>9.2f}{line.wallets:>9}"
            f"{line.honest_usd:>13.2f}{ratio:>8}"
        )
    before, after = world.after_exit()
    print(f"exit scam, 15 x 500 USD: above {100 * before:.0f} % before, {100 * after:.0f} % after")
    for like in (0.5, 0.9):
        ranks = [
            f"{days} d {100 * world.newcomer(like, days):.0f} %" for days in (3, 7, 14, 30, 60, 90)
        ]
        print(f"honest newcomer who trades like the {100 * like:.0f} % seller: {', '.join(ranks)}")


def main() -> None:
    parser = argparse.ArgumentParser(description="What attacks on the reputation cost.")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--sellers", type=int, default=300)
    parser.add_argument("--buyers", type=int, default=3000)
    given = parser.parse_args()
    for title, trusted in (("with seeds", 0.2), ("few seeds", 0.1), ("without seeds", 0.0)):
        world = World(
            read_model(None),
            seed=given.seed,
            sellers=given.sellers,
            buyers=given.buyers,
            trusted=trusted,
        )
        report(world, title)


if __name__ == "__main__":
    main()
