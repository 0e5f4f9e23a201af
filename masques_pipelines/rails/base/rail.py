"""Reads Base: token transfers to and from the treasury on an OP-stack chain.

A fetch scans the blocks that are new or not final yet, then resolves what is still open. From an
older cursor it gives the same settlements: blocks below the finality do not change.

All blocks above the final one are scanned in every fetch, so a reorganisation needs no special
path: a payment that moved is observed in its new block under the same id. Only final blocks move
the cursor. After a rewind, what is recorded in the blocks that are read again and is not on the
chain any more is looked at too.

A transaction at a final height whose receipt the node does not answer waits in the cursor, so that
it stops nobody; what stays unreadable goes to quarantine.

Calls of a fetch with nothing new, however many payments are open: one request for chain, final
block, head and anchor; one for each range of blocks above the final one (all of them, where the
provider takes 600 blocks at once); one for the balances; and at most DECISIONS_MAX looks at open
payments that can be decided, 50 a request.
"""

import contextlib
import itertools
import json
import logging
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, replace
from typing import Any, Final

from masques_pipelines.errors import SettingError
from masques_pipelines.rail_settings import RailSettings
from masques_pipelines.rails.answers import nonsense, read_answer
from masques_pipelines.rails.base.balances import read_balances
from masques_pipelines.rails.base.gateway import GatewayReader
from masques_pipelines.rails.base.gateway_api import TransferApi
from masques_pipelines.rails.base.gateway_contracts import Mint
from masques_pipelines.rails.base.logs import LogReader
from masques_pipelines.rails.base.messages import SERVER, Header, is_address, quantity
from masques_pipelines.rails.base.open_settlements import OpenSettlementResolver
from masques_pipelines.rails.base.scan import HEADER_ONLY, Scanner
from masques_pipelines.rails.base.vouchers import VoucherReader
from masques_pipelines.rails.base.window import NAME, BaseConfig, Wanted, Window
from masques_pipelines.rails.descriptor import RailContext, RailDescriptor
from masques_pipelines.rails.endpoint import bearer_headers, open_endpoint, parse_assets
from masques_pipelines.rails.node import JsonRpc, RpcError, open_node
from masques_pipelines.rails.protocol import (
    NO_CHANNELS,
    OPEN_MAX,
    Asset,
    BalanceReading,
    Channels,
    Cursor,
    FetchResult,
    Found,
    OpenSettlement,
    OpenSettlements,
    RailRefusedError,
    RailUnavailableError,
    RecordedSettlements,
    Rejected,
    nothing_recorded,
)

CURSOR_VERSION: Final = 1
# One fetch is one insert: some thousands of blocks keep it small and a restart cheap.
BLOCKS_PER_FETCH: Final = 10_000
_TRANSACTION: Final = re.compile("0x[0-9a-f]{64}$")
# Parts of the cursor that each fetch writes anew.
_OF_ONE_FETCH: Final = (
    *("waiting", "looked", "limit", "channels", "channel_looked", "gateway_asked", "minted"),
)
_GET_BLOCK: Final = "eth_getBlockByNumber"

logger = logging.getLogger(__name__)


