"""Makes worlds with troubles and runs the pipeline on them: each trouble is named, nothing else.

`python -m tests.campaigns.worlds --seed 1 --size 10` makes ten worlds of other seeds, starts and
sizes. It fails when a trouble is missed, when something is found that nobody made, or when a proof
of the ledger's copy does not hold.
"""

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

from masques_pipelines.ledger.proofs.suite import all_hold, prove_all
from masques_pipelines.sandbox.check import compare, compared_to_ns, read_found
from masques_pipelines.sandbox.world.landing import moment
from masques_pipelines.sandbox.world.shape import DAY, SECOND, shape_of
from masques_pipelines.sandbox.world.store import World, make_world, plan, read_troubles
from masques_pipelines.sandbox.world.troubles.catalog import KINDS
from masques_pipelines.warehouse.client import Origin
from masques_pipelines.warehouse.connect import open_warehouse
from tests.support.migrated_folder import copy_migrated
from tests.support.sandbox_pipeline import run_all, sandbox_settings


def prove_world(home: Path, dice: random.Random) -> tuple[int, list[str]]:
    """Makes a world and runs the pipeline; returns how many troubles were named, and problems."""
    root = home / "sandbox"
    now_ns = time.time_ns() - dice.randrange(0, 5 * DAY, SECOND)
    seed, days, scale = dice.randrange(2**32), dice.randint(8, 12), dice.choice((0.01, 0.02, 0.05))
    shape = shape_of(seed, (now_ns // DAY - days + 1) * DAY, scale)
    troubles = plan(shape, now_ns, dice.randint(1, 2 * len(KINDS)))
    make_world(root, World(shape, now_ns, now_ns, troubles=troubles))
    copy_migrated(root / "warehouse")
    settings = sandbox_settings(home)
    with open_warehouse(settings, origin=Origin(job="campaign")) as warehouse:
        run_all(warehouse, settings)
        compared_to = compared_to_ns(warehouse)
        done = compare(
            read_troubles(root),
            read_found(warehouse, compared_to),
            moment(now_ns),
            moment(compared_to),
        )
        problems = [f"seed {seed}: missed {each}" for each in done.missed]
        problems += [f"seed {seed}: invented {each}" for each in done.invented]
        if not all_hold(prove_all(warehouse, from_beginning=True)):
            problems.append(f"seed {seed}: a proof does not hold")
    return done.found.total(), problems


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--size", type=int, default=10)
    asked = parser.parse_args()
    dice, named = random.Random(asked.seed), 0
    problems: list[str] = []
    for number in range(asked.size):
        with tempfile.TemporaryDirectory() as home:
            found, wrong = prove_world(Path(home), dice)
            named, problems = named + found, problems + wrong
            said = [f"world {number}: {found} troubles named, {len(wrong)} problems", *wrong]
            print(*said, sep="\n", flush=True)  # noqa: T201 - a command
    print(f"{asked.size} worlds: {named} troubles named, {len(problems)} problems")  # noqa: T201
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
