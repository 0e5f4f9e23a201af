"""Brings the schema up to date: plans which files are due, applies them, refuses what is unclear.

Each numbered file is applied once and never edited again. The view files are applied together, all
of them and in order, when one of them was edited or a numbered file was applied: ClickHouse fixes
the column types of a view when it is made, so a view above an edited one would keep the old types.

Every statement of every file may run again, so a file that a killed run left half-applied is simply
applied again.
"""

import contextlib
import functools
import importlib.metadata
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Final

from masques_pipelines.errors import MasquesError, PermanentError
from masques_pipelines.schema.declared import (
    Declared,
    ObjectSchema,
    declared_schema,
    differences,
    live_schema,
)
from masques_pipelines.schema.files import (
    FIRST_VIEWS_VERSION,
    SqlFile,
    sql_files,
    views_checksum,
)
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.refreshable import RefreshableView, refresh_and_wait, stopped
from masques_pipelines.warehouse.sql import sql

SCORES_VIEW: Final = RefreshableView(
    "masques.reputation_scores_mv", target="masques.reputation_scores", computed_at="computed_at"
)
_RECORD: Final = "masques_ops.schema_migrations"
# A user may see the tables and not the record: sql/roles.sql has such a role.
_VISIBLE: Final = (
    "SELECT countIf(database = 'masques_ops' AND name = 'schema_migrations') > 0, count() > 0 "
    "FROM system.tables WHERE database IN ('masques', 'masques_ops', 'masques_marts')"
)
_RECORDED_TOTAL: Final = "SELECT count() FROM masques_ops.schema_migrations"
_DATABASES_VERSION: Final = 1
_RECORD_VERSION: Final = 7
_VIEWS_NAME: Final = "views"
_DIFFERENCES_SHOWN: Final = 10
_REPLICATED_DATABASES: Final = ("Replicated", "Shared")
# A table that every warehouse of the first files has and none of today's.
_OF_THE_FIRST_FILES: Final = "masques_ops.accounts_inlet"
# Whether there is a scores' view, and anything that it has scored or could be scoring now.
_HAS_SCORES: Final = """
SELECT
    (SELECT count() FROM system.view_refreshes
        WHERE database = 'masques' AND view = 'reputation_scores_mv') > 0
    AND (SELECT sum(total_rows) FROM system.tables
        WHERE database = 'masques' AND name IN ('reputation_events', 'reputation_scores')) > 0
"""
logger = logging.getLogger(__name__)


class MigrationError(PermanentError):
    """The schema cannot be brought up to date; the text names the file or object and what to do."""


@dataclass(frozen=True)
class Recorded:
    """The latest entry of the record on one file, or on the view files together."""

    version: int
    name: str
    checksum: str
    state: str
    project_version: str
    recorded_at: str
    views_version: int


@dataclass(frozen=True)
class Plan:
    """What bringing the schema up to date would do.

    Attributes:
        pending: Numbered files to apply, in order; half-applied ones among them.
        views: View files to apply after them: all of them, or none.
        half_applied: One line for each file that was begun and not finished. It is applied again.
        refusals: One line for each reason not to touch the database. Empty when all is clear.
        drift: One line for each way in which a live object differs from its definition.
    """

    pending: tuple[SqlFile, ...] = ()
    views: tuple[SqlFile, ...] = ()
    half_applied: tuple[str, ...] = ()
    refusals: tuple[str, ...] = ()
    drift: tuple[str, ...] = ()

    @property
    def is_clean(self) -> bool:
        """True when nothing is due and nothing is wrong."""
        return not (self.due or self.refusals or self.drift)

    @property
    def due(self) -> tuple[SqlFile, ...]:
        """All files to apply, in order."""
        return self.pending + self.views


