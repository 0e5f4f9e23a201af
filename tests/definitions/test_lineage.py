"""The lineage page: sources above the tables, the views of masques_marts below them."""

import dagster as dg
import pytest

from masques_pipelines.defs import lineage
from masques_pipelines.rails.catalog import RAILS
from masques_pipelines.schema.declared import Declared, ObjectSchema, declared_schema
from masques_pipelines.schema.files import SqlFile
from tests.support.code_location import defs


def schema(query: str = "") -> ObjectSchema:
    return ObjectSchema(
        engine="View" if query else "MergeTree",
        partition_key="",
        sorting_key="",
        ttl="",
        settings="",
        refresh="",
        columns={},
        comments={},
        indices={},
        query=query,
    )


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("SELECT a.b FROM masques.t AS a", {"masques/t"}),
        # Through a view of the pipeline, to what that selects from; the mart it names stays.
        ("SELECT 1 FROM masques_ops.v, masques_marts.other", {"masques/t", "masques_marts/other"}),
        # The pipeline's own tables are filled with the area's.
        ("SELECT 1 FROM masques_ops.own", {"masques/settlements"}),
        ("SELECT 1 FROM masques_ops.plain", set()),
        ("SELECT masques.x FROM masques_ops.loop", set()),
    ],
)
def test_a_views_dependencies_are_read_from_its_query(query: str, expected: set[str]) -> None:
    objects = {
        "masques.t": schema(),
        "masques_ops.own": schema(),
        "masques_ops.plain": schema(),
        "masques_ops.v": schema("SELECT 1 FROM masques_ops.w"),
        "masques_ops.w": schema("SELECT 1 FROM masques.t"),
        "masques_ops.loop": schema("SELECT 1 FROM masques_ops.loop"),
        "masques_marts.other": schema("SELECT 1"),
        "masques_marts.v": schema(query),
    }
    declared = Declared(
        objects=objects,
        created_by={**dict.fromkeys(objects, 1), "masques_ops.own": 10},
        changed_by=dict.fromkeys(objects, 1),
        views_version=1,
        views_checksum="",
    )
    files = [SqlFile(1, "001_create_database.sql", ""), SqlFile(10, "010_rails.sql", "")]
    found = lineage.view_dependencies("masques_marts.v", declared, files)
    assert {key.to_user_string() for key in found} == expected


def test_every_source_is_above_a_table_and_every_mart_below_one() -> None:
    graph = defs.resolve_asset_graph()
    sources = {spec.key for spec in lineage.sources()}
    assert len(sources) == 4 + len(RAILS)
    roots = {key for key in graph.get_all_asset_keys() if not graph.get(key).parent_keys}
    assert roots == {*sources, dg.AssetKey(["masques_ops", "schema_migrations"])}
    # Nothing reads the Collector's table: people join it.
    assert {key for key in sources if not graph.get(key).child_keys} == {lineage.OTEL_TRACES}
    marts = {key for key in graph.get_all_asset_keys() if key.path[0] == lineage.MARTS}
    assert {".".join(key.path) for key in marts} == {
        name for name in declared_schema().objects if name.startswith("masques_marts.")
    }
    for key in marts:
        # Two are looked at by a run, which reports what they say.
        assert graph.get(key).is_materializable == (key.path[1] in ("breaks", "position"))
        assert graph.get(key).parent_keys, key
