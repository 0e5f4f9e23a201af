"""Damages runs of the reconciliation in random ways and compares with a full recomputation.

Run it at any size: python -m tests.campaigns.reconciliation --seed 1 --size 120
"""

import argparse
import random
import tempfile
from dataclasses import dataclass, field
from typing import Any, Final
from unittest import mock

from masques_pipelines.reconciliation import payments
from masques_pipelines.reconciliation.payments import compare_payments
from masques_pipelines.schema.migrations import migrate
from masques_pipelines.settings import read_settings
from masques_pipelines.warehouse.client import Origin, Warehouse
from masques_pipelines.warehouse.connect import open_warehouse
from tests.support.payment_facts import AGENT, AUTHOR, TREASURY, PaymentFacts

_SAID: Final = """
SELECT item_id, gate, rail, gate_risk, rail_risk, posted, held, charged, refunded, settled, state,
    requests, request_id, session_id, settlements, settlement_id, due_at
FROM masques_marts.payments ORDER BY item_id
"""
# The breaks are kept in a table of their own: it must say what the log says.
_BROKEN: Final = """
SELECT item_id, word.1 AS leg, word.2 AS class, word.3 AS at_risk FROM masques_marts.payments
ARRAY JOIN [('gate', gate, gate_risk), ('rail', rail, rail_risk)] AS word
WHERE word.2 NOT IN (SELECT verdict FROM masques_ops.sound_verdicts)
"""
_BREAKS: Final = "SELECT item_id, leg, class, at_risk FROM masques_marts.breaks"
# What settlements brought is summed up once a day and added to since then.
_SUMMED: Final = "SELECT settled FROM masques_ops.position_now WHERE asset = 'USD'"
_SETTLED: Final = """
SELECT sum(if(direction = 'in', amount, -amount)) FROM masques_marts.settlements_current
WHERE status = 'confirmed'
"""
_EMPTY: Final = (
    "TRUNCATE TABLE masques_ops.payments_log",
    "TRUNCATE TABLE masques_ops.reconciliation_runs",
)
_NEWEST: Final = "(SELECT max(known_from) FROM masques_ops.payments_log)"
DAMAGES: Final = ("kill", "cut", "double", "lose")


class KilledError(Exception):
    """Stands for the death of the process."""


class StaleTableError(Exception):
    """What is kept in a table of its own is not what its source says."""