class BaseRail:
    """Transfers of allowed tokens from and to the treasury."""

    name = NAME

    def __init__(  # noqa: PLR0913, PLR0917 - what the network is read with
        self,
        rpc: JsonRpc,
        config: BaseConfig,
        open_settlements: OpenSettlements,
        recorded: RecordedSettlements = nothing_recorded,
        channels: Channels = NO_CHANNELS,
        gateway: TransferApi | None = None,
    ) -> None:
        self.network = config.network
        self.description = rpc.node.description
        self._rpc = rpc
        self._config = config
        self._open_settlements = open_settlements
        self._recorded = recorded
        self._channels = channels
        self._gateway = gateway
        self._logs = LogReader(rpc, config.setting("url"))
        self._scanner = Scanner(rpc, config, self._logs)
        self._is_checked = False

    @property
    def calls(self) -> int:
        """Requests made so far."""
        return self._rpc.node.calls + (self._gateway.calls if self._gateway else 0)

    def fetch(self, cursor: Cursor | None) -> FetchResult:
        """Returns the transfers after the cursor and the open settlements that were resolved.

        Raises:
            RailUnavailableError: The node is down, busy, behind or contradicts itself.
            RailRefusedError: The node belongs to another chain, or the chain changed below its
                finality.
        """
        window, anchor = self._window(cursor)
        start = self._start(cursor, window, anchor)
        self._recall_limit(start)
        refused_before = self._logs.refusals
        first = start["next"]
        # Blocks above the final one move no cursor: a portion of them would be read for ever.
        last = first + BLOCKS_PER_FETCH - 1
        last = window.head if last >= window.final_number else last
        is_caught_up = last == window.head
        open_now = self._open_settlements(after=start.get("looked", ""))
        window.reread_to = start.get("reread_to", -1)
        vouchers = VoucherReader(
            self._rpc, self._config, self._channels, window, start.get("channel_looked", "")
        )
        deferred = GatewayReader(self._rpc, self._gateway, self._config, self._channels, window)
        searches = [*vouchers.searches(first, last), *deferred.searches()]
        events = self._scanner.scan(window, first, last, open_now, _waiting_of(start), searches)
        deferred.burns(events)
        asked = start.get("gateway_asked", "")
        channels = vouchers.resolve(
            events, _channels_of(start), self._logs, since_block=start["since"]["block"]
        )
        looked = start.get("looked", "")
        resolver = OpenSettlementResolver(
            self._rpc, self._config, window, observe=self._scanner.observe
        )
        opened: list[OpenSettlement] = []
        if first <= window.reread_to:
            opened = resolver.recheck(self._recorded(first, min(last, window.final_number)))
        if is_caught_up:
            pages = itertools.chain([opened], self._pages(open_now))
            looked, is_caught_up = resolver.resolve(
                pages, self._logs, since_s=start["since"]["time_s"]
            )
            asked = deferred.resolve(asked)
        done = min(last, window.final_number)
        header = self._done_header(start, window, done)
        is_at_final = last == window.head
        minted = window.minted = _minted_after(start, window)
        balances = self._balances(cursor, start, window, header, is_at_final=is_at_final)
        if anchor is not None:
            balances += self._dropped_balances(start, anchor)
        ours = _ours_after(window, self._config, balances, header)
        return FetchResult(
            observations=window.observations,
            cursor={
                **self._next_cursor(start, window, header, looked),
                "ours": ours,
                **({"channels": channels} if channels else {}),
                **({"channel_looked": vouchers.looked} if vouchers.looked else {}),
                **({"gateway_asked": asked} if asked else {}),
                **({"minted": [list(astuple(each)) for each in minted]} if minted else {}),
            },
            is_caught_up=is_caught_up,
            position=done,
            behind=window.head - done,
            rejected=window.rejected,
            findings=window.findings,
            # Blocks whose payments still wait for a receipt are not read yet.
            read_to_ns=None if window.waiting or header is None else header.timestamp * 10**9,
            balances=balances,
            claims=window.claims,
            channels=window.channels,
            notes={**window.notes, "ranges_refused": self._logs.refusals - refused_before},
        )

    def replay(self, rejected: Sequence[Rejected], cursor: Cursor | None) -> Found:
        """Reads the transactions again whose receipts or amounts were rejected.

        Raises:
            RailUnavailableError, RailRefusedError: as `fetch`.
        """
        window, anchor = self._window(cursor)
        self._check_anchor(cursor, anchor)
        transactions = {each.key: _transaction_of(each) for each in rejected}
        wanted = {tx: wanted for tx, wanted in transactions.values() if tx}
        missing = self._scanner.read(window, wanted)
        again = {each.key: each for each in window.rejected}
        for each in rejected:
            tx, _ = transactions[each.key]
            if not tx or tx in missing:
                again.setdefault(each.key, each)
        return Found(observations=window.observations, rejected=list(again.values()))

    def header(self, block: int | str) -> Header:
        """Returns a block's header, without its transactions.

        Raises:
            RailUnavailableError: The node does not have it, or answers nonsense.
        """
        number = hex(block) if isinstance(block, int) else block
        return self._header_of(self._rpc.call(_GET_BLOCK, number, HEADER_ONLY), block)

    def _header_of(self, answer: Any, block: int | str) -> Header:
        if answer is None or isinstance(answer, RpcError):
            raise RailUnavailableError(
                f"{self.description}: it does not have block {block}: the node is behind or does "
                f"not know this tag{_because(answer)}; the next run tries again"
            )
        found: Header = read_answer(
            Header, answer, method=_GET_BLOCK, node=self.description, server=SERVER
        )
        return found

    def _quantity(self, answer: Any, method: str) -> int:
        if isinstance(answer, RpcError):
            raise answer
        try:
            return quantity(answer)
        except ValueError as error:
            raise nonsense(self.description, f"{method}: {error}", SERVER) from error

    def _window(self, cursor: Cursor | None) -> tuple[Window, Header | None]:
        """Returns the window, and the block that the cursor was saved at; all in one request."""
        # The final block first: a block that is final now is so for every later answer.
        calls: list[tuple[str, Sequence[Any]]] = [
            (_GET_BLOCK, [self._config.finality, HEADER_ONLY]),
            ("eth_blockNumber", []),
        ]
        anchor = (cursor or {}).get("anchor")
        if anchor:
            calls.append((_GET_BLOCK, [hex(anchor["number"]), HEADER_ONLY]))
        if not self._is_checked:
            calls.append(("eth_chainId", []))
        answers = self._rpc.many(calls)
        if not self._is_checked:
            self._check_chain(self._quantity(answers.pop(), "eth_chainId"))
        final = self._header_of(answers[0], self._config.finality)
        head = self._quantity(answers[1], "eth_blockNumber")
        if head < final.number:
            raise RailUnavailableError(
                f"{self.description}: its newest block {head} is older than its "
                f"{self._config.finality} block {final.number}: several nodes "
                "answer under this address; the next run tries again"
            )
        if anchor and anchor["number"] > final.number:
            raise RailUnavailableError(
                f"{self.description}: its {self._config.finality} block is "
                f"{final.number} and was {anchor['number']} before: the node is behind; the "
                "next run tries again"
            )
        at = self._header_of(answers[2], anchor["number"]) if anchor else None
        return Window(final=final, head=head, ours=self._ours(cursor or {})), at

    def _check_chain(self, answered: int) -> None:
        if str(answered) != self._config.network.removeprefix("eip155:"):
            raise RailRefusedError(
                f"{self.description}: it serves chain {answered}, and "
                f"{self._config.setting('network')} is {self._config.network}: give "
                f"{self._config.setting('url')} a node of that chain"
            )
        self._is_checked = True

    def _start(
        self, cursor: Cursor | None, window: Window, anchor: Header | None
    ) -> dict[str, Any]:
        """Returns the cursor to continue from, checked against the node."""
        if cursor is None or "since" not in cursor:
            first = cursor["next"] if cursor else self._config.start_block
            number = window.final_number if first is None else min(first, window.head)
            header = self.header(number)
            return {
                **(cursor or {}),
                "v": CURSOR_VERSION,
                "next": number,
                "since": {"block": number, "time_s": header.timestamp},
            }
        self._check_anchor(cursor, anchor)
        wanted = self._config.start_block
        if wanted is not None and wanted < cursor["since"]["block"]:
            logger.warning(
                "%s: %s is %d, and reading began at block %d: it decides only the first run; "
                "`masques rails rewind %s %d` reads from there",
                *(self._config.name, self._config.setting("start"), wanted),
                *(cursor["since"]["block"], self._config.name, wanted),
            )
        return dict(cursor)

    def _check_anchor(self, cursor: Cursor | None, anchor: Header | None) -> None:
        if cursor and anchor and anchor.hash != cursor["anchor"]["hash"]:
            raise RailRefusedError(
                f"{self.description}: block {anchor.number} was {cursor['anchor']['hash']} when it "
                f"was {self._config.finality} and is another now: this is another chain, or a "
                "reorganisation below the finality; see docs/rails.md, 'When a chain contradicts "
                "itself'"
            )

    def _recall_limit(self, start: Mapping[str, Any]) -> None:
        """Starts with the limit that this provider made known in an earlier run."""
        known = start.get("limit", {})
        if known.get("endpoint") == self.description:
            self._logs.ceiling = min(self._logs.ceiling, max(1, int(known["blocks"])))
            self._logs.size = min(self._logs.size, self._logs.ceiling)

    def _done_header(self, start: Mapping[str, Any], window: Window, done: int) -> Header | None:
        """Returns the newest final block that was read, None when there is none yet."""
        if done < start["next"] and done != window.final_number:
            return None
        return window.final if done == window.final_number else self.header(done)

    def _next_cursor(
        self, start: Mapping[str, Any], window: Window, header: Header | None, looked: str
    ) -> Cursor:
        kept = {k: v for k, v in start.items() if k not in _OF_ONE_FETCH}
        if looked:
            kept["looked"] = looked
        if window.waiting:
            kept["waiting"] = {tx: [w.number, w.tries] for tx, w in window.waiting.items()}
        if self._logs.learned is not None:
            kept["limit"] = {"endpoint": self.description, "blocks": self._logs.learned}
        if header is None or header.number < start["next"]:
            return kept
        if kept.get("reread_to", -1) <= header.number:
            kept.pop("reread_to", None)
        anchor = {"number": header.number, "hash": header.hash}
        return {**kept, "next": header.number + 1, "anchor": anchor}

    def _balances(
        self,
        cursor: Cursor | None,
        start: Mapping[str, Any],
        window: Window,
        header: Header | None,
        *,
        is_at_final: bool,
    ) -> list[BalanceReading]:
        """Returns what the treasury has, before the first block and at the newest final one."""
        readings: list[BalanceReading] = []
        if "since" not in (cursor or {}):
            before = max(0, start["next"] - 1)
            opening = window.final if before == window.final_number else self.header(before)
            readings += [
                each
                for each in read_balances(self._rpc, self._config, opening)
                if each.balance is not None
            ]
        # With a payment that waits for its receipt the sums cannot agree yet.
        if is_at_final and header is not None and not window.waiting:
            left: dict[tuple[str, str], int] = {}
            for each in window.minted:
                key = each.token, each.depositor
                left[key] = left.get(key, 0) + each.units
            readings += read_balances(self._rpc, self._config, header, left)
        return readings

    def _ours(self, cursor: Cursor) -> dict[str, int]:
        """Returns the addresses that are known, and the blocks after which they are ours.

        In the first fetch, and with a cursor of before, all of them are from the beginning.
        """
        known = cursor.get("ours")
        if known is None:
            return dict.fromkeys(sorted(self._config.treasury), -1)
        return {each: since for each, since in known.items() if each in self._config.treasury}

    def _dropped_balances(self, start: Mapping[str, Any], anchor: Header) -> list[BalanceReading]:
        """Returns what addresses had when they were dropped: at the last block that was read."""
        dropped = frozenset(start.get("ours") or {}) - self._config.treasury
        if not dropped:
            return []
        of_before = replace(self._config, treasury=dropped)
        return [
            each for each in read_balances(self._rpc, of_before, anchor) if each.balance is not None
        ]

    def _pages(self, first: Sequence[OpenSettlement]) -> Iterator[Sequence[OpenSettlement]]:
        """Yields all open settlements once, page by page around the circle."""
        known: set[uuid.UUID] = set()
        page = first
        while True:
            fresh = [each for each in page if each.settlement_id not in known]
            known.update(each.settlement_id for each in fresh)
            if fresh:
                yield fresh
            if len(fresh) < len(page) or not page or len(page) < OPEN_MAX:
                return
            page = self._open_settlements(after=str(page[-1].settlement_id))


