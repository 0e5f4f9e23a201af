"""Lines that clients and broken gates write: none raises, none is lost, no secret stays."""

import base64
import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from masques_pipelines.rails import settlement_ids
from masques_pipelines.rails.journal.lines import Reading, read_line
from masques_pipelines.rails.protocol import AssetAllowList
from tests.campaigns.journal_lines import (
    AT_S,
    BASE,
    CANARIES,
    HASH,
    KNOWN,
    LIGHTNING,
    NASTY,
    PREIMAGE,
    SOLANA,
    TRANSFER,
    TREASURY,
    USDC,
    WALLET,
    Mutator,
    encoded,
    gateway,
    permitted,
    real_lines,
    sample,
    voucher,
)
from tests.support.bolt11 import challenge, invoice, l402_token

MUTATED_LINES = 800
NASTY_STEP = 7


def read(record: dict[str, Any]) -> Reading:
    return read_line(json.dumps({"recorded_at": AT_S, **record}), KNOWN)


def body() -> dict[str, Any]:
    return {"event": "settle", **sample("x402_v2_facilitator_settle_http.json")}


def solana() -> dict[str, Any]:
    return {
        "event": "settle",
        "request": {"paymentPayload": sample("sol_x402_payment_payload.json")},
        "response": sample("sol_x402_settle_response_success.json"),
    }


def ends_in_one_way(found: Reading) -> bool:
    return [found.observation is not None, bool(found.reason), bool(found.rule)].count(True) == 1


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(
        st.sampled_from(
            ["recorded_at", "event", "headers", "request", "response", "paymentPayload", "payload",
             "accepted", "authorization", "www-authenticate", "payment-signature", "network",
             "amount", "transaction_ids", "transaction", "payment_hash", "invoice", "protocol"]
        ) | st.text(max_size=8),
        inner,
        max_size=6,
    ),
    max_leaves=20,
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(json_values)
def test_any_json_ends_in_one_way(value: Any) -> None:
    assert ends_in_one_way(read_line(json.dumps(value), KNOWN))
    if isinstance(value, dict):
        assert ends_in_one_way(read(value))


@settings(max_examples=100, deadline=None)
@given(st.text())
def test_any_text_ends_in_one_way(text: str) -> None:
    assert ends_in_one_way(read_line(text, KNOWN))


def test_mutated_lines_end_in_one_way_and_keep_no_secret() -> None:
    mutator = Mutator(seed=12)
    for _ in range(MUTATED_LINES):
        line = mutator.line()
        found = read_line(line, KNOWN, source="settlement_journal/a@0", line_no=1)
        assert ends_in_one_way(found), line
        stored = f"{found.observation!r} {found.event!r} {found.kept}"
        assert [each for each in CANARIES if each in stored] == [], line
        stored.encode()  # no half of a surrogate pair


@pytest.mark.parametrize("place", range(len(real_lines())))
def test_each_value_of_a_line_may_be_anything(place: int) -> None:
    # All values at all places are 26,000 lines: each place gets a seventh of them.
    for number, path in enumerate(paths(real_lines()[place])):
        for value in NASTY[number % NASTY_STEP :: NASTY_STEP]:
            record = real_lines()[place]
            holder = record
            for key in path[:-1]:
                holder = holder[key]
            holder[path[-1]] = value
            assert ends_in_one_way(read_line(json.dumps(record), KNOWN)), (path, value)


