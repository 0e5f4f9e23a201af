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
    )
    assert (dict(done.found), dict(done.expected)) == (
        {"kind 1": 1, "kind 2": 0},
        {"kind 1": 1, "kind 2": 1},
    )
    assert done.missed == [("kind 2", ("intake", "c", "2"))]
    assert done.invented == [("file", "x", "y")]
    assert (dict(done.unnamed), done.later, done.is_right) == ({"kind 3": 1}, 2, False)
