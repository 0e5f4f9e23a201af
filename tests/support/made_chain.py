"""A long chain of the sandbox's Base node: many transfers over many blocks, in milliseconds.

For measuring, and for answers that a test spoils. Correctness is tested on a real chain
(tests/support/anvil.py), which takes many minutes to mine as many blocks.
"""

from masques_pipelines.sandbox.nodes.base import BASE, BaseNode, Chain
from masques_pipelines.sandbox.nodes.facts import Genesis, Payment
from tests.support.anvil import TREASURY

SENDER = "0x" + "5" * 40
START_S = 1_780_000_000


class MadeChain(BaseNode):
    """Has a transfer in each `every`-th block: number, units and end of its hash are the block."""

    def __init__(self, *, blocks: int, every: int, limit: int, chain: Chain = BASE) -> None:
        super().__init__(
            [
                Payment(number, START_S + 2 * number, number, SENDER, TREASURY, "plain")
                for number in range(every, blocks + 1, every)
            ],
            lambda: START_S + 2 * blocks,
            Genesis(START_S, opening={TREASURY: 0}),
            chain=chain,
            range_max=limit,
        )
