"""Chooses what may be kept of a line that was rejected: by path and type, never by name alone.

Quarantine is read by people, and a line holds API keys, macaroons, preimages and signatures, in
fields where they belong and in fields where they do not. So each value that is kept has a place in
`_LINE` and the exact form that this place demands; everything else is left out. What is kept is a
valid line again (headers are kept as the bodies that they hold), so that it can be replayed.
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from masques_pipelines.rails.journal.messages import EVENTS, PAYOUT_ID
from masques_pipelines.rails.journal.reading import DIGITS_MAX
from masques_pipelines.rails.journal.reasons import known_reason
from masques_pipelines.rails.journal.schemes import known_method, known_network, known_scheme

DROPPED: Final = "[dropped]"
# Field of a kept line: the id of its fact, which is that of the text before anything was left out.
EVENT_ID: Final = "event_id"
_DIGITS: Final = rf"[0-9]{{1,{DIGITS_MAX}}}"
_BASE58: Final = "[1-9A-HJ-NP-Za-km-z]"
_ADDRESS: Final = rf"0x[0-9a-fA-F]{{40}}|{_BASE58}{{32,44}}"
_TRANSACTION: Final = rf"0x[0-9a-fA-F]{{64}}|{_BASE58}{{86,88}}"
_UUID: Final = r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_INTEGER_MAX: Final = 2**63
_LIST_MAX: Final = 1_000

_Kept = Callable[[Any], Any]


def _text(pattern: str) -> _Kept:
    whole = re.compile(pattern)
    return lambda value: value if isinstance(value, str) and whole.fullmatch(value) else DROPPED


def _integer(value: Any) -> Any:
    is_integer = isinstance(value, int) and not isinstance(value, bool)
    return value if is_integer and abs(value) < _INTEGER_MAX else DROPPED


def _number(value: Any) -> Any:
    return value if isinstance(value, float) and abs(value) < _INTEGER_MAX else _integer(value)


def _flag(value: Any) -> Any:
    return value if isinstance(value, bool) or value is None else DROPPED


def _either(*choices: _Kept) -> _Kept:
    def kept(value: Any) -> Any:
        found = (choice(value) for choice in choices)
        return next((each for each in found if each != DROPPED), DROPPED)

    return kept


def _word(known: Callable[[str], str]) -> _Kept:
    def kept(value: Any) -> Any:
        if value is None:
            return None
        return known(value) if isinstance(value, str) else DROPPED

    return kept


def _list_of(item: _Kept) -> _Kept:
    return lambda value: (
        [item(each) for each in value[:_LIST_MAX]] if isinstance(value, list) else DROPPED
    )


def _object(fields: Mapping[str, _Kept]) -> _Kept:
    def kept(value: Any) -> Any:
        if not isinstance(value, dict):
            return None if value is None else DROPPED
        found = {name: keep(value[name]) for name, keep in fields.items() if name in value}
        others = len(value) - len(found)
        return {**found, DROPPED: others} if others else found

    return kept


_HASH: Final = "0x[0-9a-fA-F]{64}"
_UNITS: Final = _either(_text(_DIGITS), _integer)
_LEDGER_ID: Final = _either(_text(_UUID), _UNITS, _flag)
_REQUIREMENTS: Final = _object(
    {
        "scheme": _word(known_scheme),
        "network": _word(known_network),
        "asset": _text(_ADDRESS),
        "amount": _UNITS,
        "maxAmountRequired": _UNITS,
        "payTo": _text(_ADDRESS),
        "maxTimeoutSeconds": _integer,
        "extra": _object({"name": _text("GatewayWalletBatched")}),
    }
)
_SIGNED: Final = _object(
    {
        "type": _text("deposit|voucher|refund|claim|settle"),
        "authorization": _object(
            {
                "from": _text(_ADDRESS),
                "to": _text(_ADDRESS),
                "value": _UNITS,
                "validAfter": _UNITS,
                "validBefore": _UNITS,
                "nonce": _text(_HASH),
            }
        ),
        "permit2Authorization": _object(
            {
                "from": _text(_ADDRESS),
                "deadline": _UNITS,
                "nonce": _UNITS,
                "permitted": _object({"amount": _UNITS}),
            }
        ),
        "channelConfig": _object(
            {
                "payer": _text(_ADDRESS),
                "receiver": _text(_ADDRESS),
                "withdrawDelay": _integer,
            }
        ),
        "voucher": _object({"channelId": _text(_HASH), "maxClaimableAmount": _UNITS}),
    }
)
_MPP: Final = _object(
    {
        "receipt": _object(
            {
                "method": _word(known_method),
                "reference": _text(_TRANSACTION),
                "status": _text("success"),
                "challengeId": _text("[A-Za-z0-9_-]{1,128}"),
                "chainId": _integer,
            }
        ),
        "charge": _object(
            {
                "amount": _UNITS,
                "currency": _text(f"{_ADDRESS}|[A-Za-z]{{3,8}}"),
                "recipient": _text(_ADDRESS),
                "methodDetails": _object(
                    {
                        "chainId": _integer,
                        "network": _text("mainnet-beta|devnet|mainnet|testnet"),
                        "tokenProgram": _text(_ADDRESS),
                        "splits": _list_of(_object({"amount": _UNITS})),
                    }
                ),
            }
        ),
        "source": _text("did:pkh:eip155:[0-9]{1,19}:0x[0-9a-fA-F]{40}"),
        "intent": _text("charge|session|subscription|authorize"),
        "is_credential": _flag,
    }
)
_LINE: Final = _object(
    {
        "recorded_at": _either(_number, _text(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[0-9T:.Z+ -]{0,30}")),
        "event": _text("|".join(EVENTS)),
        "protocol": _text("(?i)x402|l402|lsat|mpp"),
        "mpp": _MPP,
        "http_status": _integer,
        "latency_ms": _number,
        "payload_sha256": _text("[0-9a-f]{64}"),
        EVENT_ID: _text(_UUID),
        "transaction_id": _LEDGER_ID,
        "transaction_ids": _list_of(_LEDGER_ID),
        "amount_msat": _UNITS,
        "network": _word(known_network),
        "asset": _text(_ADDRESS),
        "amount": _UNITS,
        "to": _text(_ADDRESS),
        "transaction": _text(_TRANSACTION),
        "tx_hash": _text(_TRANSACTION),
        "payout_id": _text(PAYOUT_ID),
        "request": _object(
            {
                "x402Version": _integer,
                "paymentPayload": _object(
                    {
                        "x402Version": _integer,
                        "scheme": _word(known_scheme),
                        "network": _word(known_network),
                        "accepted": _REQUIREMENTS,
                        "payload": _SIGNED,
                    }
                ),
                "paymentRequirements": _REQUIREMENTS,
            }
        ),
        "response": _object(
            {
                "success": _flag,
                "isValid": _flag,
                "errorReason": _word(known_reason),
                "invalidReason": _word(known_reason),
                "transaction": _text(f"({_TRANSACTION})?"),
                "payer": _text(_ADDRESS),
                "amount": _UNITS,
                "network": _word(known_network),
                "extra": _object(
                    {
                        "chargedAmount": _UNITS,
                        "channelState": _object(
                            {"channelId": _text(_HASH), "chargedCumulativeAmount": _UNITS}
                        ),
                    }
                ),
            }
        ),
    }
)


def kept_of(record: Any) -> str:
    """Returns what may be kept of a line, as JSON; headers should be decoded into bodies before."""
    if not isinstance(record, dict):
        return "[not an object]"
    return json.dumps(_LINE(record), sort_keys=True, ensure_ascii=False)
