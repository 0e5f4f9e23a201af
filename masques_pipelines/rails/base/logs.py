"""Reads event logs over many blocks within each provider's own limits.

Providers limit the block range (2,000, 10,000, 50, 5), the number of results, or the bytes, each
with its own error message, which often names the limit. The numbers change with their plans, so
none is built in: the reader learns from each refusal, and forgets when the object is gone.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from masques_pipelines.rails.node import JsonRpc, RpcError
from masques_pipelines.rails.protocol import RailUnavailableError

RANGE_START: Final = 2_000
RANGE_MAX: Final = 50_000
# A range refused for its number of results does not limit quieter blocks: grow again, slowly.
GROWTH: Final = 1.25

# "Try with this block range [0x1, 0x2]", "retry with the range 5-10", "limited to a 10,000 blocks
# range", "at most 500 blocks", "is limited to 0 - 50 blocks", "maximum is set to 2048".
_SUGGESTED_RANGE: Final = re.compile(
    r"range[^\[\d]*\[?\s*(0x[0-9a-f]+|\d+)\s*[,-]\s*(0x[0-9a-f]+|\d+)", re.IGNORECASE
)
_LIMITS: Final = (
    re.compile(
        r"(?:limited to|at most|up to|over|maximum(?: is)?(?: set to)?|max(?:imum)?(?: of)?"
        r"|exceeds?(?: the)?(?: limit(?: of)?)?|within)"
        r"\D{0,24}?(?:0\s*-\s*)?([\d,]+)\s*(?:-?\s*blocks?|range|$)",
        re.IGNORECASE,
    ),
    re.compile(r"([\d,]+)[\s-]*block(?:s)?\s*(?:range|limit)", re.IGNORECASE),
)


@dataclass
class LogReader:
    """Reads logs through one node.

    Attributes:
        rpc: The node.
        size: Blocks in one request, as learned so far.
        ceiling: The node's own limit of blocks in one request, as far as it named one.
        refusals: How many ranges it refused.
    """

    rpc: JsonRpc
    size: int = RANGE_START
    ceiling: int = RANGE_MAX
    refusals: int = field(default=0)

    def read(self, query: Mapping[str, Any], first: int, last: int) -> Iterator[dict[str, Any]]:
        """Yields all logs of blocks first…last, in order.

        Args:
            query: address and topics of eth_getLogs.
            first: First block.
            last: Last block; the caller has checked that the node has it.

        Raises:
            RailUnavailableError: The node refuses even one block.
            RpcError, RailRefusedError: The node refuses for another reason.
        """
        while first <= last:
            upto = min(last, first + self.size - 1)
            try:
                logs = self.rpc.call(
                    "eth_getLogs", {**query, "fromBlock": hex(first), "toBlock": hex(upto)}
                )
            except RpcError as error:
                self._shrink(error, upto - first + 1)
                continue
            if not isinstance(logs, list):
                raise RailUnavailableError(
                    f"{self.rpc.node.description}: eth_getLogs did not answer a list of logs: "
                    "check that it is an EVM node; the next run tries again"
                )
            outside = [log for log in logs if not first <= int(log["blockNumber"], 16) <= upto]
            if outside:
                raise RailUnavailableError(
                    f"{self.rpc.node.description}: eth_getLogs for blocks {first} to {upto} "
                    f"answered a log of block {int(outside[0]['blockNumber'], 16)}: the "
                    "node's index is damaged; the next run tries again"
                )
            yield from logs
            if upto - first + 1 == self.size:
                self.size = min(self.ceiling, int(self.size * GROWTH) + 1)
            first = upto + 1

    def _shrink(self, error: RpcError, asked: int) -> None:
        """Shrinks the block range after a refusal; raises when one block alone is refused."""
        self.refusals += 1
        if asked <= 1:
            raise RailUnavailableError(
                f"{error}: the node refuses even one block: ask the provider for a plan whose "
                "limits allow it, or give MASQUES_BASE_RPC_URL another node"
            ) from error
        allowed = suggested_size(error.message)
        if allowed is not None and 1 <= allowed < asked:
            self.size = allowed
            if not _SUGGESTED_RANGE.search(error.message):
                self.ceiling = allowed  # a provider-wide limit, not a limit on this request
            return
        self.size = max(1, asked // 2)


def suggested_size(message: str) -> int | None:
    """Returns the block range that an error message allows, None when it names none."""
    match = _SUGGESTED_RANGE.search(message)
    if match:
        first, last = (int(text, 0) for text in match.groups())
        return last - first + 1 if last >= first else None
    for pattern in _LIMITS:
        match = pattern.search(message)
        if match and match[1].strip(","):
            return int(match[1].replace(",", ""))
    return None
