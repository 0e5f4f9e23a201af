"""Changes one place of a node's answer: to something odd, or to something that looks right."""

import copy
import json
import random
from collections.abc import Iterator
from typing import Any

# Our own secrets, which a provider may echo; none of them may be in any text.
URL_KEY = "CANARY-4f7a9c2e1b-key"
BEARER = "CANARY-91be77aa03-bearer"
CANARIES = (URL_KEY, BEARER, BEARER.encode().hex())
ECHO = f"https://node.test/v2/{URL_KEY} with Bearer {BEARER} ({BEARER.encode().hex()})"

ODD: tuple[Any, ...] = (
    None, True, False, -1, 0, 1, 2**63, 10**30, 1.5, 1e308, "", "²", "9" * 5_000, "zz", "0x",
    "0x0", "0xzz", "0x1", "0x" + "0" * 64, "0x" + "f" * 65, "\ud800", "x" * 300, [], [[]], {},
    {"a": 1}, {"Made": "up"}, [None], ECHO, [ECHO], {"message": ECHO},
)  # fmt: skip


def mutated(answer: Any, chance: random.Random) -> Any:
    """Returns an answer with one place changed, missing, doubled, or taken from another place."""
    changed = copy.deepcopy(answer)
    places = list(_places(changed))
    if not places:
        return chance.choice([*ODD, *_near(answer, chance)])
    holder, key = chance.choice(places)
    value, dice = holder[key], chance.random()
    near = _near(value, chance)
    if dice < 0.15:
        del holder[key]
    elif dice < 0.25 and isinstance(holder, list):
        holder.insert(chance.randrange(len(holder) + 1), copy.deepcopy(value))
    elif dice < 0.35 and isinstance(holder, list) and len(holder) > 1:
        other = chance.randrange(len(holder))
        holder[key], holder[other] = holder[other], holder[key]
    elif dice < 0.55 and near:
        holder[key] = chance.choice(near)
    elif dice < 0.65:
        alike = [h[k] for h, k in places if type(h[k]) is type(value) and h[k] != value]
        holder[key] = copy.deepcopy(chance.choice(alike)) if alike else None
    else:
        holder[key] = chance.choice(ODD)
    return changed


def failed(chance: random.Random, answers: Any) -> tuple[int, str]:
    """Returns an HTTP answer that is none: status and body."""
    text = json.dumps(answers)
    error = {"code": chance.choice((-32000, -32005, -32602, -32603, 0, "7")), "message": ECHO}
    one = {"jsonrpc": "2.0", "id": 0, "error": error}
    bodies = ("", "<html>", text[: len(text) // 2], json.dumps({"message": ECHO}), "[]", "null",
              json.dumps(one), json.dumps([one]), json.dumps([None]), "[" * 5_000)  # fmt: skip
    return chance.choice((200, 200, 400, 404, 413, 429, 500, 503)), chance.choice(bodies)


def _near(value: Any, chance: random.Random) -> list[Any]:
    """Returns values that a reader may take for a true one."""
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1, value - 1, value + 100, value // 2]
    if not isinstance(value, str) or not value:
        return []
    place = chance.randrange(len(value))
    other = chance.choice("0123456789abcdef")
    found = [value[:place] + other + value[place + 1 :]]
    if value.isascii() and value.isdigit():
        found += [str(int(value) + 1), "0"]
    if value.startswith("0x") and len(value) > 2 and int(value, 16) >= 0:
        found.append(f"0x{(int(value, 16) + 1) % 16 ** (len(value) - 2):0{len(value) - 2}x}")
    return found


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    keys: Any = ()
    if isinstance(value, dict):
        keys = list(value)
    elif isinstance(value, list):
        keys = range(len(value))
    for key in keys:
        yield value, key
        yield from _places(value[key])