def _ours_after(
    window: Window,
    config: BaseConfig,
    balances: Sequence[BalanceReading],
    header: Header | None,
) -> dict[str, int]:
    """Returns the addresses that are ours, with the new ones once the balances of all are read."""
    at_end = [each for each in balances if header is not None and each.block == header.number]
    read = {each.address for each in at_end}
    if not config.treasury <= read or any(each.balance is None for each in at_end):
        return dict(window.ours)
    return {each: window.ours.get(each, window.final_number) for each in sorted(config.treasury)}


def _minted_after(start: Mapping[str, Any], window: Window) -> list[Mint]:
    """Returns the withdrawals from Circle Gateway whose balance is not burned yet."""
    known = {mint.spec: mint for mint in (Mint(*each) for each in start.get("minted", ()))}
    known |= {each.spec: each for each in window.minted}
    return [each for spec, each in sorted(known.items()) if spec not in window.burned]


def _channels_of(cursor: Mapping[str, Any]) -> dict[str, int]:
    """Returns the channels to decide; cursors of before named them only."""
    kept = cursor.get("channels", {})
    return dict(kept) if isinstance(kept, dict) else dict.fromkeys(kept, 0)


def _waiting_of(cursor: Mapping[str, Any]) -> dict[str, Wanted]:
    waiting = cursor.get("waiting", {})
    return {tx: Wanted(number, tries=tries) for tx, (number, tries) in waiting.items()}