def paths(value: Any, before: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = []
    keys = value.keys() if isinstance(value, dict) else range(len(value))
    for key in keys:
        found.append((*before, key))
        if isinstance(value[key], dict | list):
            found += paths(value[key], (*before, key))
    return found


@pytest.mark.parametrize("brackets", [33, 5_000, 100_000])
def test_a_nested_bomb_is_unreadable_in_a_line_and_in_a_header(brackets: int) -> None:
    line = '{"recorded_at": 1795168800, "x": ' + "[" * brackets + "]" * brackets + "}"
    found = read_line(line, KNOWN)
    assert (found.reason, found.kept) == (
        "unreadable:line",
        f"[{len(line)} characters that are not JSON]",
    )
    header = base64.b64encode(("[" * brackets).encode()).decode()
    found = read({"headers": {"PAYMENT-SIGNATURE": header}})
    assert found.reason == "bad_header:payment-signature"


def test_brackets_in_texts_are_not_nesting() -> None:
    record = body()
    record["note"] = "[{" * 1_000 + '"'
    assert read(record).reason == ""


def test_half_of_a_surrogate_pair_is_replaced_and_loses_no_payment() -> None:
    record = body()
    record["request"]["paymentPayload"]["resource"]["url"] = "https://a.test/\ud800x\U0001f600"
    found = read(record)
    assert found.observation is not None
    assert found.observation.attributes["resource"] == "https://a.test/\ufffdx\U0001f600"


@pytest.mark.parametrize(
    ("at", "reason"),
    [
        (0, "out_of_range:recorded_at"),  # 1970: the retention would delete it at the insert
        (1_795_168_800_000, "bad_timestamp:recorded_at"),  # milliseconds
        ("9999-12-31T23:59:59Z", "out_of_range:recorded_at"),
        ("2100-01-01", "out_of_range:recorded_at"),
        ("2019-12-31", "out_of_range:recorded_at"),
        (True, "bad_timestamp:recorded_at"),
        (None, "bad_timestamp:recorded_at"),
    ],
)
def test_a_time_that_no_table_holds_is_rejected(at: Any, reason: str) -> None:
    assert read({**body(), "recorded_at": at}).reason == reason


@pytest.mark.parametrize(
    "transaction",
    ["0x", "pending", "0xabc", "0x" + "zz" * 32, "../../v1/getinfo", "²", "x" * 500,
     sample("sol_x402_settle_response_success.json")["transaction"]],
)  # fmt: skip
def test_a_transaction_that_is_not_of_its_chain_is_never_a_hash(transaction: str) -> None:
    record = body()
    record["response"]["transaction"] = transaction
    seen = read(record).observation
    assert seen is not None
    assert (seen.tx_hash, seen.payment_ref[:2]) == ("", "0x")
    assert seen.attributes["facilitator_transaction"] in (
        transaction,
        f"[{len(transaction)} characters]",
    )

    record = solana()
    record["response"]["transaction"] = "0x" + "ab" * 32 if len(transaction) > 80 else transaction
    seen = read(record).observation
    assert seen is not None
    if len(transaction) < 86:
        assert (seen.tx_hash, seen.payment_ref) == ("", "")


def test_a_payment_hash_is_hex_or_lnds_base64_or_rejected() -> None:
    record = {"protocol": "L402", "event": "payment", "amount_msat": 5}
    by_base64 = base64.b64encode(bytes.fromhex(HASH)).decode()
    for text in (HASH, HASH.upper(), by_base64):
        seen = read({**record, "payment_hash": text}).observation
        assert seen is not None
        assert (seen.tx_hash, seen.settlement_id) == (HASH, settlement_ids.lightning_payment(HASH))
    for text in ("abc", "../../v1/getinfo", "0x" + "ab" * 32, "ab" * 31, "²" * 64):
        assert read({**record, "payment_hash": text}).reason == "bad_l402:payment_hash"


MACAROON, INVOICE = l402_token(HASH), invoice(HASH, 21_000, AT_S)
OTHER = l402_token("ab" * 32)
PARTS = f'macaroon="{MACAROON}", invoice="{INVOICE}"'
CHALLENGES = [
    f"L402 {PARTS}",
    f"LSAT {PARTS}, L402 {PARTS}",
    [f"LSAT {PARTS}", f"L402 {PARTS}"],
    [f"L402 {PARTS}"],
    f"L402 macaroon={MACAROON}, invoice={INVOICE}",
    f'L402 version="0", token="{MACAROON}", invoice="{INVOICE}"',
    f'Payment id="x", method="tempo", L402 macaroon="{MACAROON}", invoice="{INVOICE}"',
    f'Basic realm="a, b", l402 macaroon="{MACAROON}" , invoice="{INVOICE}"',
]  # fmt: skip
TOKENS = [
    f"L402 {MACAROON}:{PREIMAGE}",
    f"LSAT {MACAROON}:{PREIMAGE}",
    f"LSAT {MACAROON}:{PREIMAGE}, L402 {MACAROON}:{PREIMAGE}",
    [f"LSAT {MACAROON}:{PREIMAGE}", f"L402 {MACAROON}:{PREIMAGE}"],
    [f"l402 {MACAROON}:{PREIMAGE}"],
    f"L402 {MACAROON},{OTHER}:{PREIMAGE}",
    f"L402 {OTHER},{MACAROON}:{PREIMAGE.upper()}",
]


@pytest.mark.parametrize("value", CHALLENGES)
def test_challenges_of_real_peers_are_read(value: Any) -> None:
    found = read({"headers": {"WWW-Authenticate": value}})
    assert found.observation is not None
    assert (found.observation.tx_hash, str(found.observation.amount)) == (HASH, "2.1000E-7")
    assert found.event is not None
    assert (found.event.kind, found.event.outcome) == ("challenge", "asked")


@pytest.mark.parametrize("value", TOKENS)
def test_tokens_of_real_peers_are_read(value: Any) -> None:
    found = read({"headers": {"authorization": value}})
    assert found.observation is not None
    assert (found.observation.tx_hash, found.observation.attributes["proof"]) == (HASH, "preimage")
    assert found.observation.attributes["answer"] == "success"


@pytest.mark.parametrize(
    "value", [f"L402 {OTHER}:{PREIMAGE}", f"L402 :{PREIMAGE}", "L402 ", f"L402 {MACAROON}"]
)
def test_a_token_without_its_proof_proves_nothing(value: str) -> None:
    reason = read({"headers": {"authorization": value}}).reason
    assert reason in ("bad_l402:token", "bad_l402:preimage")


def test_a_refused_token_may_not_link() -> None:
    found = read({"headers": {"authorization": TOKENS[0]}, "http_status": 401})
    assert found.observation is not None
    assert found.observation.attributes["answer"] == "refused"


def test_an_api_key_beside_a_payment_is_a_key_and_the_payment_is_read() -> None:
    record = body()
    headers = {
        "authorization": f"Bearer {CANARIES[0]}",
        "payment-signature": encoded(record["request"]["paymentPayload"]),
        "payment-response": encoded(record["response"]),
    }
    found = read({"headers": headers})
    assert found.observation == read(record).observation
    headers["payment-signature"] = "%%"
    assert read({"headers": headers}).reason == "bad_header:payment-signature"
    assert CANARIES[0] not in read({"headers": headers}).kept


def settled(payload: dict[str, Any], response: Any) -> tuple[str, str, str, str]:
    seen = read({"event": "settle", "request": {"paymentPayload": payload}, "response": response})
    assert seen.observation is not None
    found = seen.observation
    return found.status, found.failure_reason, f"{found.amount:f}", found.tx_hash[:4]


CHANNEL = "0x" + "7" * 64


@pytest.mark.parametrize(
    ("answer", "total"),
    [
        ({"chargedAmount": "700", "channelState": {"chargedCumulativeAmount": "89500"}}, 89_500),
        ({"chargedAmount": "700"}, 90_000),  # as signed, where the gate does not say it
        ({"chargedAmount": "700", "channelState": {
            "channelId": "0x" + "8" * 64, "chargedCumulativeAmount": "5000"}}, 90_000),
    ],
)  # fmt: skip
def test_a_voucher_is_what_its_channel_has_paid_after_it(answer: Any, total: int) -> None:
    response = {"success": True, "transaction": "", "extra": answer}
    request = {"paymentPayload": voucher()}
    found = read({"event": "settle", "request": request, "response": response}).observation
    assert found is not None
    assert found.settlement_id == settlement_ids.voucher(BASE, CHANNEL, total)
    assert (found.payment_ref, found.attributes["charged_total"]) == (CHANNEL, str(total))
    assert (found.to_address, found.amount) == (TREASURY, Decimal("0.0007"))
    headers = {"PAYMENT-SIGNATURE": encoded(voucher()), "PAYMENT-RESPONSE": encoded(response)}
    again = read({"headers": headers}).observation
    assert again is not None
    assert again.settlement_id == found.settlement_id


@pytest.mark.parametrize(
    ("response", "event"),
    [
        ({"isValid": True}, "verify"),
        ({"success": True, "transaction": "", "extra": {"chargedAmount": "0"}}, "settle"),
        ({"success": False, "errorReason": "settlement_pending", "transaction": "0x1"}, "settle"),
    ],
)
def test_a_voucher_that_charged_nothing_announces_nothing(response: Any, event: str) -> None:
    line = {"event": event, "request": {"paymentPayload": voucher()}, "response": response}
    assert read(line).observation is None


def test_a_payment_by_gateway_is_one_by_its_nonce_in_each_form() -> None:
    payload = gateway(body()["request"]["paymentPayload"])
    response = {"success": True, "transaction": TRANSFER}
    request = {"paymentPayload": payload, "paymentRequirements": payload["accepted"]}
    one = read({"event": "settle", "request": request, "response": response}).observation
    headers = {"PAYMENT-SIGNATURE": encoded({**payload, "more": None})}
    headers["PAYMENT-RESPONSE"] = encoded(response)
    other = read({"headers": headers}).observation
    assert one is not None
    assert other is not None
    signed = payload["payload"]["authorization"]
    assert one.settlement_id == other.settlement_id
    assert (one.payment_ref, one.status) == (signed["nonce"].lower(), "off_chain")


SENT = {"success": True, "transaction": "0x" + "2" * 64}
REFUSED = {"success": False, "errorReason": "invalid_payload", "transaction": ""}


def test_what_is_not_one_transaction_is_never_pending_or_failed_and_counts_what_was_charged() -> (
    None
):
    paid = {"success": True, "transaction": "", "extra": {"chargedAmount": "700"}}
    assert settled(voucher(), paid) == ("off_chain", "", "0.000700", "")
    assert settled(voucher(), REFUSED) == ("not_followed", "refused", "0.020000", "")
    assert settled(voucher(), None) == ("not_followed", "unanswered", "0.020000", "")
    batch = gateway(body()["request"]["paymentPayload"])
    accepted = {"success": True, "transaction": TRANSFER}
    assert settled(batch, accepted) == ("off_chain", "", "0.012345", "")
    unknown = permitted("auth-capture")
    sent = {"success": True, "transaction": "0x" + "2" * 64}
    assert settled(unknown, sent) == ("not_followed", "", "0.020000", "")
    elsewhere = permitted("exact")
    elsewhere["accepted"]["network"] = "eip155:137"
    assert settled(elsewhere, sent) == ("not_followed", "", "0", "")
    # Permit2 is followed by its transaction; of `upto` what was taken counts.
    assert settled(permitted("upto"), {**sent, "amount": "1858"}) == (
        "pending",
        "",
        "0.001858",
        "0x22",
    )
    nothing = read(
        {"event": "settle", "request": {"paymentPayload": permitted("upto")},
         "response": {"success": True, "transaction": "", "amount": "0"}}
    )  # fmt: skip
    assert (nothing.observation, nothing.rule) == (None, "nothing_charged")


ELSEWHERE = ["polygon", "avalanche", "sei", "iotex", "peaq", "story", "base-sepolia", "no-such-net"]


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("network", [*ELSEWHERE, "eip155:137", "solana-devnet", "stellar:pubnet"])
def test_a_network_that_is_not_read_is_said_and_keeps_no_line_in_quarantine(
    version: int, network: str
) -> None:
    record = sample(f"x402_v{version}_facilitator_settle_http.json")
    asked, payload = record["request"]["paymentRequirements"], record["request"]["paymentPayload"]
    for each in (asked, payload, payload.get("accepted", {}), record["response"]):
        each.update({"network": network} if "network" in each else {})
    found = read({"event": "settle", **record})
    assert (found.reason, found.rule) == ("", "")
    assert found.observation is not None
    assert (found.observation.status, found.observation.amount) == ("not_followed", Decimal(0))
    # Nor is it taken for a payment on the network that is read.
    assert found.observation.network not in KNOWN.networks


def test_mpp_is_told_by_its_scheme_word_and_not_followed() -> None:
    found = read({"headers": {"www-authenticate": 'Payment id="1", method="tempo"'}})
    assert (found.rule, found.reason) == ("challenge", "")
    found = read({"headers": {"payment-receipt": encoded({"status": "success"})}})
    assert found.observation is not None
    assert (found.observation.status, found.observation.rail) == ("not_followed", "other")


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        (SENT, "success"),
        ({"success": True, "transaction": "pending"}, "success"),
        ({**SENT, "success": False, "errorReason": "settlement_pending"}, "pending"),
        ({**SENT, "success": False, "errorReason": "transaction_failed"}, "failed"),
        (REFUSED, "refused"),
        ({"success": "true"}, "unanswered"),
        ("<html>", "unanswered"),
        (None, "unanswered"),
    ],
)  # fmt: skip
def test_what_an_answer_proves(response: Any, answer: str) -> None:
    seen = read({**body(), "response": response}).observation
    assert seen is not None
    assert seen.attributes["answer"] == answer


