"""Payments by voucher as lines of the journal announce them, and chains that claim them."""

import uuid
from decimal import Decimal

from masques_pipelines.rails.protocol import (
    ANSWER,
    CHANNEL,
    CHARGED_TOTAL,
    FACILITATOR_SAID,
    JOURNAL_AT,
    WITHDRAW_DELAY,
    Observation,
)
from masques_pipelines.rails.settlement_ids import voucher
from tests.support.anvil import TREASURY, USDC
from tests.support.plain_evm import PlainEvm, claims, deposits, digest

NETWORK = "eip155:8453"
CHANNEL_A = digest("channel a")
DELAY_S = 900
VOUCHERS_PER_CHANNEL = 100
UNITS = 10


def line(total: int, units: int, channel: str = CHANNEL_A, block: int = 5) -> Observation:
    """A voucher as the journal announces it: what its channel has paid after it."""
    at_s = PlainEvm().time_s(block)
    return Observation(
        settlement_id=voucher(NETWORK, channel, total),
        source="intent",
        rail="base",
        network=NETWORK,
        direction="in",
        status="off_chain",
        amount=Decimal(units).scaleb(-6),
        currency="USDC",
        timestamp_ns=at_s * 10**9,
        asset=USDC,
        to_address=TREASURY,
        payer="0x" + "b" * 40,
        payment_ref=channel,
        protocol="x402",
        transaction_ids=(uuid.UUID(int=total),),
        attributes={
            ANSWER: "success",
            FACILITATOR_SAID: "success",
            JOURNAL_AT: f"{at_s}#2",
            CHANNEL: channel,
            CHARGED_TOTAL: str(total),
            WITHDRAW_DELAY: str(DELAY_S),
        },
    )


def busy_channels(vouchers: int) -> tuple[PlainEvm, list[Observation]]:
    """Returns a chain that claims channels of a hundred vouchers each, and their lines."""
    chain = PlainEvm()
    lines: list[Observation] = []
    whole = VOUCHERS_PER_CHANNEL * UNITS
    for number in range(-(-vouchers // VOUCHERS_PER_CHANNEL)):
        channel, block = digest(f"channel {number}"), 10 + 2 * number
        chain.land(block, deposits(channel, 2 * whole, 2 * whole))
        chain.land(block + 1, claims(channel, whole, whole))
        lines += [
            line((place + 1) * UNITS, UNITS, channel, block)
            for place in range(VOUCHERS_PER_CHANNEL)
        ]
    chain.head = 10 + vouchers // VOUCHERS_PER_CHANNEL * 2 + 40
    chain.final = chain.head - 10
    return chain, lines