def _transaction_of(rejected: Rejected) -> tuple[str, Wanted]:
    """Returns the transaction that was rejected, '' for none, and its block where that is known."""
    found = _TRANSACTION.search(rejected.source)
    try:
        number = json.loads(rejected.raw).get("blockNumber")
    except (ValueError, AttributeError):
        number = None
    return (found[0] if found else ""), Wanted(number if isinstance(number, int) else None)


def _because(answer: Any) -> str:
    return f" (code {answer.code})" if isinstance(answer, RpcError) else ""


@contextlib.contextmanager
def _open(context: RailContext) -> Iterator[BaseRail]:
    configured = context.configured
    config = BaseConfig(
        network=configured.network,
        treasury=frozenset(address.lower() for address in configured.treasury),
        assets=_tokens(configured),
        finality=configured.finality,
        start_block=configured.start,
        reads_gateway=configured.gateway is not None,
        name=configured.name,
        setting=configured.place,
    )
    headers = bearer_headers(configured.credential_file, configured.place("credential_file"))
    with contextlib.ExitStack() as opened:
        node = opened.enter_context(open_endpoint(configured, headers=headers))
        gateway = None
        if configured.gateway is not None:
            # Its transfers are public: no credential belongs to it.
            gateway = TransferApi(open_node(configured.gateway))
            opened.enter_context(contextlib.closing(gateway))
        yield BaseRail(
            JsonRpc(node),
            config,
            context.open_settlements,
            context.recorded,
            context.channels,
            gateway,
        )


