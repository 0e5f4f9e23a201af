"""The size and the seed of a campaign: small in the suite, larger when a person asks.

`MASQUES_TEST_SIZE=10 MASQUES_TEST_SEED=1 make test ARGS=tests/integration/ledger/test_faults.py`
runs ten times as many rounds, with the dice of that seed.
"""

import os
import random
import time


def rounds(few: int) -> int:
    """Returns how many rounds a campaign has that runs a few in the suite."""
    return few * int(os.environ.get("MASQUES_TEST_SIZE") or 1)


def seeded() -> random.Random:
    """Returns dice of the seed that was asked for, or else of a new one, which a failure shows."""
    seed = os.environ.get("MASQUES_TEST_SEED") or str(time.time_ns())
    print(f"MASQUES_TEST_SEED={seed}")  # noqa: T201 - pytest shows it with a failure
    return random.Random(seed)