def test_a_request_without_an_answer_is_not_verified() -> None:
    payload = encoded(body()["request"]["paymentPayload"])
    for more, answer in (({}, "unanswered"), ({"http_status": 402}, "refused")):
        seen = read({"headers": {"payment-signature": payload}, **more}).observation
        assert seen is not None
        assert (seen.status, seen.attributes["answer"]) == ("pending", answer)


def by_voucher() -> dict[str, Any]:
    paid = {"chargedAmount": "700", "channelState": {"chargedCumulativeAmount": "89500"}}
    response = {"success": True, "transaction": "", "amount": "", "extra": paid}
    return {"event": "settle", "request": {"paymentPayload": voucher()}, "response": response}


@pytest.mark.parametrize("form", ["body", "header", "voucher", "voucher header"])
def test_a_refused_line_is_read_again_from_what_was_kept_of_it(form: str) -> None:
    record = by_voucher() if "voucher" in form else body()
    if "header" in form:
        record = {
            "headers": {
                "payment-signature": encoded(record["request"]["paymentPayload"]),
                "payment-response": encoded(record["response"]),
            },
            "transaction_ids": [TRANSFER],
        }
    text = json.dumps({"recorded_at": AT_S, **record})
    refused = read_line(text, AssetAllowList({}, {BASE: "base"}))
    assert refused.reason == "unknown:asset"
    assert refused.event is not None
    again = read_line(refused.kept, KNOWN).observation
    at_once = read_line(text, KNOWN).observation
    assert again is not None
    assert at_once is not None
    text_fields = {"resource", "memo", "payment_identifier"}
    kept = {k: v for k, v in at_once.attributes.items() if k not in text_fields}
    assert {**again.attributes} == kept
    assert (again.settlement_id, again.tx_hash, again.amount, again.transaction_ids) == (
        at_once.settlement_id, at_once.tx_hash, at_once.amount, at_once.transaction_ids,
    )  # fmt: skip


