"""Lines of the Machine Payments Protocol: what is followed, what is kept, and what is refused."""

import json
import uuid
from decimal import Decimal
from typing import Any

import pytest

from masques_pipelines.rails import settlement_ids
from masques_pipelines.rails.journal.lines import Reading, read_line
from masques_pipelines.rails.protocol import AssetAllowList
from masques_pipelines.rails.solana.addresses import associated_token_account
from tests.campaigns.journal_lines import (
    AT_S,
    BASE,
    CANARY_HEX,
    HASH,
    KNOWN,
    LIGHTNING,
    MINT,
    MPP_TERMS,
    PREIMAGE,
    SOLANA,
    TRANSFER,
    TREASURY,
    USDC,
    WALLET,
    encoded,
    mpp,
)
from tests.support.bolt11 import challenge


def read(line: dict[str, Any]) -> Reading:
    return read_line(json.dumps({"recorded_at": AT_S, **line}), KNOWN)


def without_credential(line: dict[str, Any]) -> dict[str, Any]:
    kept = {k: v for k, v in line["headers"].items() if k != "Authorization"}
    return {**line, "headers": kept}


def receipt_of(**said: Any) -> dict[str, Any]:
    return {"headers": {"payment-receipt": encoded({"status": "success", **said})}}


@pytest.mark.parametrize("name", ["authorization", "AUTHORIZATION", "Authorization"])
@pytest.mark.parametrize(
    ("method", "expected", "identity"),
    [
        (
            "evm", ("base", BASE, Decimal("0.02"), "USDC", USDC, TREASURY),
            settlement_ids.mpp_charge(BASE, MPP_TERMS["evm"][2], "kM9xPqWvT2nJrHsY4aDfEb"),
        ),
        (
            "solana", ("solana", SOLANA, Decimal("0.000021"), "USDC", MINT, WALLET),
            settlement_ids.solana_transfer(
                SOLANA, MPP_TERMS["solana"][2], associated_token_account(WALLET, MINT)
            ),
        ),
        (
            "lightning", ("lightning", LIGHTNING, Decimal("0.00000021"), "BTC", "", ""),
            settlement_ids.lightning_payment(HASH),
        ),
    ],
)  # fmt: skip
def test_a_payment_on_a_rail_of_ours_is_announced(
    name: str, method: str, expected: tuple[Any, ...], identity: uuid.UUID
) -> None:
    line = mpp(method)
    line["headers"][name] = line["headers"].pop("Authorization")
    found = read(line).observation
    assert found is not None
    facts = (found.rail, found.network, found.amount, found.currency, found.asset, found.to_address)
    assert facts == expected
    assert (found.settlement_id, found.status, found.protocol) == (identity, "pending", "mpp")
    assert (found.tx_hash, found.attributes["method"]) == (MPP_TERMS[method][2], method)
    assert found.transaction_ids == (uuid.UUID(TRANSFER),)
    assert PREIMAGE not in str(found)


@pytest.mark.parametrize(
    ("line", "attributes"),
    [
        (mpp("tempo"), {"method": "tempo", "reference": MPP_TERMS["tempo"][2],
                        "asked": f"21 {MPP_TERMS['tempo'][0]}"}),
        (receipt_of(method="stripe", reference="pi_3OxAbCdEfGh12345"),
         {"method": "stripe", "reference": "pi_3OxAbCdEfGh12345"}),
        (receipt_of(method="sk_live_0123456789", reference="sk_live_0123456789"),
         {"method": "other", "reference": "[18 characters]"}),
        (receipt_of(method="lightning", reference=PREIMAGE),
         {"method": "lightning", "reference": "[64 characters]"}),
        (without_credential(mpp("evm")), {"method": "evm", "reference": MPP_TERMS["evm"][2]}),
        (mpp("evm", chainId=137), {"method": "evm", "reference": MPP_TERMS["evm"][2],
                                   "asked": f"20500 {USDC}"}),
    ],
    ids=["tempo", "stripe", "no method", "preimage", "no credential", "another network"],
)  # fmt: skip
def test_what_no_rail_reads_is_kept(line: dict[str, Any], attributes: dict[str, str]) -> None:
    found = read(line).observation
    assert found is not None
    assert (found.rail, found.status) == ("other", "not_followed")
    assert found.amount == 0
    assert (found.protocol, found.tx_hash) == ("mpp", "")
    said = {k: v for k, v in found.attributes.items() if k in ("method", "reference", "asked")}
    assert said == attributes


@pytest.mark.parametrize(
    ("line", "kind", "outcome", "rule"),
    [
        ({"headers": {"www-authenticate": 'Payment id="a", method="tempo", request="e30"'}},
         "challenge", "asked", "challenge"),
        ({"headers": {"www-authenticate": ['Basic realm="x"', 'Payment id="a"']}},
         "challenge", "asked", "challenge"),
        ({"headers": {"authorization": f"Payment {encoded({})}"}, "http_status": 402},
         "challenge", "asked", "challenge"),
        ({"headers": {"authorization": f"Payment {encoded({'challenge': {}})}"},
          "http_status": 402}, "settle", "refused", "names_no_payment"),
        ({"headers": {"authorization": f"Payment {encoded({'challenge': {}})}"}},
         "settle", "unanswered", "names_no_payment"),
    ],
)  # fmt: skip
def test_a_line_without_a_receipt_is_a_fact_only(
    line: dict[str, Any], kind: str, outcome: str, rule: str
) -> None:
    found = read(line)
    assert found.event is not None
    said = (found.event.protocol, found.event.kind, found.event.outcome, found.rule)
    assert (found.observation, *said) == (None, "mpp", kind, outcome, rule)


def test_a_receipt_comes_before_a_challenge_of_another_protocol() -> None:
    both = mpp("evm")
    both["headers"]["WWW-Authenticate"] = challenge(HASH, 21_000, AT_S)["headers"][
        "WWW-Authenticate"
    ]
    found = read(both).observation
    assert found is not None
    assert (found.rail, found.protocol) == ("base", "mpp")


@pytest.mark.parametrize("method", ["evm", "solana"])
def test_a_token_that_is_not_known_waits_in_quarantine(method: str) -> None:
    line = {"recorded_at": AT_S, **mpp(method)}
    nothing = AssetAllowList({}, KNOWN.networks)
    rejected = read_line(json.dumps(line), nothing)
    assert rejected.reason == "unknown:asset"
    assert CANARY_HEX not in rejected.kept
    whole = read_line(json.dumps(line), KNOWN).observation
    assert whole is not None
    assert read_line(rejected.kept, KNOWN, is_kept=True).observation == whole


def test_a_receipt_that_is_no_receipt_is_rejected() -> None:
    line = {"headers": {"payment-receipt": "not base64 of an object"}}
    assert read(line).reason == "bad_header:payment-receipt"