def make_plan(
    warehouse: Warehouse,
    files: Sequence[SqlFile] | None = None,
    declared: Declared | None = None,
) -> Plan:
    """Compares the files, the record and the live schema; changes nothing.

    Args:
        warehouse: Any state, also without any of our databases.
        files: The SQL files; None for those of the project.
        declared: The schema that they make; None for the project's.
    """
    known = list(files) if files is not None else sql_files()
    wanted = declared or declared_schema()
    live = live_schema(warehouse)
    if _OF_THE_FIRST_FILES in live:
        return Plan(refusals=(_first_files_text(warehouse),))
    recorded = _recorded(warehouse) if _RECORD in live else {}
    pending = _pending(known, recorded)
    views = _views_due(known, recorded, is_forced=bool(pending))
    return Plan(
        pending=tuple(pending),
        views=tuple(views),
        half_applied=tuple(_half_applied(recorded)),
        refusals=(
            *_refusals(known, recorded),
            *_views_refusals(known, wanted, recorded),
            *_cluster_refusals(warehouse),
        ),
        drift=tuple(_drift(warehouse, wanted, live, [*pending, *views])),
    )


def migrate(
    warehouse: Warehouse,
    *,
    files: Sequence[SqlFile] | None = None,
    declared: Declared | None = None,
) -> list[str]:
    """Applies every file that is due and returns their names, in order.

    Objects that another tool made from the same files (the `clickhouse-client` loop of the README)
    are adopted: their files run again, which changes nothing, and are recorded.

    Args:
        warehouse: Where.
        files: The SQL files; None for those of the project.
        declared: The schema that they make; None for the project's.

    Raises:
        MigrationError: A numbered file was edited after it was applied or is missing, a newer
            checkout applied its files, or a live object differs from its definition.
    """
    known = list(files) if files is not None else sql_files()
    wanted = declared or declared_schema()
    plan = make_plan(warehouse, known, wanted)
    if plan.refusals:
        raise MigrationError("; ".join(plan.refusals))
    if plan.drift:
        raise MigrationError(_drift_text(plan.drift))
    if not plan.due:
        return []
    for line in plan.half_applied:
        logger.warning("%s", line)
    _bootstrap(warehouse, known)
    applied: list[_Entry] = []
    for files_at_once in _recorded_together(warehouse, plan.pending):
        entries = [_Entry(file.version, file.name, file.checksum) for file in files_at_once]
        # One insert for the end of one file and the beginning of the next.
        _record(warehouse, *applied, *entries)
        for file in files_at_once:
            logger.info("applying %s", file.name)
            _apply(warehouse, file)
        applied = [replace(entry, state="applied") for entry in entries]
    # A numbered file makes all views due, so these are the last to be recorded.
    logger.info("applying %s to %s", plan.views[0].name, plan.views[-1].name)
    views = _Entry(
        FIRST_VIEWS_VERSION, _VIEWS_NAME, views_checksum(known), views_version=wanted.views_version
    )
    _record(warehouse, *applied, views)
    has_scores = bool(warehouse.scalar(_HAS_SCORES))
    with stopped(warehouse, SCORES_VIEW) if has_scores else contextlib.nullcontext():
        for file in plan.views:
            _apply(warehouse, file)
    _record(warehouse, replace(views, state="applied"))
    left = _drift(warehouse, wanted, live_schema(warehouse), [])
    if left:
        raise MigrationError(_drift_text(left))
    if has_scores:
        _refresh_scores(warehouse)
    return [file.name for file in plan.due]


def check_schema(warehouse: Warehouse) -> None:
    """Refuses a warehouse whose schema is not there, or older than sql/; changes nothing.

    A newer schema is not refused: what reads its tables by name may go on.

    Raises:
        MigrationError: As schema_problem says.
    """
    problem = schema_problem(warehouse)
    if problem:
        raise MigrationError(problem)


def schema_problem(warehouse: Warehouse) -> str:
    """Returns one line about what `masques migrate` has to do first, '' when there is nothing.

    It compares files with the record only, which takes some milliseconds; make_plan compares the
    live objects too. Where the record cannot be seen nothing is known, and nothing said.
    """
    sees_record, sees_any = warehouse.row(_VISIBLE)
    if sees_any and not sees_record:
        return ""
    recorded = _recorded(warehouse) if sees_record else {}
    if not recorded:
        return f"{warehouse.description}: it has no schema yet: run `masques migrate`, then again"
    known = sql_files()
    due = [file.name for file in _pending(known, recorded)]
    views = recorded.get(FIRST_VIEWS_VERSION)
    is_newer = views is not None and views.views_version > declared_schema().views_version
    if not is_newer and _views_due(known, recorded, is_forced=False):
        due.append(_VIEWS_NAME)
    if not due:
        return ""
    return (
        f"{warehouse.description}: its schema is older than this checkout ({', '.join(due)}): run "
        "`masques migrate`, then again"
    )


