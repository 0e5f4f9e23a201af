"""Lines of the gate's journal: both versions, both forms, every fault, and no secret kept."""

import base64
import json
from decimal import Decimal
from typing import Any

import pytest

from masques_pipelines.rails import settlement_ids
from masques_pipelines.rails.journal.l402 import hash_in_macaroon, hash_of_preimage, read_invoice
from masques_pipelines.rails.journal.lines import Reading, read_line
from masques_pipelines.rails.protocol import Asset, AssetAllowList, Observation
from tests.support.bolt11 import challenge, invoice, l402_token
from tests.support.paths import DATA

RAIL_DATA = DATA / "rails"
BASE, USDC = "eip155:8453", "0x833589fcd6edb6e08f4c7c32d4f71b54bda02913"
SOLANA = "solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp"
MINT = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"
KNOWN = AssetAllowList(
    {(BASE, USDC): Asset(USDC, "USDC", 6), (SOLANA, MINT): Asset(MINT, "USDC", 6)},
    {BASE: "base", SOLANA: "solana", "bip122:000000000019d6689c085ae165831e93": "lightning"},
)
AT = "2026-11-20T10:00:00Z"
HASH = "ab" * 32
# The secrets of the samples, any of which would let somebody pay or read in another's name.
SIGNATURE = "0x7f1103cdceff33f4da73a434593e2bbcf6c8ec33ccf4cd6d63542798ac190d0a"


def sample(name: str) -> Any:
    return json.loads((RAIL_DATA / name).read_text())


def reading(record: Any) -> Reading:
    return read_line(json.dumps(record), KNOWN)


def read(record: dict[str, Any]) -> Observation:
    found = reading({"recorded_at": AT, **record})
    assert found.reason == ""
    assert found.observation is not None
    return found.observation


def encoded(value: Any) -> str:
    return base64.b64encode(json.dumps(value).encode()).decode()


def test_versions_and_forms_of_one_payment_are_one_settlement() -> None:
    body = sample("x402_v2_facilitator_settle_http.json")
    by_body = read({"event": "settle", **body})
    headers = {
        "PAYMENT-SIGNATURE": encoded(body["request"]["paymentPayload"]),
        "PAYMENT-RESPONSE": encoded(body["response"]),
    }
    by_header = read({"headers": headers})
    assert by_header == by_body

    old = sample("x402_v1_facilitator_settle_http.json")
    by_old_body = read({"event": "settle", **old})
    by_old_header = read(
        {
            "request": {"paymentRequirements": old["request"]["paymentRequirements"]},
            "headers": {
                "x-payment": encoded(old["request"]["paymentPayload"]),
                "X-Payment-Response": encoded(old["response"]),
            },
        }
    )
    assert by_old_header == by_old_body
    assert by_old_body.network == BASE  # "base" in version 1

    assert by_body == Observation(
        settlement_id=settlement_ids.base_authorization(
            BASE,
            USDC,
            "0x9965507d1a55bcc2695c58ba16fb37d819b0a4dc",
            "0x942c3bd7ae9c4d028cc701fb41be82c8c3161ef5f7d7260e24c1fcdf1cea2825",
        ),
        source="intent",
        rail="base",
        network=BASE,
        direction="in",
        status="pending",
        amount=Decimal("0.012345"),
        currency="USDC",
        timestamp_ns=1795168800 * 10**9,
        asset=USDC,
        to_address="0x976ea74026e726554db657fa54763abd0c3a0aa9",
        payer="0x9965507d1a55bcc2695c58ba16fb37d819b0a4dc",
        payment_ref="0x942c3bd7ae9c4d028cc701fb41be82c8c3161ef5f7d7260e24c1fcdf1cea2825",
        protocol="x402",
        tx_hash="0x137b038031dea7db4a5dd4dc8885bde77f0e62d8cfb8de60c65e1e7f3c401923",
        attributes={
            "journal_at": "2026-11-20T10:00:00.000000#2",
            "deadline_s": "1795409837",
            "scheme": "exact",
            "resource": "http://127.0.0.1:18603/data",
            "facilitator_said": "success",
            "answer": "success",
        },
    )