def test_payouts_are_announced_under_the_chains_own_facts() -> None:
    paid = {
        "event": "payout",
        "amount": "5000",
        "transaction_ids": [TRANSFER, 7],
        "payout_id": "p-1",
    }
    on_base = read(
        {**paid, "network": "base", "asset": USDC, "to": TREASURY, "transaction": "0x" + "3" * 64}
    )
    assert on_base.observation is not None
    seen = on_base.observation
    assert (seen.direction, seen.status, f"{seen.amount:f}", seen.to_address) == (
        "out", "pending", "0.005000", TREASURY,
    )  # fmt: skip
    assert len(seen.transaction_ids) == 2
    by_lightning = read({**paid, "network": "lightning", "payment_hash": HASH}).observation
    assert by_lightning is not None
    assert by_lightning.settlement_id == settlement_ids.lightning_payment(HASH, "out")
    signature = sample("sol_x402_settle_response_success.json")["transaction"]
    mint = sample("sol_x402_payment_payload.json")["accepted"]["asset"]
    by_solana = read(
        {**paid, "network": "solana", "asset": mint, "to": WALLET, "transaction": signature}
    ).observation
    assert by_solana is not None
    assert (by_solana.rail, by_solana.tx_hash) == ("solana", signature)
    # Nothing that a chain can be asked about: a fact, and no phantom.
    for more in ({}, {"transaction": "pending"}):
        found = read({**paid, "network": SOLANA, "asset": mint, "to": WALLET, **more})
        assert (found.observation, found.rule) == (None, "names_no_transaction")
        assert found.event is not None
        assert (found.event.kind, found.event.reference) == ("payout", "p-1")
    assert read({**paid, "network": LIGHTNING}).rule == "names_no_transaction"
    assert read({**paid, "network": "base", "asset": USDC, "to": "x"}).reason == "bad_address:to"


def test_events_hold_known_words_only() -> None:
    record = body()
    record["response"] = {"success": False, "errorReason": "key sk-1 refused", "transaction": ""}
    record["request"]["paymentPayload"]["accepted"]["scheme"] = "<script>"
    record["request"].pop("paymentRequirements", None)
    record |= {"latency_ms": 12.6, "transaction_id": TRANSFER}
    event = read(record).event
    assert event is not None
    assert (event.scheme, event.error_reason, event.outcome, event.latency_ms) == (
        "other", "other", "refused", 13,
    )  # fmt: skip
    assert [str(each) for each in event.transaction_ids] == [TRANSFER]
    assert challenge(HASH, 1, AT_S)  # the same line has the same id
    assert read(record).event == event
