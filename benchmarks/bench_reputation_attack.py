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
EXITS: Final = (0.5, 0.8, 0.9, 0.99, 1.0)
# How an attacker may spread its evidence over the categories; the last is usual.
SPLITS: Final = (
    np.array([1, 0, 0]),
    np.array([0.6, 0.4, 0]),
    np.array([1, 1, 1]) / 3,
    np.array([0.5, 0.3, 0.2]),
)


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


@dataclass(frozen=True)
class Trust:
    """What the trade of the window says of buyers and sellers.

    Attributes:
        standing: How much the word of each buyer counts.
        share: The trusted share of each seller's income.
        backed: What of each seller's income counts for its limit, in USD.
        level: The trusted share of all trade.
        half_usd: Without seeds, a seller with so much income has half a trusted share; else 0.
    """

    standing: Floats
    share: Floats
    backed: Floats
    level: float
    half_usd: float

    @classmethod
    def of(cls, model: Model, trade: Trade, seeds: Ints, sellers: int, buyers: int) -> "Trust":
        """Returns that of a population."""
        recent = trade.of(trade.age < model.window_days)
        income = np.bincount(recent.seller, recent.usd, sellers)
        seeded = recent.usd * np.isin(recent.buyer, seeds)
        if len(seeds):
            # Nobody is buyer and seller here, so that one hop traces all of it.
            half_usd = 0.0
            share = np.bincount(recent.seller, seeded, sellers) / np.maximum(income, 1e-9)
        else:
            half_usd = float(model.half_trusted * (income**2).sum() / income.sum())
            share = income / (income + half_usd)
        trusted = np.maximum(seeded, recent.usd * share[recent.seller])
        own = share[recent.seller] + model.fee_share * model.weight_fees
        fees = np.maximum(seeded, recent.usd * own)
        pairs = np.unique(recent.buyer * sellers + recent.seller)
        partners = np.maximum(1, np.bincount(pairs // sellers, minlength=buyers))
        credit = np.bincount(recent.buyer, fees, buyers) / partners
        spent = np.maximum(np.bincount(recent.buyer, recent.usd, buyers), 1e-9)
        trust = np.bincount(recent.buyer, trusted, buyers) / spent
        level = float(trusted.sum() / recent.usd.sum())
        backing = np.bincount(recent.seller, recent.usd * trust[recent.buyer], sellers) / level
        return cls(
            standing=credit / (credit + model.standing_usd),
            share=share,
            backed=np.minimum(income, backing),
            level=level,
            half_usd=half_usd,
        )

    def share_of(self, income: Floats) -> Floats:
        """Returns the trusted share of an attacker's seller, by what its own wallets pay it."""
        found: Floats = income / (income + self.half_usd) if self.half_usd else 0 * income
        return found


def scores(model: Model, trade: Trade, trust: Trust, sellers: int) -> Floats:
    """Returns score_lower of each seller."""
    said = trade.of((trade.said != 0) & (trade.age < model.window_days))
    weight = said.usd / model.usd_per_event * 2 ** (-said.age / model.half_life_days)
    voices = (said.buyer * sellers + said.seller) * CATEGORIES + said.category
    keys, place = np.unique(voices, return_inverse=True)
    says = np.bincount(place, weight * said.said, keys.size)
    standing = trust.standing[keys // CATEGORIES // sellers]
    where, size = keys % (sellers * CATEGORIES), sellers * CATEGORIES
    good = np.bincount(where, standing * praise(model, np.maximum(says, 0)), size)
    bad = np.bincount(where, blame(model, np.maximum(-says, 0)), size)
    good, bad = good.reshape(sellers, CATEGORIES), bad.reshape(sellers, CATEGORIES)
    whole = good.sum(axis=1)
    most = np.minimum(whole, model.limit_per_usd * trust.backed)
    believed = unspoilt(model, most, bad.sum(axis=1)) / np.maximum(whole, 1e-12)
    return lower(model, good * believed[:, None], bad)


def unspoilt(model: Model, good: Floats, bad: Floats) -> Floats:
    """Returns what is left of good evidence, of all categories, beside so much bad."""
    lost = np.minimum(1, bad / np.maximum(model.blame_ruins * good, 1e-12)) ** 3
    found: Floats = good * (1 - lost)
    return found


def praise(model: Model, weight: Floats) -> Floats:
    """Returns how much of what a payer says for a seller counts, before its standing."""
    capped = np.minimum(np.minimum(weight, np.sqrt(weight)), model.cap_payer)
    found: Floats = model.weight_praise * capped
    return found


def blame(model: Model, weight: Floats) -> Floats:
    """Returns how much of what a payer says against a seller counts."""
    found: Floats = np.minimum(model.weight_blame * weight, model.cap_blame)
    return found


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
    """Attacks by equal wallets that lift own sellers: every choice of a grid.

    Attributes:
        number: Wallets for each group of own sellers.
        paid: What each pays each seller of its group, in USD.
        standing: What its word counts.
        backed: What of a seller's income counts for its limit, in USD.
        lost: What does not come back, for each own seller.
    """

    number: Floats
    paid: Floats
    standing: Floats
    backed: Floats
    lost: Floats

    @classmethod
    def grid(cls, model: Model, trust: Trust, *, own: int, group: int) -> "Wallets":
        """Returns every choice.

        Args:
            model: The model.
            trust: That of the honest population.
            own: How many sellers the attacker lifts.
            group: How many of them share their wallets.
        """
        number, paid, at_own, at_honest = (
            axis.ravel()
            for axis in np.meshgrid(
                np.unique(np.geomspace(1, 3000, 30).round()),
                np.geomspace(0.01, 5000, 70),
                # What a wallet spends at one further shop that all own sellers' wallets feed, and
                # at honest shops, for each dollar that it pays to sellers of its group.
                np.array([0, 0.3, 0.6, 1, 1.5, 2, 3]),
                np.array([0, 0.03, 0.1, 0.3, 1]),
                indexing="ij",
            )
        )
        sold, shop, bought = paid * group, at_own * paid * group, at_honest * paid * group
        own_share = trust.share_of(number * paid)
        shop_share = trust.share_of(number * shop * own / group)
        # An attacker buys where it gets most for it, among shops that everybody knows.
        honest_share = float(np.quantile(trust.share, 0.9 if not trust.half_usd else 1))
        trusted = sold * own_share + shop * shop_share + bought * honest_share
        spent = sold + shop + bought
        credit = trusted + spent * model.fee_share * model.weight_fees
        credit /= group + (shop > 0) + (bought > 0)
        return cls(
            number=number,
            paid=paid,
            standing=credit / (credit + model.standing_usd),
            backed=number * paid * np.minimum(1, trusted / spent / trust.level),
            lost=number * (model.fee_share * spent + bought) / group,
        )

    def cheapest(self, model: Model, target: float) -> tuple[float, int]:
        """Returns what it costs a newcomer to reach a score, and how many wallets it takes."""
        best = (float("inf"), 0)
        for split in SPLITS:
            needed = needed_to_lift(model, target, split)
            if needed == np.inf:
                continue
            said = praise(model, self.paid[:, None] * split / model.usd_per_event)
            given = (self.number * self.standing)[:, None] * said
            works = (given >= needed * split).all(axis=1)
            works &= model.limit_per_usd * self.backed >= needed
            if works.any():
                place = int(np.argmin(np.where(works, self.lost, np.inf)))
                best = min(best, (float(self.lost[place]), int(self.number[place])))
        return best


def sinking(model: Model, good: Floats, target: float) -> tuple[float, int]:
    """Returns what it costs to sink a seller to a score by blame, and how many wallets it takes.

    Every wallet pays the seller, which keeps the money. Standing gives blame no weight.
    """
    number, paid = (
        axis.ravel()
        for axis in np.meshgrid(
            np.unique(np.geomspace(1, 1000, 60).round()), np.geomspace(0.01, 3000, 600)
        )
    )
    best = (float("inf"), 0)
    for split in SPLITS:
        bad = number[:, None] * blame(model, paid[:, None] * split / model.usd_per_event)
        left = unspoilt(model, np.full(number.size, good.sum()), bad.sum(axis=1)) / good.sum()
        works = lower(model, good * left[:, None], bad) <= target
        if works.any():
            lost = number * paid
            place = int(np.argmin(np.where(works, lost, np.inf)))
            best = min(best, (float(lost[place]), int(number[place])))
    return best


def needed_to_lift(model: Model, target: float, split: Floats) -> float:
    """Returns the good evidence with which a newcomer reaches a score; split: by category."""
    grid = np.geomspace(1e-4, 1e5, 6000)
    reached = lower(model, grid[:, None] * split, np.zeros((grid.size, CATEGORIES))) >= target
    return float(grid[np.argmax(reached)]) if reached.any() else float("inf")


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
        self.trust = Trust.of(model, self.trade, self.seeds, sellers, buyers)
        self.scores = scores(model, self.trade, self.trust, sellers)
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
        for name, own, groups in (
            ("own money in a circle", 1, (1,)),
            ("the same, a hundred sellers, each", 100, (1, 10, 100)),
        ):
            grids = [Wallets.grid(model, self.trust, own=own, group=group) for group in groups]
            for target, rank in TARGETS:
                score = float(np.quantile(self.scores, rank))
                usd, number = min(grid.cheapest(model, score) for grid in grids)
                lines.append(Line(name, target, usd, number, self.honest_fees(rank)))
        veteran = float(np.quantile(self.scores, 0.9))
        typical = SPLITS[-1]
        good = typical * needed_to_lift(model, veteran, typical)
        for target, rank in (("from the top decile to the median", 0.5), ("... below 90 %", 0.1)):
            usd, number = sinking(model, good, float(np.quantile(self.scores, rank)))
            lines.append(Line("bad-mouthing", target, usd, number, self.honest_fees(0.9)))
        return lines

    def after_exit(self, rank: float) -> float:
        """Returns the rank of the seller of a rank after 15 victims of 500 USD.

        The higher of two: with what payers and sellers are trusted with of the day before, and of
        the day after.
        """
        seller = int(np.argsort(self.scores)[round(rank * (self.sellers - 1))])
        victims = np.arange(15) * (self.buyers // 15)
        scam = Trade(
            buyer=victims,
            seller=np.full(15, seller),
            usd=np.full(15, 500.0),
            age=np.zeros(15),
            said=np.full(15, -1),
            category=np.zeros(15, int),
        )
        trade = self.trade.plus(scam)
        later = Trust.of(self.model, trade, self.seeds, self.sellers, self.buyers)
        found = [scores(self.model, trade, trust, self.sellers) for trust in (self.trust, later)]
        return max(self.rank(float(after[seller])) for after in found)

    def newcomer(self, like: float, days: float) -> float:
        """Returns the rank of who trades for so long as the seller of a rank does."""
        seller = int(np.argsort(self.scores)[round(like * (self.sellers - 1))])
        kept = (self.trade.seller != seller) | (self.trade.age < days)
        trade = self.trade.of(kept)
        trust = Trust.of(self.model, trade, self.seeds, self.sellers, self.buyers)
        found = scores(self.model, trade, trust, self.sellers)
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
    exits = [f"from {100 * rank:.0f} % to {100 * world.after_exit(rank):.0f} %" for rank in EXITS]
    print(f"exit scam, 15 x 500 USD: {', '.join(exits)}")
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