def test_solana_is_known_by_its_signature_or_by_what_was_to_be_sent() -> None:
    request = {"paymentPayload": sample("sol_x402_payment_payload.json")}
    answer = sample("sol_x402_settle_response_success.json")
    seen = read({"event": "settle", "request": request, "response": answer})
    assert seen.settlement_id == settlement_ids.solana_transfer(
        SOLANA, answer["transaction"], "ASZ2TDDNJG2n42TxAezqNNzwWipykHrENDKMCoLKgzup"
    )
    unsent = {**answer, "success": False, "errorReason": "invalid", "transaction": ""}
    attempt = read({"event": "settle", "request": request, "response": unsent})
    assert attempt.settlement_id == settlement_ids.attempt("solana", request["paymentPayload"])
    assert (attempt.tx_hash, attempt.attributes["facilitator_said"]) == ("", "failure: other")
    found = reading({"recorded_at": AT, "event": "verify", "request": request})
    assert (found.observation, found.rule) == (None, "names_no_payment")


def test_an_answer_that_is_none_leaves_the_outcome_unknown() -> None:
    body = sample("x402_v2_facilitator_settle_http.json")
    for answer in (None, {}, {"error": "internal"}, "<html>"):
        seen = read({"event": "settle", "request": body["request"], "response": answer})
        assert (seen.status, seen.failure_reason) == ("unknown", "no_answer")
    # CDP answers this with HTTP 500: it is an answer all the same.
    pending = sample("x402_v2_settle_response_pending.json")
    seen = read(
        {"event": "settle", "request": body["request"], "response": pending, "http_status": 500}
    )
    assert (seen.status, seen.tx_hash) == ("pending", pending["transaction"])


def test_permit2_takes_its_deadline_and_payer_and_not_its_maximum_for_the_amount() -> None:
    payload = {
        "x402Version": 2,
        "payload": {
            "permit2Authorization": {"from": "0xAb" + "0" * 38, "deadline": "1795409999"},
            "signature": "0xsecret",
        },
        "accepted": {
            "scheme": "upto",
            "network": BASE,
            "asset": USDC,
            "amount": "5000",
            "payTo": "0x" + "1" * 40,
        },
    }
    seen = read(
        {"event": "settle", "request": {"paymentPayload": payload},
         "response": {"success": True, "transaction": "0x" + "2" * 64}}
    )  # fmt: skip
    assert seen.settlement_id == settlement_ids.attempt("base", payload)
    assert seen.attributes["deadline_s"] == "1795409999"
    assert (seen.payer, seen.payment_ref) == ("0xab" + "0" * 38, "")


def test_a_refused_verification_announces_nothing() -> None:
    body = sample("x402_v2_facilitator_settle_http.json")
    record = {"event": "verify", "request": body["request"], "response": {"isValid": False}}
    found = reading({"recorded_at": AT, **record})
    assert (found.observation, found.rule) == (None, "refused_verification")
    assert found.event is not None
    assert (found.event.kind, found.event.outcome) == ("verify", "refused")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"recorded_at": "yesterday"}, "bad_timestamp:recorded_at"),
        ({"transaction_id": "not-an-id"}, "bad_uuid:transaction_id"),
        ({"event": "guess"}, "unknown:event"),
        ({"request": {}}, "missing:paymentPayload"),
        ({"headers": {"PAYMENT-SIGNATURE": "%%%"}, "request": {}}, "bad_header:payment-signature"),
        ({"protocol": "L402", "macaroon": "AAAA"}, "bad_l402:token"),
        (
            {"headers": {"WWW-Authenticate": 'L402 invoice="lnbc1nonsense"'}, "request": {}},
            "bad_l402:invoice",
        ),
    ],
)
def test_each_fault_has_its_reason(change: dict[str, Any], reason: str) -> None:
    body = sample("x402_v2_facilitator_settle_http.json")
    record = {"recorded_at": AT, "event": "settle", **body, **change}
    assert reading(record).reason == reason


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        (("accepted", "asset"), "0x" + "5" * 40, "unknown:asset"),
        (("payload", "authorization", "nonce"), "0x12", "bad_hex:nonce"),
        (("payload", "authorization", "value"), "1.5", "bad_number:value"),
        (("payload", "authorization", "value"), str(2**256 - 1), "out_of_range:value"),
        (("payload", "authorization", "validBefore"), "soon", "bad_number:validBefore"),
    ],
)
def test_each_fault_inside_a_payload_has_its_reason(
    path: tuple[str, ...], value: str, reason: str
) -> None:
    payload = sample("x402_v2_facilitator_settle_http.json")["request"]["paymentPayload"]
    place = payload
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    record = {"recorded_at": AT, "event": "settle", "request": {"paymentPayload": payload}}
    assert reading(record).reason == reason


