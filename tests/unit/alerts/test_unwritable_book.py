"""A book that cannot be written holds up no message, and one process sends none of them twice."""

import resource
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from masques_pipelines.alerts.book import NAME, KeptBook, problem_of_writing, read_book
from masques_pipelines.alerts.fault import Fault
from masques_pipelines.alerts.look import look
from masques_pipelines.alerts.rules import Rules
from masques_pipelines.alerts.sending import LOG_NAME, Sender
from tests.support.hook import hook_server
from tests.support.small_disk import filled, small_disk

NOW = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
# Hinders the writing in a folder until what it returns is called.
Hinder = Callable[[Path, ExitStack], Callable[[], object]]


def full_disk(folder: Path, after: ExitStack) -> Callable[[], object]:
    after.enter_context(small_disk(folder, 1 << 20))
    full = after.enter_context(ExitStack())
    full.enter_context(filled(folder))
    return full.close


def file_size_limit(_folder: Path, after: ExitStack) -> Callable[[], object]:
    """This process may write no byte to a file."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    after.callback(resource.setrlimit, resource.RLIMIT_FSIZE, before)
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, before)


def lost_folder(folder: Path, _after: ExitStack) -> Callable[[], object]:
    folder.rmdir()
    return folder.mkdir


def folder_in_its_place(folder: Path, _after: ExitStack) -> Callable[[], object]:
    (folder / NAME).mkdir()
    return (folder / NAME).rmdir


HINDRANCES = (full_disk, file_size_limit, lost_folder, folder_in_its_place)


def fault(name: str) -> Fault:
    return Fault(name, "error", f"{name} is red", "why", "payments", "freshness", "runs/1")


@pytest.mark.parametrize("hinder", HINDRANCES)
def test_an_unwritable_book_holds_up_no_message(hinder: Hinder, tmp_path: Path) -> None:
    folder = tmp_path / "dagster"
    folder.mkdir()
    with ExitStack() as after, hook_server() as hook:
        rules = Rules.model_validate({"to": [{"url": f"json://127.0.0.1:{hook.server_port}/"}]})
        kept = KeptBook(folder)
        heal = hinder(folder, after)

        def titles_of(*names: str, minute: int) -> list[str]:
            hook.received.clear()
            faults, now = map(fault, names), NOW + timedelta(minutes=minute)
            look(kept, faults, rules, Sender(folder), now)
            return [body["title"].removeprefix("Masques: ") for _, body in hook.received]

        assert titles_of("a", minute=0) == ["a is red"]
        assert kept.problem != ""
        assert titles_of("a", "b", minute=1) == ["b is red"]
        assert titles_of("b", minute=2) == ["over: a is red"]
        assert [file.name for file in folder.rglob("*.part")] == []
        heal()
        assert titles_of("b", minute=3) == []
        assert kept.problem == ""
        assert list(read_book(folder).open) == ["b"]
        kept = KeptBook(folder)  # the next process
        assert titles_of("b", minute=4) == []
        assert titles_of(minute=5) == ["over: b is red"]
        assert (folder / LOG_NAME).exists()


@pytest.mark.parametrize("hinder", HINDRANCES[:3])
def test_what_hinders_the_book_is_seen_beforehand(hinder: Hinder, tmp_path: Path) -> None:
    folder = tmp_path / "dagster"
    folder.mkdir()
    with ExitStack() as after:
        heal = hinder(folder, after)
        assert problem_of_writing(folder) != ""
        heal()
        assert problem_of_writing(folder) == ""
        assert list(folder.iterdir()) == []
