"""Makes the OTel spans of requests: the gate's, and those of what it asks on the way.

A gate's span is the request's own, by trace and span id. The ids of the others follow from it, so
that no random number is drawn for them.
"""

from typing import Final

import numpy as np

from masques_pipelines.sandbox.world.population import Population
from masques_pipelines.sandbox.world.shape import (
    AGENT_STEP,
    DIRECT,
    FREE,
    GATE_STEP,
    INSUFFICIENT,
    LEDGER_STEP,
    PAID,
    SECOND,
    SPAN,
    TOKENS,
    Column,
    Rows,
)

_MS: Final = SECOND // 1_000
# The ledger books two milliseconds before the gate serves.
_LEDGER_BEFORE: Final = 3 * _MS
_LEDGER_TAKES: Final = 2 * _MS
_GATE_BEFORE: Final = 4 * _MS
# A gate that waits for a facilitator has begun when the payment was sent.
PAYS_BEFORE: Final = 6 * SECOND
_TOKEN_BEFORE: Final = 9 * SECOND + _MS
# Odd numbers: products with them are as different as what they are made of.
_MIXED: Final = np.array(
    [0, 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB, 0xD6E8FEB86659FD93], np.uint64
)


def request_spans(people: Population, requests: Rows, waits: Column) -> Rows:
    """Returns the spans of requests at the gate, at the agent that serves, and at the ledger.

    Args:
        people: The parties.
        requests: Rows of REQUEST.
        waits: Which of them waited for a facilitator.
    """
    status = requests["status"]
    is_served = (status == PAID) | (status == FREE)
    kinds = people.kind[requests["agent"]]
    # Tokens are booked before the request that they pay for: see token_spans.
    is_booked = (requests["transfer"]["lo"] > 0) & (kinds != TOKENS)
    before = np.where(waits, PAYS_BEFORE, np.where(is_booked, _GATE_BEFORE, 0))
    took = requests["ms"].astype(np.int64) * _MS
    gate = _spans(requests, GATE_STEP)
    gate["t"], gate["took"] = requests["t"] - before, before + took
    gate["span"], gate["parent"], gate["about"] = requests["span"], 0, requests["id"]
    served, booked, refused = requests[is_served], requests[is_booked], status == INSUFFICIENT
    agents = _spans(served, AGENT_STEP)
    agents["t"], agents["took"], agents["about"] = served["t"], took[is_served], served["session"]
    ledger = _spans(booked, LEDGER_STEP)
    ledger["t"], ledger["took"] = booked["t"] - _LEDGER_BEFORE, _LEDGER_TAKES
    ledger["about"], ledger["http"], ledger["is_error"] = booked["transfer"], 0, 0
    lacking = _spans(requests[refused], LEDGER_STEP)
    lacking["took"], lacking["is_error"], lacking["http"] = _MS, 1, 0
    return np.concatenate([gate, agents, ledger, lacking])


def token_spans(heads: Rows, challenges: Rows) -> Rows:
    """Returns the ledger's spans of tokens; what books a token follows from its challenge."""
    made = _spans(challenges, LEDGER_STEP)
    made["t"], made["took"] = heads["t"] - _TOKEN_BEFORE, _LEDGER_TAKES
    made["about"], made["http"] = heads["transfer"], 0
    return made


def facilitator_spans(asked: Rows, lines: Rows, step: int, *, fails: bool = False) -> Rows:
    """Returns the spans of a facilitator's answers, each as long as the journal says.

    Args:
        asked: The requests that wait for them.
        lines: Their lines of the journal.
        step: Verifying or settling.
        fails: Whether it refused, or did not answer.
    """
    made = _spans(asked, step)
    latency = lines["latency_ms"].astype(np.int64) * _MS
    made["t"] = np.maximum(lines["t"] - latency, asked["t"] - PAYS_BEFORE)
    made["took"], made["is_error"], made["http"] = lines["t"] - made["t"], fails, 0
    return made


def is_direct(people: Population, requests: Rows) -> Column:
    """Returns which requests are of agents that pay by a facilitator."""
    return np.isin(people.kind[requests["agent"]], DIRECT)


def _spans(requests: Rows, step: int) -> Rows:
    made = np.zeros(len(requests), SPAN)
    for name in ("t", "trace", "masque", "http"):
        made[name] = requests[name]
    made["step"], made["parent"] = step, requests["span"]
    made["span"] = (requests["span"] ^ np.uint64(step)) * _MIXED[step]
    made["is_error"] = requests["http"] >= 500
    return made