def test_what_is_kept_of_an_unreadable_line_holds_no_secret() -> None:
    body = sample("x402_v2_facilitator_settle_http.json")
    token, preimage = l402_token(HASH), "cd" * 32
    record = {
        "recorded_at": "never",
        **body,
        "headers": {
            "Authorization": f"L402 {token}:{preimage}",
            "X-PAYMENT": encoded(body["request"]["paymentPayload"]),
            "WWW-Authenticate": f'L402 macaroon="{token}"',
        },
        "note": f"the preimage is {preimage}",
        preimage: 1,
        "nested": [{"r_preimage": preimage, "macaroon": token}],
    }
    kept = reading(record).kept
    for secret in (token, preimage, SIGNATURE, SIGNATURE[2:40], encoded(body)[:40]):
        assert secret not in kept
    assert json.loads(kept)["request"]["paymentPayload"]["payload"]["authorization"]["nonce"]
    assert json.loads(kept)["response"]["success"] is True
    assert read_line('{"preimage": "' + preimage, KNOWN).kept == "[78 characters that are not JSON]"


def test_what_is_announced_holds_no_secret() -> None:
    body = sample("x402_v2_facilitator_settle_http.json")
    body["request"]["paymentPayload"]["resource"]["url"] = "https://me:pw@a.test/x?key=secret"
    seen = read({"event": "settle", **body})
    assert seen.attributes["resource"] == "https://a.test/x"
    for text in ("{'key': 'secret'}", "Bearer secret", '"secret"', "a\nsecret", "<secret>"):
        body["request"]["paymentPayload"]["resource"]["url"] = text
        assert "secret" not in str(read_line(json.dumps(body), KNOWN).observation)
    assert SIGNATURE[2:] not in str(seen)
    token = l402_token(HASH)
    seen = read(challenge(HASH, 1000, 1795168800))
    assert token not in str(seen)
    assert (seen.payment_ref, seen.amount) == (HASH, Decimal("0.00000001"))


def test_invoices_of_the_specification() -> None:
    # BOLT 11, examples: a donation of any amount, and 2500 micro-bitcoin that expire in a minute.
    donation = (
        "lnbc1pvjluezpp5qqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqypqdpl2pkx2ctnv5sxxmmwwd5"
        "kgetjypeh2ursdae8g6twvus8g6rfwvs8qun0dfjkxaq8rkx3yf5tcsyz3d73gafnh3cax9rn449d9p5uxz9ezhhyp"
        "d0elx87sjle52x86fux2ypatgddc6k63n7erqz25le42c4u4ecky03ylcqca784w"
    )
    coffee = (
        "lnbc2500u1pvjluezpp5qqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqypqdq5xysxxatsyp3k7en"
        "xv4jsxqzpuaztrnwngzn3kdzw5hydlzf03qdgm2hdq27cqv3agm2awhz5se903vruatfhq77w3ls4evs3ch9zw97j2"
        "5emudupq63nyw24cg27h2rspfj9srp"
    )
    payment_hash = "0001020304050607080900010203040506070809000102030405060708090102"
    first, second = read_invoice(donation), read_invoice("lightning:" + coffee.upper())
    assert (first.payment_hash, first.amount_msat) == (payment_hash, None)
    assert (second.payment_hash, second.amount_msat) == (payment_hash, 250_000_000)
    assert (second.created_s, second.expires_s - second.created_s) == (1496314658, 60)
    with pytest.raises(ValueError, match="checksum"):
        read_invoice(coffee[:-1] + "q")
    ours = read_invoice(invoice(HASH, 21_500, 1795168800, 600))
    assert (ours.payment_hash, ours.amount_msat, ours.expires_s) == (HASH, 21_500, 1795169400)


def test_macaroons_of_both_formats_and_preimages_of_both_spellings() -> None:
    assert hash_in_macaroon(l402_token(HASH)) == HASH
    identifier = bytes(2) + bytes.fromhex(HASH) + bytes(32)
    packet = b"identifier " + identifier + b"\n"
    text = b"000elocation a" + f"{len(packet) + 4:04x}".encode() + packet
    assert hash_in_macaroon(base64.urlsafe_b64encode(text).decode()) == HASH
    preimage = bytes(range(32))
    expected = "630dcd2966c4336691125448bbb25b4ff412a49c732db2c8abc1b8581bd710dd"
    assert hash_of_preimage(preimage.hex()) == expected
    assert hash_of_preimage(base64.b64encode(preimage).decode()) == expected
    for token in ("", "AAAA", base64.b64encode(b"\x02\x01\x7f").decode()):
        with pytest.raises(ValueError, match="macaroon"):
            hash_in_macaroon(token)
