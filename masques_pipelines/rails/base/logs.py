"""Reads event logs over many blocks within each provider's own limits.

Providers limit the block range (2,000, 10,000, 50, 5), the number of results, or the bytes, each
with its own error message, which often names the limit. The numbers change with their plans, so
none is built in: the reader learns from each refusal.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from masques_pipelines.rails.answers import item_or_none, nonsense
from masques_pipelines.rails.base.messages import SERVER, FoundLog, Header
from masques_pipelines.rails.base.window import SETTING
from masques_pipelines.rails.node import (
    ATTEMPTS_MAX,
    ATTEMPTS_WIDE,
    JsonRpc,
    RailBusyError,
    RpcError,
)
from masques_pipelines.rails.protocol import RailUnavailableError

RANGE_START: Final = 2_000
RANGE_MAX: Final = 50_000
# A range refused for its number of results does not limit quieter blocks: grow again, slowly.
GROWTH: Final = 1.25
# After a time-out, an error of the provider's proxy or nonsense: few steps down to one block.
UNAVAILABLE_DIVISOR: Final = 10
METHOD: Final = "eth_getLogs"

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


# Refused for what it would answer, which says nothing of quieter blocks.
_RESULTS: Final = re.compile(r"result|response|size|matched|time|bytes", re.IGNORECASE)

Range = tuple[int, int, list[Any]]


@dataclass
class LogReader:
    """Reads logs through one node.

    Attributes:
        rpc: The node.
        size: Blocks in one request, as learned so far.
        ceiling: The node's own limit of blocks in one request, as far as it is known. It is kept in
            the rail's cursor, so that no later run asks for more.
        refusals: How many ranges it refused.
    """

    rpc: JsonRpc
    setting: str = SETTING("url")
    size: int = RANGE_START
    ceiling: int = RANGE_MAX
    refusals: int = field(default=0)
    _answered: int = field(default=1, init=False)

    def __post_init__(self) -> None:
        self.size = min(self.size, self.ceiling)

    @property
    def learned(self) -> int | None:
        """The limit that the node made known, None while it made none known."""
        return self.ceiling if self.ceiling < RANGE_MAX else None

    def read(self, queries: Sequence[Mapping[str, Any]], first: int, last: int) -> Iterator[Range]:
        """Yields the logs of blocks first…last, range by range: (first, last, logs as answered).

        One request asks for the header of the range's last block and for the logs of all queries:
        where a provider has several backends, one that lacks the block shows it.

        Args:
            queries: address and topics of eth_getLogs, of each query.
            first: First block.
            last: Last block; the caller has checked that the node has it.

        Raises:
            RailUnavailableError: The node refuses even one block, is behind, busy or down.
            RailRefusedError: The node refuses our credentials.
        """
        while first <= last:
            upto = min(last, first + self.size - 1)
            asked = upto - first + 1
            try:
                logs = self._read_range(queries, first, upto)
            except RpcError as error:
                self._shrink(error, asked, error.message)
                continue
            except RailBusyError:
                raise  # smaller ranges are more requests
            except RailUnavailableError as error:
                self._shrink(error, asked, "")
                continue
            self._answered = max(self._answered, asked)
            yield first, upto, logs
            if asked == self.size:
                # Half the way to a limit that is only known from above.
                wider = max(int(self.size * GROWTH) + 1, (self.size + (self.learned or 0)) // 2)
                self.size = min(self.ceiling, wider)
            first = upto + 1

    def _read_range(self, queries: Sequence[Mapping[str, Any]], first: int, upto: int) -> list[Any]:
        span = {"fromBlock": hex(first), "toBlock": hex(upto)}
        calls: list[tuple[str, Sequence[Any]]] = [("eth_getBlockByNumber", [hex(upto), False])]
        calls += [(METHOD, [{**query, **span}]) for query in queries]
        attempts = ATTEMPTS_MAX if first == upto else ATTEMPTS_WIDE
        header, *answers = self.rpc.many(calls, attempts=attempts)
        found: list[Any] = []
        for answer in answers:
            if isinstance(answer, RpcError):
                raise answer
            if not isinstance(answer, list):
                raise nonsense(self._where, f"{METHOD}: not a list of logs", SERVER)
            found.extend(answer)
        known = item_or_none(Header, header)
        if known is None or known.number != upto:
            raise RailUnavailableError(
                f"{self._where}: it answered logs up to block {upto} and does not have that block: "
                "the node is behind; the next run tries again"
            )
        return self._within(found, first, upto)

    def _within(self, logs: list[Any], first: int, upto: int) -> list[Any]:
        """Refuses a wide answer with logs of other blocks; of one block they go to quarantine."""
        for log in logs if first < upto else ():
            found = item_or_none(FoundLog, log)
            if found is not None and not first <= found.block_number <= upto:
                raise RailUnavailableError(
                    f"{self._where}: {METHOD} for blocks {first} to {upto} answered a log of block "
                    f"{found.block_number}: the node's index is damaged; the next run tries again"
                )
        return logs

    @property
    def _where(self) -> str:
        return self.rpc.node.description

    def _shrink(self, error: Exception, asked: int, message: str) -> None:
        """Shrinks the block range after a failure; raises when one block alone fails."""
        self.refusals += 1
        if asked <= 1:
            if not message:
                raise error
            raise RailUnavailableError(
                f"{error}: the node refuses even one block: ask the provider for a plan whose "
                f"limits allow it, or give {self.setting} another node"
            ) from error
        if not message:  # no answer, or nonsense: nothing is learned for the next run
            self.size = max(1, asked // UNAVAILABLE_DIVISOR)
            return
        limit = named_limit(message)
        if limit is not None and 1 <= limit < asked:
            self.ceiling = min(self.ceiling, limit)
        allowed = suggested_size(message)
        if allowed is not None and 1 <= allowed < asked:
            self.size = min(allowed, self.ceiling) if limit else allowed
            return
        if _RESULTS.search(message):
            self.size = max(1, asked // 2)
            return
        self._learn(asked)
        self.size = self._answered if self._answered > 1 else max(1, asked // 2)

    def _learn(self, refused: int) -> None:
        """Learns a limit that the node does not name: below what it refused."""
        if self._answered >= refused:
            self._answered = 1  # it answered more before: another limit is in force
        is_near = refused - 1 - self._answered <= max(1, self._answered // 10)
        self.ceiling = min(self.ceiling, self._answered if is_near else refused - 1)


def named_limit(message: str) -> int | None:
    """Returns the provider-wide limit of blocks that an error message names, None without one."""
    return next(
        (
            int(match[1].replace(",", ""))
            for pattern in _LIMITS
            if (match := pattern.search(message)) and match[1].strip(",")
        ),
        None,
    )


def suggested_size(message: str) -> int | None:
    """Returns the block range that an error message allows, None when it names none."""
    match = _SUGGESTED_RANGE.search(message)
    if match:
        first, last = (int(text, 0) for text in match.groups())
        return last - first + 1 if last >= first else None
    return named_limit(message)
