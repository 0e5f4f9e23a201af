"""Solana believes no single answer: items, versions, pages, lags, gaps, times and mutations."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from solders.keypair import Keypair

from masques_pipelines.rails.protocol import (
    ANSWER,
    CLOSED,
    DEADLINE,
    Asset,
    FetchResult,
    Observation,
    OpenSettlement,
    RailRefusedError,
    RailUnavailableError,
)
from masques_pipelines.rails.settlement_ids import solana_transfer
from masques_pipelines.rails.solana import rail as solana
from masques_pipelines.rails.solana.addresses import associated_token_account
from masques_pipelines.rails.solana.rail import SolanaConfig, SolanaRail
from tests.support.solana_rpc import FIRST_SLOT, NETWORK, TREASURY, USDC, Solana, token_account
from tests.support.spoiled_nodes import RpcFailureError, Spoil, solana_rpc, truth

BUYER = Keypair.from_seed(bytes([7] * 32))
OWNER = Keypair.from_seed(bytes([11] * 32))
TOKEN_2022 = "TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb"
CONFIG = SolanaConfig(NETWORK, (TREASURY,), (Asset(USDC, "USDC", 6),), start_slot=FIRST_SLOT)


@pytest.fixture
def chain() -> Solana:
    chain = Solana()
    chain.airdrop(str(BUYER.pubkey()))
    chain.airdrop(str(OWNER.pubkey()))
    chain.fund(str(BUYER.pubkey()), 50_000_000)
    chain.fund(TREASURY, 0)
    chain.advance()
    return chain


def rail_of(
    chain: Solana,
    spoil: Spoil = truth,
    *,
    config: SolanaConfig = CONFIG,
    known: Sequence[OpenSettlement] = (),
) -> SolanaRail:
    def open_settlements(*, after: str = "", limit: int = 0) -> Sequence[OpenSettlement]:
        return [each for each in known if str(each.settlement_id) > after][:limit]

    return SolanaRail(solana_rpc(chain, spoil), config, open_settlements)


def run(rail: SolanaRail, cursor: Any = None) -> list[FetchResult]:
    """All fetches of one run."""
    fetched = [rail.fetch(cursor)]
    while not fetched[-1].is_caught_up:
        assert len(fetched) < 100
        fetched.append(rail.fetch(fetched[-1].cursor))
    return fetched


def amounts(fetched: Sequence[FetchResult]) -> list[int]:
    found = {
        o.settlement_id: int(o.amount.scaleb(6)) for each in fetched for o in each.observations
    }
    return sorted(found.values())


def announced(
    tx_hash: str, *, deadline_s: int, to: str = TREASURY, direction: Any = "in"
) -> OpenSettlement:
    latest = Observation(
        settlement_id=solana_transfer(NETWORK, tx_hash, token_account(TREASURY)),
        source="intent",
        rail="solana",
        network=NETWORK,
        direction=direction,
        status="pending",
        amount=Decimal("0.01"),
        currency="USDC",
        timestamp_ns=(deadline_s - 150) * 10**9,
        asset=USDC,
        to_address=to,
        tx_hash=tx_hash,
        attributes={DEADLINE: str(deadline_s), ANSWER: "success"},
    )
    return OpenSettlement(latest, deadline_s)


# Ways in which one transaction cannot be read.
def another_version(_answer: Any) -> Any:
    raise RpcFailureError(-32015, "Transaction version (1) is not supported")


UNREADABLE: dict[str, Callable[[Any], Any]] = {
    "version": another_version,
    "no meta": lambda answer: {**answer, "meta": None},
    "a text": lambda _answer: "pruned",
    "no slot": lambda answer: {**answer, "slot": "7"},
    "fee": lambda answer: {**answer, "meta": {**answer["meta"], "fee": None}},
    "5,000 digits": lambda answer: {
        **answer,
        "meta": {
            **answer["meta"],
            "postTokenBalances": [
                {**each, "uiTokenAmount": {"amount": "9" * 5_000}}
                for each in answer["meta"]["postTokenBalances"]
            ],
        },
    },
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_one_unreadable_transaction_is_a_finding_and_the_rest_goes_on(
    chain: Solana, name: str
) -> None:
    first, bad, last = (chain.transfer(BUYER, TREASURY, units) for units in (1, 20, 300))
    chain.advance()

    def spoil(method: str, asked: Any, answer: Any) -> Any:
        return (
            UNREADABLE[name](answer) if method == "getTransaction" and asked[0] == bad else answer
        )

    fetched = run(rail_of(chain, spoil))
    assert amounts(fetched) == [1, 300]
    assert [(each.source, each.line_no) for f in fetched for each in f.rejected] == [
        (f"{NETWORK}/{bad}", 1)
    ]
    assert [each.kind for f in fetched for each in f.findings] == ["unreadable"]
    again = run(rail_of(chain, spoil), fetched[-1].cursor)
    assert [each.rejected for each in again] == [[]]  # said once
    # The next backend reads it.
    assert amounts(run(rail_of(chain), again[-1].cursor)) == [20]
    assert first != last


def with_meta(answer: Any, **changed: Any) -> Any:
    return {**answer, "meta": {**answer["meta"], **changed}}


def with_body(answer: Any, **changed: Any) -> Any:
    body = {**answer["transaction"]["message"], **changed}
    return {**answer, "transaction": {**answer["transaction"], "message": body}}


def of_ours(answer: Any, name: str, **changed: Any) -> Any:
    """Changes the balance of our account, whose place is 2; without a change it is missing."""
    kept = [
        {**each, **changed} if each["accountIndex"] == 2 else each
        for each in answer["meta"][name]
        if changed or each["accountIndex"] != 2
    ]
    return with_meta(answer, **{name: kept})


BEFORE, AFTER = "preTokenBalances", "postTokenBalances"
# Answers about a payment of 20 units that each say something a true one does not; as these stand,
# without the check nothing, or another amount, or the wrong payment would be read.
CONTRADICTING: dict[str, Callable[[Any], Any]] = {
    "no token balances": lambda a: with_meta(a, preTokenBalances=[], postTokenBalances=[]),
    "unknown token balances": lambda a: with_meta(a, preTokenBalances=None),
    "nothing before": lambda a: of_ours(a, BEFORE),
    "nothing after": lambda a: of_ours(a, AFTER),
    "another owner": lambda a: of_ours(a, AFTER, owner=str(OWNER.pubkey())),
    "another token": lambda a: of_ours(a, AFTER, mint=TREASURY),
    "another place": lambda a: of_ours(a, AFTER, accountIndex=3),
    "a place twice": lambda a: of_ours(a, AFTER, accountIndex=1),
    "another amount": lambda a: of_ours(a, AFTER, uiTokenAmount={"amount": "22"}),
    "an account less": lambda a: with_body(
        a, accountKeys=a["transaction"]["message"]["accountKeys"][1:]
    ),
    "another account": lambda a: with_body(
        a,
        accountKeys=[
            {"pubkey": TREASURY} if place == 2 else each
            for place, each in enumerate(a["transaction"]["message"]["accountKeys"])
        ],
    ),
    "no lamports": lambda a: with_meta(a, preBalances=a["meta"]["preBalances"][1:]),
    "failed": lambda a: with_meta(a, err={"InstructionError": [0, "Custom"]}),
    "another slot": lambda a: {**a, "slot": a["slot"] - 1},
    "another time": lambda a: {**a, "blockTime": a["blockTime"] - 1},
    "another transaction": lambda a: {
        **a, "transaction": {**a["transaction"], "signatures": ["4" * 88]}
    },
}  # fmt: skip


@pytest.mark.parametrize("name", CONTRADICTING)
def test_an_answer_that_contradicts_itself_is_said_and_not_read(chain: Solana, name: str) -> None:
    sent = [chain.transfer(BUYER, TREASURY, units) for units in (1, 20, 300)]
    chain.advance()

    def spoil(method: str, asked: Any, answer: Any) -> Any:
        is_it = method == "getTransaction" and asked[0] == sent[1]
        return CONTRADICTING[name](answer) if is_it else answer

    fetched = run(rail_of(chain, spoil))
    assert amounts(fetched) == [1, 300]
    assert [each.source for f in fetched for each in f.rejected] == [f"{NETWORK}/{sent[1]}"]
    assert [each.kind for f in fetched for each in f.findings] == ["unreadable"]
    assert [each.balance for each in fetched[-1].balances] == [None]
    again = run(rail_of(chain), fetched[-1].cursor)
    assert amounts(again) == [20]
    assert [each.balance for each in again[-1].balances] == [Decimal("0.000321")]


@pytest.mark.parametrize(
    "error", [True, -1, "", [], {}, "of 2 words", {"a": 1, "b": 2}, "Made", {"Made": "up"}]
)
def test_a_list_that_says_failed_is_not_believed_alone(chain: Solana, error: Any) -> None:
    paid = chain.transfer(BUYER, TREASURY, 20)
    chain.advance()

    def spoil(method: str, _asked: Any, answer: Any) -> Any:
        if method != "getSignaturesForAddress":
            return answer
        return [{**each, "err": error} for each in answer]

    first = run(rail_of(chain, spoil))
    # One of a shape that no error has is asked for in the next run.
    assert amounts([*first, *run(rail_of(chain), first[-1].cursor)]) == [20]
    assert {o.tx_hash for f in first for o in f.observations} <= {paid}


def test_a_status_that_says_failed_is_not_believed_alone(chain: Solana) -> None:
    other = chain.fund(str(OWNER.pubkey()), 0)
    paid = chain.transfer(BUYER, str(OWNER.pubkey()), 10)
    chain.advance()

    def spoil(method: str, _asked: Any, answer: Any) -> Any:
        if method == "getSignatureStatuses":
            value = [each and {**each, "err": {"Made": "up"}} for each in answer["value"]]
            return {**answer, "value": value}
        return answer

    known = [announced(paid, deadline_s=chain.start_s, to=str(OWNER.pubkey()))]
    assert [o for f in run(rail_of(chain, spoil, known=known)) for o in f.observations] == []
    assert other


def test_an_account_that_was_given_away_holds_nothing_of_ours(chain: Solana) -> None:
    first = run(rail_of(chain))[-1]
    chain.transfer(BUYER, TREASURY, 20)
    chain.advance()
    chain.landed[-1]["meta"][AFTER][1]["owner"] = str(OWNER.pubkey())  # SetAuthority, in it
    chain.give_away(TREASURY, str(OWNER.pubkey()))
    after = run(rail_of(chain), first.cursor)
    assert [o for f in after for o in f.observations] == []
    assert [each.balance for each in after[-1].balances] == [0]


def test_all_versions_are_asked_for(chain: Solana) -> None:
    asked_for = []

    def spoil(method: str, asked: Any, answer: Any) -> Any:
        if method == "getTransaction":
            asked_for.append(asked[1]["maxSupportedTransactionVersion"])
        return answer

    chain.transfer(BUYER, TREASURY, 1)
    run(rail_of(chain, spoil))
    assert asked_for == [255]


# Ways in which a backend answers a page after a place: it does not know it, or ignores it.
BAD_PAGES: dict[str, Callable[[Any, Any], Any]] = {
    "unknown": lambda asked, answer: [] if "before" in asked[1] else answer,
    "ignored": lambda asked, answer: answer,
    "skips": lambda asked, answer: answer[2:] if "before" in asked[1] else answer,
}


@pytest.mark.parametrize("name", BAD_PAGES)
def test_a_page_that_does_not_continue_the_list_is_no_page(
    chain: Solana, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(solana, "PAGE", 3)
    for units in range(1, 8):
        chain.transfer(BUYER, TREASURY, units)
    chain.advance()

    def spoil(method: str, asked: Any, answer: Any) -> Any:
        if method != "getSignaturesForAddress":
            return answer
        if name == "ignored" and "before" in asked[1]:
            options = {key: value for key, value in asked[1].items() if key != "before"}
            return chain.answer(method, [asked[0], options])
        return BAD_PAGES[name](asked, answer)

    with pytest.raises(RailUnavailableError, match="does not begin where the one before it ended"):
        run(rail_of(chain, spoil))
    assert amounts(run(rail_of(chain))) == [1, 2, 3, 4, 5, 6, 7]


def test_a_lagging_backend_is_asked_for_the_slot_of_the_others(chain: Solana) -> None:
    lag = 100

    def spoil(method: str, asked: Any, answer: Any) -> Any:
        if method == "getSignaturesForAddress":
            if asked[1]["minContextSlot"] > chain.head - lag:
                raise RpcFailureError(-32016, "Minimum context slot has not been reached")
            return [each for each in answer if each["slot"] <= chain.head - lag]
        return answer

    chain.transfer(BUYER, TREASURY, 5)
    chain.advance()
    with pytest.raises(RailUnavailableError):
        run(rail_of(chain, spoil))
    assert amounts(run(rail_of(chain))) == [5]


def test_pruned_history_is_a_finding_and_never_a_failed_payment(chain: Solana) -> None:
    lost = chain.transfer(BUYER, TREASURY, 10_000)
    cursor = run(rail_of(chain))[-1].cursor
    cursor = {**cursor, "floor": FIRST_SLOT, "done": {}}
    chain.forget(lost)
    chain.advance(10_000)
    chain.transfer(BUYER, TREASURY, 7)
    chain.advance()
    chain.first_available = chain.head - 500
    deadline_s = chain.start_s + 100
    fetched = run(rail_of(chain, known=[announced(lost, deadline_s=deadline_s)]), cursor)
    assert [each.kind for f in fetched for each in f.findings] == ["history_gap"]
    assert [each.reason for f in fetched for each in f.rejected] == ["gap:slots"]
    assert [
        (o.status, o.failure_reason, o.attributes.get(CLOSED, ""))
        for f in fetched
        for o in f.observations
    ] == [
        ("confirmed", "", ""),
        ("unknown", "transaction_not_found", "transaction_not_found"),
    ]


def without_time(method: str, _asked: Any, answer: Any) -> Any:
    if method == "getSignaturesForAddress":
        return [{**each, "blockTime": None} for each in answer]
    return {**answer, "blockTime": None} if method == "getTransaction" and answer else answer


def test_an_unknown_block_time_is_resolved_or_waits(chain: Solana) -> None:
    chain.transfer(BUYER, TREASURY, 5)
    slot = chain.head
    chain.advance()
    (seen,) = run(rail_of(chain, without_time))[0].observations
    assert seen.timestamp_ns == (chain.start_s + slot - FIRST_SLOT) * 10**9

    def skipped(method: str, asked: Any, answer: Any) -> Any:
        if method == "getBlockTime" and asked[0] == slot:
            raise RpcFailureError(-32009, "Slot was skipped, or missing in long-term storage")
        return without_time(method, asked, answer)

    (seen,) = run(rail_of(chain, skipped))[0].observations
    assert abs(seen.timestamp_ns // 10**9 - (chain.start_s + slot - FIRST_SLOT)) == 1

    def nowhere(method: str, asked: Any, answer: Any) -> Any:
        if method == "getBlockTime" and abs(asked[0] - slot) < 10:
            return None
        return without_time(method, asked, answer)

    chain.advance()
    waits = run(rail_of(chain, nowhere))
    assert amounts(waits) == []
    assert waits[-1].notes["waiting"] == 1
    assert [each.balance for each in waits[-1].balances] == [None]
    assert amounts(run(rail_of(chain), waits[-1].cursor)) == [5]


def test_a_skipped_final_slot_is_no_reason_to_stop(chain: Solana) -> None:
    def spoil(method: str, asked: Any, answer: Any) -> Any:
        if method == "getBlockTime" and asked[0] >= chain.final - 2:
            raise RpcFailureError(-32007, "Slot was skipped")
        return answer

    known = [announced("5" * 88, deadline_s=chain.start_s - 10_000)]
    (fetched,) = run(rail_of(chain, spoil, known=known))
    assert fetched.read_to_ns == (chain.start_s + chain.final - 3 - FIRST_SLOT) * 10**9
    assert [o.failure_reason for o in fetched.observations] == ["transaction_not_found"]


@pytest.mark.parametrize("tx_hash", ["0xabc", "not-a-signature", "0x" + "ab" * 32, "", "²" * 64])
def test_a_hash_that_is_no_signature_is_that_payment_s_problem(chain: Solana, tx_hash: str) -> None:
    def spoil(method: str, asked: Any, answer: Any) -> Any:
        if method == "getSignatureStatuses":
            raise RpcFailureError(-32602, "Invalid param: WrongSize")
        return answer

    chain.transfer(BUYER, TREASURY, 3)
    chain.advance(300)
    known = [
        announced(tx_hash, deadline_s=chain.start_s),
        announced("5" * 88, deadline_s=chain.start_s),
    ]
    fetched = run(rail_of(chain, spoil, known=known))
    found = [o for f in fetched for o in f.observations]
    assert sorted((o.status, o.failure_reason) for o in found) == sorted(
        [
            ("confirmed", ""),
            ("unknown", "not_a_signature" if tx_hash else "never_sent"),
            ("unknown", "transaction_not_found"),
        ]
    )
    assert {o.attributes.get(CLOSED) for o in found if o.status == "unknown"} <= {
        "not_a_signature", "never_sent", "transaction_not_found",
    }  # fmt: skip


def test_only_a_final_transaction_proves_a_failure(chain: Solana) -> None:
    elsewhere = chain.fund(str(OWNER.pubkey()), 0)
    paid = chain.transfer(BUYER, str(OWNER.pubkey()), 10_000)
    assert elsewhere
    known = [announced(paid, deadline_s=chain.start_s)]
    (early,) = run(rail_of(chain, known=known))
    assert early.observations == []
    chain.advance()
    (ours,) = run(rail_of(chain, known=known))[0].observations
    assert (ours.status, ours.failure_reason) == ("failed", "paid_nothing_to_us")
    known = [announced(paid, deadline_s=chain.start_s, to=str(OWNER.pubkey()))]
    (theirs,) = run(rail_of(chain, known=known))[0].observations
    assert (theirs.status, theirs.failure_reason) == ("unknown", "receiver_is_not_ours")


def test_undecidable_payments_have_their_turn_after_another(
    chain: Solana, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(solana, "OPEN_MAX", 3)
    never = [announced(f"{number}" * 88, deadline_s=2**70) for number in range(1, 7)]
    known = sorted(never, key=lambda each: str(each.settlement_id))
    cursor: Any = None
    asked: list[str] = []

    def spoil(method: str, params: Any, answer: Any) -> Any:
        asked.extend(params[0] if method == "getSignatureStatuses" else [])
        return answer

    for _ in range(3):
        cursor = run(rail_of(chain, spoil, known=known), cursor)[-1].cursor
    assert set(asked) == {each.latest.tx_hash for each in known}


def test_a_back_fill_lists_each_page_once(chain: Solana, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(solana, "PAGE", 10)
    monkeypatch.setattr(solana, "TRANSACTIONS_PER_FETCH", 10)
    calls = {}
    template = chain.landed[-1] if chain.landed else None
    if template is None:
        chain.transfer(BUYER, TREASURY, 1)
        template = chain.landed.pop()
    for count in (20, 80, 160):
        for _ in range(count - len(chain.landed)):
            chain.head += 40
            signature = f"{len(chain.landed) + 1:0>5}".replace("0", "z") + "5" * 80
            signed = {**template["transaction"], "signatures": [signature]}
            named = {"slot": chain.head, "signature": signature, "transaction": signed}
            chain.landed.append({**template, **named})
        chain.head += 40
        chain.requests.clear()
        fetched = run(rail_of(chain))
        assert len({o.tx_hash for f in fetched for o in f.observations}) == count
        calls[count] = chain.requests.count("getSignaturesForAddress")
    assert calls[80] <= 4 * calls[20]
    assert calls[160] <= 8 * calls[20]
    assert calls[160] <= 160 / 9 + 4


def test_an_idle_run_with_many_open_payments_has_few_calls(chain: Solana) -> None:
    known = [
        announced(f"{number:0>3}".replace("0", "z") + "5" * 85, deadline_s=2**70)
        for number in range(600)
    ]
    cursor = run(rail_of(chain))[-1].cursor
    chain.requests.clear()
    run(rail_of(chain, known=known), cursor)
    # Cluster, mints, balances, two slots, history, one list, three of statuses, and times, which
    # are one request.
    assert len(chain.requests) <= 14


def test_a_delegate_s_payment_is_the_owner_s_and_many_payers_are_nobody(chain: Solana) -> None:
    chain.transfer(BUYER, TREASURY, 40)
    chain.advance()
    source = token_account(str(BUYER.pubkey()))
    delegate = str(OWNER.pubkey())

    def by_delegate(method: str, _asked: Any, answer: Any) -> Any:
        if method == "getTransaction":
            for each in answer["transaction"]["message"]["instructions"]:
                if each.get("program") == "spl-token":
                    each["parsed"]["info"]["authority"] = delegate
        return answer

    (seen,) = run(rail_of(chain, by_delegate))[0].observations
    assert (seen.payer, seen.attributes["delegate"]) == (str(BUYER.pubkey()), delegate)

    def by_two(method: str, _asked: Any, answer: Any) -> Any:
        if method == "getTransaction":
            answer = copy.deepcopy(answer)  # asked for twice
            message = answer["transaction"]["message"]
            one = next(each for each in message["instructions"] if "program" in each)
            info = {**one["parsed"]["info"], "source": OWNER.pubkey().__str__()}
            message["instructions"].insert(0, {**one, "parsed": {**one["parsed"], "info": info}})
        return answer

    (seen,) = run(rail_of(chain, by_two))[0].observations
    assert (seen.payer, seen.attributes["parties"]) == ("", "2")
    # One of them is nobody known, and together they say more than came.
    assert "payers" not in seen.attributes
    assert source


def test_token_2022_has_other_accounts_and_a_wrong_mint_is_refused(chain: Solana) -> None:
    def as_2022(method: str, asked: Any, answer: Any) -> Any:
        if method == "getMultipleAccounts" and asked[0] == [USDC]:
            answer["value"][0]["owner"] = TOKEN_2022
        return answer

    listed = []

    def spoil(method: str, asked: Any, answer: Any) -> Any:
        listed.extend([asked[0]] if method == "getSignaturesForAddress" else [])
        return as_2022(method, asked, answer)

    run(rail_of(chain, spoil))
    assert listed == [associated_token_account(TREASURY, USDC, TOKEN_2022)]
    assert listed != [token_account(TREASURY)]
    other = replace(CONFIG, mints=(Asset(TREASURY, "USDC", 6),))
    with pytest.raises(RailRefusedError, match="is not a mint of SPL Token or Token-2022"):
        run(rail_of(chain, config=other))
    nine = replace(CONFIG, mints=(Asset(USDC, "USDC", 9),))
    with pytest.raises(RailRefusedError, match="has 6 decimals, and the setting says 9"):
        run(rail_of(chain, config=nine))


def test_what_moves_between_our_wallets_is_left_out_exactly(chain: Solana) -> None:
    """The sum of a transaction is what came from others, however it is split."""
    ours = (TREASURY, str(OWNER.pubkey()))
    chain.fund(ours[1], 0)
    chain.transfer(BUYER, ours[1], 500)
    chain.transfer(OWNER, TREASURY, 200)
    chain.advance()
    config = replace(CONFIG, treasury=ours)
    fetched = run(rail_of(chain, config=config))
    assert [(o.direction, o.amount) for f in fetched for o in f.observations] == [
        ("in", Decimal("0.0005"))
    ]
    assert sum(each.balance or 0 for each in fetched[-1].balances) == Decimal("0.0005")
