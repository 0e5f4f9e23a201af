"""Puts the entry of the runbook on each check, where a person looks at what is red."""

import warnings

import dagster as dg

from masques_pipelines.alerts.runbook import runbook


def with_runbook(checks: dg.AssetChecksDefinition) -> dg.AssetChecksDefinition:
    """Returns the checks with what each means when it is red, and what to do, as metadata.

    Raises:
        KeyError: A check has no entry in alerts/runbook.md.
    """
    entries = runbook()
    linked = checks.with_attributes(
        metadata_by_key={
            spec.key: {**spec.metadata, "runbook": dg.MetadataValue.md(entries[spec.name].markdown)}
            for spec in checks.check_specs
        }
    )
    # Dagster forgets here that these are checks; its own definitions ask for that.
    with warnings.catch_warnings(action="ignore"):  # it says at each use that it may change
        return dg.AssetChecksDefinition(**linked.get_attributes_dict())
