"""Messages that wait for their receivers: one queue for each, kept until it has taken them.

A receiver that refuses is asked again after one, two, four minutes and so on, at most an hour
apart; the others have their messages meanwhile. What it has not taken within a day is given up. No
message overtakes an earlier one about the same fault: who is told that a fault is over was told of
it before.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from masques_pipelines.alerts.message import Message
from masques_pipelines.alerts.rules import Receiver

# Sends one message to one receiver; returns why it did not take it, or ''.
Post = Callable[[Receiver, "Waiting"], str]
AGE_MAX: Final = timedelta(days=1)
_PAUSE_MAX: Final = timedelta(hours=1)
# A receiver that is down lets each attempt wait for its answer: the look is not to be held up.
_REFUSALS_MAX: Final = 2
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Waiting:
    """A message that a receiver has not taken yet.

    Attributes:
        message: What it is to be told.
        ids: Of the faults that it tells of.
        made_at: When it was written.
        next_at: When it is tried next.
        tries: How often the receiver refused it.
    """

    message: Message
    ids: tuple[str, ...]
    made_at: datetime
    next_at: datetime
    tries: int = 0


Outbox = dict[str, list[Waiting]]


def put(outbox: Outbox, receiver: str, waiting: Waiting) -> None:
    """Appends a message to a receiver's queue."""
    outbox.setdefault(receiver, []).append(waiting)


def deliver(
    outbox: Outbox,
    receivers: Mapping[str, Receiver],
    post: Post,
    now: datetime,
    *,
    keep: Callable[[], None],
) -> None:
    """Sends what is due.

    Args:
        outbox: Changed in place.
        receivers: Of today's rules, by key. What waits for any other is dropped.
        post: Sends one message.
        now: The time.
        keep: Writes the outbox down; called after each message that was sent.
    """
    for key in set(outbox) - set(receivers):
        logger.warning("%d messages waited for a receiver that is gone", len(outbox.pop(key)))
    for key, queue in outbox.items():
        refused: set[str] = set()
        refusals = 0
        for waiting in list(queue):
            is_behind = not refused.isdisjoint(waiting.ids)
            if is_behind or waiting.next_at > now or refusals == _REFUSALS_MAX:
                refused.update(waiting.ids)
                continue
            if not post(receivers[key], waiting):
                queue.remove(waiting)
                keep()
                continue
            refusals += 1
            if now - waiting.made_at >= AGE_MAX:
                logger.error("given up after a day: %s", waiting.message.title)
                queue.remove(waiting)
            else:
                refused.update(waiting.ids)
                queue[queue.index(waiting)] = _again(waiting, now)
            keep()
    for key in [key for key, queue in outbox.items() if not queue]:
        del outbox[key]


def _again(waiting: Waiting, now: datetime) -> Waiting:
    # The exponent is bounded: a clock that jumps makes thousands of tries of a day.
    pause = min(timedelta(minutes=2 ** min(waiting.tries, 6)), _PAUSE_MAX)
    return replace(waiting, tries=waiting.tries + 1, next_at=now + pause)