@dataclass
class Campaign:
    """A world that grows, and runs over it that end badly."""

    warehouse: Warehouse
    seed: int
    done: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.facts = PaymentFacts(self.warehouse)
        self.facts.prepare()
        self.minutes = 0.0
        self.booked: list[str] = []
        self.settled: list[str] = []

    def run(self, damages: int) -> None:
        """Adds facts and damages a run so many times; the next run must make it good."""
        for number in range(damages):
            self._add_facts(number)
            damage = self.random.choice(DAMAGES)
            self.done.append(damage)
            getattr(self, f"_{damage}")()
            compare_payments(self.warehouse)
            for one, other in ((_BROKEN, _BREAKS), (_SUMMED, _SETTLED)):
                differing = set(self.warehouse.rows(one)) ^ set(self.warehouse.rows(other))
                if differing:
                    raise StaleTableError(f"after {damage} {number}: {differing}")

    def said(self) -> list[tuple[Any, ...]]:
        """Returns what is said of every payment now."""
        return self.warehouse.rows(_SAID)

    def recomputed(self) -> list[tuple[Any, ...]]:
        """Returns what a full recomputation from nothing says."""
        for statement in _EMPTY:
            self.warehouse.command(statement)
        compare_payments(self.warehouse)
        return self.said()

    def _add_facts(self, number: int) -> None:
        for part in range(self.random.randint(1, 3)):
            self.minutes += self.random.choice((1, 20, 200))
            name = f"{number}.{part}"
            getattr(self, self.random.choice(("_call", "_deposit", "_late", "_link", "_hold")))(
                name
            )
        self.facts.read_to(self.minutes)

    def _call(self, name: str) -> None:
        self.facts.transfer(f"t{name}", "api_call", "3", self.minutes)
        self.booked.append(f"t{name}")
        if self.random.random() < 0.6:
            self.facts.request(f"r{name}", self.minutes, of=f"t{name}", charged="3")

    def _deposit(self, name: str) -> None:
        self.facts.transfer(f"t{name}", "deposit", "5", self.minutes, sides=(TREASURY, AGENT))
        self.booked.append(f"t{name}")
        self.facts.settlement(f"s{name}", "5", self.minutes)
        self.settled.append(f"s{name}")

    def _late(self, name: str) -> None:
        """A request, a refund or a revision of something that is there."""
        if self.settled and self.random.random() < 0.5:
            status = self.random.choice(("confirmed", "failed", "pending"))
            self.facts.settlement(
                self.random.choice(self.settled), "5", self.minutes, status=status
            )
        elif self.booked:
            of = self.random.choice(self.booked)
            if self.random.random() < 0.5:
                self.facts.request(f"r{name}", self.minutes, of=of, charged="1")
            else:
                self.facts.transfer(f"b{name}", "refund", "3", self.minutes, sides=(AUTHOR, AGENT))
                self.facts.refund(f"b{name}", of, self.minutes)

    def _link(self, name: str) -> None:
        if self.settled and self.booked:
            count = min(len(self.booked), self.random.randint(1, 3))
            withdrawn = self.random.random() < 0.3
            self.facts.link(
                self.random.choice(self.settled),
                *self.random.sample(self.booked, count),
                withdrawn=withdrawn,
            )

    def _hold(self, name: str) -> None:
        self.facts.transfer(
            f"t{name}", "masque_session", "4", self.minutes, event_type="two_phase_pending"
        )
        self.facts.session(f"m{name}", f"t{name}", self.minutes, doffed=self.minutes + 1)
        end = self.random.choice(("two_phase_posted", "two_phase_voided", ""))
        if end:
            self.minutes += 1
            self.facts.transfer(
                f"e{name}",
                "masque_session",
                "4",
                self.minutes,
                event_type=end,
                pending=f"t{name}",
            )

    def _kill(self) -> None:
        """The process dies before one of its statements."""
        steps = self.random.randint(0, 14)
        run_step = payments._Run._run_step  # noqa: SLF001

        def until(run: Any, name: str, **parameters: Any) -> None:
            nonlocal steps
            steps -= 1
            if steps < 0:
                raise KilledError
            run_step(run, name, **parameters)

        with mock.patch.object(payments._Run, "_run_step", until):  # noqa: SLF001
            try:
                compare_payments(self.warehouse, full=self.random.random() < 0.2)
            except KilledError:
                return

    def _cut(self) -> None:
        """The process dies while it inserts: some of the rows are there, and no end of the run."""
        run_step = payments._Run._run_step  # noqa: SLF001

        def until(run: Any, name: str, **parameters: Any) -> None:
            if name == "end_run":
                raise KilledError
            run_step(run, name, **parameters)

        with mock.patch.object(payments._Run, "_run_step", until):  # noqa: SLF001
            try:
                compare_payments(self.warehouse)
            except KilledError:
                self._delete(f"known_from = {_NEWEST} AND cityHash64(content) % 2 = 0")

    def _double(self) -> None:
        """An insert is sent twice, and both are there."""
        compare_payments(self.warehouse)
        self.warehouse.command(
            "INSERT INTO masques_ops.payments_log SELECT * FROM masques_ops.payments_log "
            f"WHERE known_from = {_NEWEST} OR cityHash64(content) % 7 = 0"
        )

    def _lose(self) -> None:
        """A third of the log is lost."""
        self._delete(f"cityHash64(content, known_from) % 3 = {self.random.randint(0, 2)}")

    def _delete(self, where: str) -> None:
        self.warehouse.command(
            "CREATE TABLE masques_ops.payments_kept ENGINE = Memory AS "
            f"SELECT * FROM masques_ops.payments_log WHERE NOT ({where})"
        )
        self.warehouse.command(_EMPTY[0])
        self.warehouse.command(
            "INSERT INTO masques_ops.payments_log SELECT * FROM masques_ops.payments_kept"
        )
        self.warehouse.command("DROP TABLE masques_ops.payments_kept")


def main() -> None:
    """Runs the campaign in a warehouse of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--size", type=int, default=120, help="how many damages")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        settings = read_settings({"MASQUES_HOME": home})
        with open_warehouse(settings, origin=Origin(job="campaign")) as warehouse:
            migrate(warehouse)
            campaign = Campaign(warehouse, given.seed)
            campaign.run(given.size)
            said, recomputed = campaign.said(), campaign.recomputed()
    differing = len(set(said) ^ set(recomputed))
    counted = {damage: campaign.done.count(damage) for damage in DAMAGES}
    print(f"seed {given.seed}: {counted}, {len(said)} payments, {differing} differ")  # noqa: T201
    if differing:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