def _refresh_scores(warehouse: Warehouse) -> None:
    """Computes the scores by the views' new definitions."""
    try:
        refresh_and_wait(warehouse, SCORES_VIEW)
    except MasquesError as error:
        logger.warning(
            "the scores are still those of the views before: %s; correct that and run "
            "`masques reputation recompute`",
            error,
        )


def _recorded(warehouse: Warehouse) -> dict[int, Recorded]:
    rows = warehouse.rows(sql("schema/recorded"))
    return {
        int(version): Recorded(int(version), name, checksum, state, project, at, int(views_version))
        for version, name, checksum, state, project, at, views_version in rows
    }


def _pending(known: Sequence[SqlFile], recorded: dict[int, Recorded]) -> list[SqlFile]:
    return [
        file
        for file in known
        if not file.is_views
        and (file.version not in recorded or recorded[file.version].state != "applied")
    ]


def _views_due(
    known: Sequence[SqlFile], recorded: dict[int, Recorded], *, is_forced: bool
) -> list[SqlFile]:
    views = [file for file in known if file.is_views]
    entry = recorded.get(FIRST_VIEWS_VERSION)
    is_applied = (
        entry is not None and entry.state == "applied" and entry.checksum == views_checksum(views)
    )
    return [] if is_applied and not is_forced else views


def _half_applied(recorded: dict[int, Recorded]) -> list[str]:
    return [
        f"{entry.name}: was begun at {entry.recorded_at} and not finished; it is applied again"
        for entry in recorded.values()
        if entry.state != "applied"
    ]


def _first_files_text(warehouse: Warehouse) -> str:
    return (
        f"{warehouse.description}: this warehouse was made by files that are no longer part of the "
        f"project ({_OF_THE_FIRST_FILES} is there), and nothing converts it: make a new one, in "
        "another folder or on another server, and load it from the sources again"
    )


def _refusals(known: Sequence[SqlFile], recorded: dict[int, Recorded]) -> list[str]:
    by_version = {file.version: file for file in known if not file.is_views}
    newest_known = max(by_version, default=0)
    found: list[str] = []
    for version, entry in recorded.items():
        file = by_version.get(version)
        if version == FIRST_VIEWS_VERSION:
            continue
        if file is None and version > newest_known:
            found.append(
                f"{entry.name}: applied by project version {entry.project_version}, which is newer "
                "than this checkout; update the checkout"
            )
        elif file is None:
            found.append(
                f"{entry.name}: applied at {entry.recorded_at} but missing from sql/; restore it"
            )
        elif file.name != entry.name:
            found.append(
                f"{file.name}: number {version} was applied as {entry.name}; rename the file back"
            )
        elif entry.state == "applied" and not file.made_by(entry.checksum):
            found.append(
                f"{file.name}: was edited after it was applied at {entry.recorded_at}; restore it "
                "and put the change into a new file"
            )
    return found


def _views_refusals(
    known: Sequence[SqlFile], wanted: Declared, recorded: dict[int, Recorded]
) -> list[str]:
    """Refuses to put older views over newer ones: the version of the views only grows."""
    entry = recorded.get(FIRST_VIEWS_VERSION)
    found: list[str] = []
    if entry is not None and entry.views_version > wanted.views_version:
        found.append(
            f"views version {entry.views_version}: applied by project version "
            f"{entry.project_version}, which is newer than this checkout (views version "
            f"{wanted.views_version}); update the checkout"
        )
    if views_checksum(known) != wanted.views_checksum:
        found.append(
            "sql/schema.json: was not written from these view files; run `make schema` after "
            "editing a view"
        )
    return found


