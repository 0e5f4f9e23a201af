"""Reads what the treasury has at one block: what the contracts say, to compare with our rows."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from masques_pipelines.money import is_representable, whole_units
from masques_pipelines.rails.answers import ShapeError, item_or_none
from masques_pipelines.rails.base.escrow import claimed_call, pair
from masques_pipelines.rails.base.gateway_contracts import Contracts, balance_call
from masques_pipelines.rails.base.messages import Header, word
from masques_pipelines.rails.base.transfers import BALANCE_OF, address_topic
from masques_pipelines.rails.base.window import BaseConfig
from masques_pipelines.rails.node import JsonRpc, RpcError
from masques_pipelines.rails.protocol import Asset, BalanceReading, RailUnavailableError

_CALL: Final = "eth_call"
# What a call answers where no contract is.
NO_CONTRACT: Final = "0x"
_GET_BLOCK: Final = "eth_getBlockByNumber"


# Units that were withdrawn from Circle Gateway and are still in its balance, by token and address.
Minted = Mapping[tuple[str, str], int]


def read_balances(
    rpc: JsonRpc, config: BaseConfig, header: Header, minted: Minted | None = None
) -> list[BalanceReading]:
    """Returns readings of each token of each treasury address at a block.

    Where the chain has the escrow of payment channels, what it owes the address is one of them; and
    where payments by Circle Gateway are followed, what its wallet contract holds for the address,
    less what was withdrawn already.

    A node that has another block under that number, or no longer has its state, gives readings
    without a balance and the reason.

    Raises:
        RailUnavailableError: The same block has another number or time than before.
    """
    pairs = [(asset, address) for asset in config.assets for address in sorted(config.treasury)]
    number = hex(header.number)
    by_claim = [claimed_call(address, asset.address, number) for asset, address in pairs]
    contracts = Contracts(config.network)
    in_gateway = [
        balance_call(contracts, asset.address, address, number)
        for asset, address in (pairs if config.reads_gateway else ())
    ]
    answers = rpc.many(
        [
            (_GET_BLOCK, [number, False]),
            *(
                (_CALL, [{"to": a.address, "data": BALANCE_OF + address_topic(t)[2:]}, number])
                for a, t in pairs
            ),
            *by_claim,
            *in_gateway,
        ]
    )
    at = item_or_none(Header, answers[0])
    if at is not None and at.hash == header.hash and at != header:
        raise RailUnavailableError(
            f"{rpc.node.description}: it answers two headers of block {header.number}: several "
            "nodes answer under this address; the next run tries again"
        )
    is_same = at is not None and at.hash == header.hash
    held, to_sweep = answers[1 : 1 + len(pairs)], answers[1 + len(pairs) : 1 + 2 * len(pairs)]
    readings = []
    for (asset, address), balance, claims in zip(pairs, held, to_sweep, strict=True):
        readings.append(_reading(asset, address, config, header, balance if is_same else None))
        if claims != NO_CONTRACT:
            readings.append(_claimed(asset, address, config, header, claims if is_same else None))
    for (asset, address), answer in zip(pairs, answers[1 + 2 * len(pairs) :], strict=False):
        left = (minted or {}).get((asset.address, address), 0)
        said = answer if is_same else None
        readings.append(_in_gateway(_reading(asset, address, config, header, said), asset, left))
    return readings


def _in_gateway(reading: BalanceReading, asset: Asset, minted: int) -> BalanceReading:
    """Returns what the wallet contract holds, less what was withdrawn and is not burned yet."""
    left = whole_units(minted, asset.decimals)
    balance = None if reading.balance is None else reading.balance - left
    return replace(reading, balance=balance, line="gateway")


def _claimed(
    asset: Asset, address: str, config: BaseConfig, header: Header, answer: object
) -> BalanceReading:
    """Returns what was claimed of payment channels and is not swept yet: only we can have it."""
    difference: object = answer
    if not isinstance(answer, RpcError):
        try:
            total, swept = pair(answer, "receivers")
            difference = f"0x{total - swept:064x}" if total >= swept else None
        except ShapeError:
            difference = None
    return replace(_reading(asset, address, config, header, difference), line="claimed")


def _reading(
    asset: Asset, address: str, config: BaseConfig, header: Header, answer: object
) -> BalanceReading:
    problem, balance = "", None
    if isinstance(answer, RpcError):
        problem = f"the node has no state of block {header.number} (code {answer.code})"
    else:
        try:
            balance = whole_units(word(answer, "balanceOf"), asset.decimals)
        except ShapeError:
            problem = f"the node answered no balance at block {header.number}"
    if balance is not None and not is_representable(balance):
        problem, balance = "the balance is larger than the column holds", None
    return BalanceReading(
        asset=asset.address,
        address=address,
        currency=asset.symbol,
        balance=balance,
        block=header.number,
        read_at_ns=header.timestamp * 10**9,
        finality=config.finality,
        block_hash=header.hash,
        problem=problem,
    )
