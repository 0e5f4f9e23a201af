"""What a person reads in the UI: nothing that can be described is left blank or repeats a name."""

import dagster as dg

from masques_pipelines.schema.declared import declared_schema
from tests.support.code_location import defs


def test_every_asset_check_job_schedule_and_sensor_is_described() -> None:
    described = {
        **{spec.key.to_user_string(): spec.description for spec in defs.resolve_all_asset_specs()},
        **{
            f"{spec.asset_key.to_user_string()} {spec.name}": spec.description
            for definition in defs.resolve_asset_graph().assets_defs
            for spec in definition.check_specs
        },
        **{
            job.name: job.description
            for job in defs.resolve_all_job_defs()
            if not job.name.startswith("__")
        },
        **{each.name: each.description for each in defs.schedules or ()},
        **{each.name: each.description for each in defs.sensors or ()},
    }
    assert len(described) > 60
    assert [name for name, text in described.items() if len(text or "") < 20] == []


def test_check_names_do_not_repeat_the_name_of_their_table() -> None:
    keys = list(defs.resolve_asset_graph().asset_check_keys)
    assert len(keys) > 30
    assert [key for key in keys if key.asset_key.path[-1] in key.name] == []


def test_every_asset_that_a_job_fills_has_a_freshness_policy_and_links_to_its_code() -> None:
    graph = defs.resolve_asset_graph()
    for key in graph.materializable_asset_keys:
        spec = graph.get(key).to_asset_spec()
        assert isinstance(spec.freshness_policy, dg.FreshnessPolicy), key
        assert "dagster/code_references" in spec.metadata, key


def test_the_columns_of_tables_and_views_are_those_that_are_declared() -> None:
    declared = declared_schema()
    shown = {
        ".".join(spec.key.path): spec.metadata["dagster/column_schema"]
        for spec in defs.resolve_all_asset_specs()
        if "dagster/column_schema" in spec.metadata
    }
    assert set(shown) == {
        name
        for name in declared.objects
        if name.startswith(("masques.", "masques_marts.")) and not name.endswith("_mv")
    } | {
        "masques_ops.schema_migrations",
        "masques_ops.payment_links",
        "masques_ops.payments_log",
    }
    columns = [column for schema in shown.values() for column in schema.columns]
    assert len(columns) > 200
    assert [column for column in columns if not column.description] == []
    for name, schema in shown.items():
        assert [(column.name, column.type) for column in schema.columns] == list(
            declared.objects[name].columns.items()
        )
