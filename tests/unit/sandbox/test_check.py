"""The comparison of what was found with the troubles of a world, both ways."""

from typing import Any

from masques_pipelines.sandbox.check import compare

NOW = "2026-11-28T12:00:00.000000000Z"


def entry(number: int, *names: str, visible: str = "2026-11-28T11:00", **more: Any) -> Any:
    findings = [{"by": "intake", "name": name, "reference": str(number)} for name in names]
    return {
        "number": number,
        "kind": f"kind {number}",
        "state": "done",
        "visible_at": visible,
        "findings": findings,
        **more,
    }


def test_what_is_missed_invented_unnamed_and_still_to_come_is_told_apart() -> None:
    also = [{"by": "rails", "name": "also", "reference": "1"}]
    done = compare(
        [
            entry(1, "a", also=also),
            entry(2, "b", "c"),
            entry(3),
            entry(4, "d", visible="2026-11-29T00:00"),
            {"number": 5, "kind": "kind 5", "state": "nothing_to_hit"},
        ],
        [("intake", "a", "1"), ("rails", "also", "1"), ("intake", "b", "2"), ("file", "x", "y")],
        NOW,
        NOW,
    )
    assert (dict(done.found), dict(done.expected)) == (
        {"kind 1": 1, "kind 2": 0},
        {"kind 1": 1, "kind 2": 1},
    )
    assert done.missed == [("kind 2", ("intake", "c", "2"))]
    assert done.invented == [("file", "x", "y")]
    assert (dict(done.unnamed), done.later, done.is_right) == ({"kind 3": 1}, 2, False)


def test_a_break_counts_once_every_side_was_read_past_it() -> None:
    lost = entry(1, ids={"transfers": ["t", "u"]}, classes=["a", "b"])
    paid = entry(2, ids={"settlements": ["s"]}, classes=["c"])
    early = "2026-11-28T10:00:00.000000000Z"
    assert compare([lost, paid], [("break", "a", "t")], NOW, early).later == 2
    done = compare([lost, paid], [("break", "b", "t"), ("break", "c", "s")], NOW, NOW)
    assert done.missed == [("kind 1", ("break", "a", "u"))]
    assert (done.found["kind 2"], done.invented) == (1, [])
    assert compare([paid], [("break", "a", "s")], NOW, NOW).invented == [("break", "a", "s")]