def _cluster_refusals(warehouse: Warehouse) -> list[str]:
    """Finds what would make the cluster form take effect on one node only, without an error."""
    if warehouse.cluster is None:
        return []
    rows = warehouse.rows(sql("schema/cluster"))
    clusters = [str(name) for what, name, _ in rows if what == "cluster"]
    found = [
        f"{name}: is a database of engine {engine}, which carries nothing to other replicas; "
        "move it away, or unset MASQUES_CLICKHOUSE_CLUSTER"
        for what, name, engine in rows
        if what == "database" and engine not in _REPLICATED_DATABASES
    ]
    if warehouse.cluster not in clusters:
        found.append(
            f"MASQUES_CLICKHOUSE_CLUSTER: the server knows no cluster {warehouse.cluster!r}, only "
            f"{', '.join(clusters) or 'none'}; give a name from system.clusters"
        )
    return found


def _drift(
    warehouse: Warehouse,
    declared: Declared,
    live: dict[str, ObjectSchema],
    due: Sequence[SqlFile],
) -> list[str]:
    """Returns how live objects differ, leaving out what the due files are yet to make.

    A table that exists although its file is due was made by another hand: it must match before it
    is adopted, unless a second file is yet to change it. A view is replaced in any case, if it is
    a view: CREATE OR REPLACE would drop a table of that name.
    """
    versions = {file.version for file in due}

    def is_settled(name: str) -> bool:
        created_by, changed_by = declared.created_by[name], declared.changed_by[name]
        is_adopted = name in live and created_by == changed_by < FIRST_VIEWS_VERSION
        return changed_by not in versions or is_adopted

    expected = {name: schema for name, schema in declared.objects.items() if is_settled(name)}
    in_the_way = [
        f"{name}: engine is {live[name].engine}, declared {schema.engine}"
        for name, schema in declared.objects.items()
        if name not in expected
        and declared.created_by[name] >= FIRST_VIEWS_VERSION
        and name in live
        and live[name].engine != schema.engine
    ]
    return [*in_the_way, *differences(warehouse, expected, live)]


def _drift_text(drift: Sequence[str]) -> str:
    more = len(drift) - _DIFFERENCES_SHOWN
    listed = "; ".join(drift[:_DIFFERENCES_SHOWN]) + (f"; and {more} more" if more > 0 else "")
    return (
        f"the live schema differs from its definition: {listed}. Put it back by hand, or move the "
        "object away and run again; `masques migrate --check` lists every difference"
    )


def _bootstrap(warehouse: Warehouse, files: Sequence[SqlFile]) -> None:
    """Makes the databases and the record itself, from the files' own statements."""
    by_version = {file.version: file for file in files}
    for statement in _statements(warehouse, by_version[_DATABASES_VERSION]):
        warehouse.command(statement)
    warehouse.command(_statements(warehouse, by_version[_RECORD_VERSION])[0])


def _apply(warehouse: Warehouse, file: SqlFile) -> None:
    for number, statement in enumerate(_statements(warehouse, file), start=1):
        try:
            warehouse.command(statement)
        except PermanentError as error:
            raise MigrationError(f"{file.name}: statement {number}: {error}") from error


def _statements(warehouse: Warehouse, file: SqlFile) -> list[str]:
    return file.commands(cluster=warehouse.cluster is not None)


def _recorded_together(
    warehouse: Warehouse, files: Sequence[SqlFile]
) -> Sequence[Sequence[SqlFile]]:
    """Returns files that are recorded by one insert, which takes 8 ms of a core.

    Each file by itself, so that a failure does not repeat those before it; in a warehouse that was
    never recorded all of them, since nothing is there that would take long to change again.
    """
    is_new = not warehouse.scalar(_RECORDED_TOTAL)
    return [files] if is_new and files else [[file] for file in files]


@functools.cache
def _project_version() -> str:
    return importlib.metadata.version("masques-pipelines")


@dataclass(frozen=True)
class _Entry:
    """A row of the record, without the columns that every row of a run shares."""

    version: int
    name: str
    checksum: str
    views_version: int = 0
    state: str = "started"


def _record(warehouse: Warehouse, *entries: _Entry) -> None:
    rows = [
        {
            **asdict(entry),
            "project_version": _project_version(),
            "recorded_at": f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S.%f}",
        }
        for entry in entries
    ]
    warehouse.insert_json(_RECORD, rows)