def _rewind(cursor: Cursor, position: int) -> Cursor:
    # What is recorded up to here is compared with the chain when it is read again.
    reread_to = max(int(cursor["next"]) - 1, int(cursor.get("reread_to", -1)))
    earlier = {**cursor, "next": position, "reread_to": reread_to}
    earlier.pop("anchor", None)  # a block that may be the wrong one is why people rewind
    if "since" in cursor and position < cursor["since"]["block"]:
        earlier.pop("since")  # the rail asks the node for the time of its new start
    return earlier


def _check(configured: RailSettings) -> None:
    for address in configured.treasury:
        if not is_address(address):
            raise SettingError(
                f"{configured.place('treasury')}: {address!r} is not an address of 20 bytes: give "
                "0x and 40 hex digits"
            )
    _tokens(configured)


def _assets(configured: RailSettings) -> Mapping[tuple[str, str], Asset]:
    return {(configured.network, each.address): each for each in _tokens(configured)}


def _tokens(configured: RailSettings) -> tuple[Asset, ...]:
    return parse_assets(
        configured.assets,
        configured.place("assets"),
        is_address=is_address,
        normalize=str.lower,
    )


DESCRIPTOR: Final = RailDescriptor(
    name=NAME,
    unit="block",
    open=_open,
    network=lambda configured: configured.network,
    position=lambda cursor: int(cursor["next"]),
    rewind=_rewind,
    check=_check,
    assets=_assets,
    # An EVM address has no case of its own; mixed case is only a checksum.
    normalize_payer=str.lower,
)
