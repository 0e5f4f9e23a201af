"""Asks an LND node: its identity, pages of invoices, payments and forwards, and its balances."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar

from masques_pipelines.money import whole_units
from masques_pipelines.rails.answers import ShapeError, item_of, nonsense, read_answer
from masques_pipelines.rails.lightning import messages
from masques_pipelines.rails.lightning.messages import Info, Invoice, Payment
from masques_pipelines.rails.lightning.records import MSAT_DECIMALS
from masques_pipelines.rails.node import HttpNode
from masques_pipelines.rails.protocol import (
    BalanceReading,
    RailRefusedError,
    RailUnavailableError,
)

# Items of one page; LND answers up to what is asked for.
PAGE: Final = 1_000
# LND answers a bad macaroon with HTTP 500 and one of these words.
_REFUSALS: Final = ("macaroon", "permission denied", "verification")
# Labels that LND gives to transactions of its channels; what a closed one costs it does not say.
_OPENED: Final = re.compile(r"^\d+:openchannel\b")
_CLOSED: Final = re.compile(r"^\d+:(closechannel|sweep|justicetx)\b")
_MSAT_PER_SAT: Final = 1_000
Item = TypeVar("Item", Invoice, Payment)


@dataclass
class Funds:
    """What the node has, in millisatoshi, and what moved beside payments since its beginning.

    Attributes:
        held: Money that is there, by line.
        flowed: What moved, by line; negative when it left.
        closed: Channels closed so far: what their closing cost is not told, so a new one begins
            a new opening balance.
        problem: Why the balance is not known exactly; empty when it is.
    """

    held: dict[str, int] = field(default_factory=dict)
    flowed: dict[str, int] = field(default_factory=dict)
    closed: int = 0
    problem: str = ""

    def readings(self, pubkey: str, read_at_ns: int, problem: str) -> list[BalanceReading]:
        """Returns the lines of one reading; none is known when one is not."""
        why = self.problem or problem
        lines = [(name, msat, False) for name, msat in self.held.items()]
        lines += [(name, msat, True) for name, msat in self.flowed.items()]
        # Other lines than before are another opening balance.
        lines.append((f"after_{self.closed}_closed_channels", 0, False))
        return [
            BalanceReading(
                asset="",
                address=pubkey,
                currency="BTC",
                balance=None if why else whole_units(msat, MSAT_DECIMALS),
                block=0,
                read_at_ns=read_at_ns,
                finality="settled",
                line=name,
                is_flow=is_flow,
                problem=why,
            )
            for name, msat, is_flow in lines
        ]


@dataclass
class Page(Generic[Item]):
    """A page of a list.

    Attributes:
        items: Its items, or why one cannot be read.
        last: Index that the next page comes after.
    """

    items: list[Item | ShapeError]
    last: int

    @property
    def readable(self) -> list[Item]:
        """The items that can be read."""
        return [each for each in self.items if not isinstance(each, ShapeError)]


class LndNode:
    """One LND node behind its REST interface."""

    def __init__(self, node: HttpNode, setting: str) -> None:
        """Makes the reader; `setting` is where a person names the macaroon's file."""
        self._setting = setting
        self.description = node.description
        self._node = node

    @property
    def calls(self) -> int:
        """Requests made so far."""
        return self._node.calls

    @property
    def answered_at_s(self) -> int | None:
        """Time of the newest answer by the node's own clock, None when it does not say."""
        return self._node.answered_at_s

    def info(self) -> Info:
        """Returns what the node says of itself."""
        found: Info = self._one(Info, "/v1/getinfo")
        return found

    def invoices(
        self, after: int, *, is_pending: bool = False, limit: int | None = None
    ) -> "Page[Invoice]":
        """Returns a page of invoices after an index, in the order in which they were added."""
        parameters: dict[str, Any] = {
            "index_offset": after,
            "num_max_invoices": limit or PAGE,
            "reversed": "false",
        }
        if is_pending:
            parameters["pending_only"] = "true"
        return self._page(Invoice, "/v1/invoices", parameters, after)

    def invoice(self, payment_hash: str) -> Invoice | ShapeError | None:
        """Returns one invoice, None when the node does not have it."""
        status, answer = self._node.json("GET", f"/v1/invoice/{payment_hash}")
        if status == 200 and isinstance(answer, dict) and answer.get("r_hash"):
            found: Invoice | ShapeError = item_of(Invoice, answer)
            return found
        if status in (200, 404):
            return None
        return ShapeError(f"HTTP {status}")  # its own problem: the node answers the lists

    def payments(self, after: int, limit: int) -> "Page[Payment]":
        """Returns a page of outgoing payments after an index, in their order."""
        parameters = {
            "include_incomplete": "true",
            "index_offset": after,
            "max_payments": limit,
            "reversed": "false",
        }
        return self._page(Payment, "/v1/payments", parameters, after)

    def forwards(self, after: int) -> tuple[int, int, int]:
        """Returns of a page of forwards: how many, the fees in millisatoshi, the next index."""
        body = {"start_time": "1", "index_offset": after, "num_max_events": PAGE}
        answer = self._ask("POST", "/v1/switch", body=body)
        page = self._checked(messages.Forwards, answer, "switch")
        events = page.forwarding_events or []
        return (
            len(events),
            sum(each.fee_msat for each in events),
            max(after, page.last_offset_index),
        )

    def funds(self) -> Funds:
        """Returns what is in the channels and in the wallet, and what moved on the chain."""
        try:
            return self._funds()
        except (RailRefusedError, RailUnavailableError) as error:
            # The macaroon may not read the wallet, or the answer is nonsense; payments are read.
            return Funds(problem=str(error))

    def _funds(self) -> Funds:
        balance = self._one(messages.ChannelBalance, "/v1/balance/channels")
        wallet = self._one(messages.WalletBalance, "/v1/balance/blockchain")
        channels = self._one(messages.Channels, "/v1/channels").channels or []
        pending = self._one(messages.PendingChannels, "/v1/channels/pending")
        closed = self._one(messages.ClosedChannels, "/v1/channels/closed").channels or []
        chain = self._one(messages.OnChains, "/v1/transactions").transactions or []
        reserve = min(wallet.reserved_balance_anchor_chan, wallet.total_balance)
        opened = [each for each in chain if _OPENED.match(each.label)]
        outside = [
            each
            for each in chain
            if not _OPENED.match(each.label) and not _CLOSED.match(each.label)
        ]
        local = balance.local_balance.msat
        funded = [each for each in channels if each.initiator]
        problem = ""
        if funded and local % _MSAT_PER_SAT:
            problem = "LND rounds the commit fee of channels with parts of a satoshi"
        return Funds(
            held={
                "channels": local,
                "channels_unsettled": balance.unsettled_local_balance.msat,
                "channels_opening": balance.pending_open_local_balance.msat,
                "channels_closing": pending.total_limbo_balance * _MSAT_PER_SAT,
                "commit_fee": sum(each.commit_fee for each in funded) * _MSAT_PER_SAT,
                "wallet": (wallet.total_balance - reserve) * _MSAT_PER_SAT,
                "reserve": reserve * _MSAT_PER_SAT,
            },
            flowed={
                "on_chain": sum(each.amount for each in outside) * _MSAT_PER_SAT,
                "channel_fees": -sum(each.total_fees for each in opened) * _MSAT_PER_SAT,
            },
            closed=len(closed),
            problem=problem,
        )

    def _one(self, kind: Any, path: str) -> Any:
        return self._checked(kind, self._get(path), path.removeprefix("/v1/"))

    def _page(
        self, kind: type[Item], path: str, parameters: Mapping[str, Any], after: int
    ) -> "Page[Item]":
        """Returns a page whose items come one after the other, up to the index that LND says."""
        name = path.removeprefix("/v1/")
        answer = self._get(path, **parameters)
        found = messages.items_of(answer, name, method=name, node=self.description)
        items: list[Item | ShapeError] = [_indexed(kind, each) for each in found]
        page = Page(items, after)
        said = self._checked(messages.Offset, answer, name) if found else messages.Offset()
        indices: list[int] = [each.index for each in page.readable]
        is_last_read = bool(found) and not isinstance(page.items[-1], ShapeError)
        is_sound = indices == sorted(set(indices)) and min(indices, default=after + 1) > after
        if not is_sound or (is_last_read and said.last_index_offset not in (0, indices[-1])):
            problem = f"{name}: its indices are not one after the other from {after} on"
            raise nonsense(self.description, problem, messages.SERVER)
        page.last = max([after, said.last_index_offset, *indices])
        return page

    def _checked(self, kind: Any, answer: Any, method: str) -> Any:
        return read_answer(
            kind, answer, method=method, node=self.description, server=messages.SERVER
        )

    def _get(self, path: str, **parameters: Any) -> Any:
        return self._ask("GET", path, parameters=parameters or None)

    def _ask(
        self,
        method: str,
        path: str,
        *,
        parameters: Mapping[str, Any] | None = None,
        body: Any = None,
    ) -> Any:
        status, answer = self._node.json(method, path, params=parameters, body=body)
        return self._accepted(path, status, answer)

    def _accepted(self, path: str, status: int, answer: Any) -> Any:
        """Returns an answer that is one; raises what a refusal or a failure means."""
        if status == 200:
            return answer
        message = str(answer.get("message", "")) if isinstance(answer, dict) else ""
        text = f"{self.description}: {path.removeprefix('/v1/')}: HTTP {status}"
        if any(word in message.lower() for word in _REFUSALS):
            raise RailRefusedError(
                f"{text}: it refuses the macaroon: give {self._setting} one that may "
                "read invoices, offchain, onchain and info"
            )
        raise RailUnavailableError(
            f"{text}: the node may be locked or starting; the next run tries again"
        )


def _indexed(kind: type[Item], value: Any) -> Item | ShapeError:
    """Returns an item of a list; one of another shape may say its index."""
    found: Item | ShapeError = item_of(kind, value)
    if isinstance(found, ShapeError) and isinstance(value, dict):
        index = item_of(messages.INDEX, value.get(kind.INDEX))
        found.item = "" if isinstance(index, ShapeError) else str(index)
    return found
