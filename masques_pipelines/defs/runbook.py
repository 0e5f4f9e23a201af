"""Puts the entry of the runbook on each check, where a person looks at what is red."""

import warnings

import dagster as dg

from masques_pipelines.alerts.runbook import runbook


def with_runbook(checks: dg.AssetChecksDefinition) -> dg.AssetChecksDefinition:
    """Returns the checks with what each means when it is red, and what to do.

    The UI shows a check's description and not its metadata, so it stands in both.

    Raises:
        KeyError: A check has no entry in alerts/runbook.md.
    """
    attributes = checks.get_attributes_dict()
    attributes["check_specs_by_output_name"] = {
        output: _linked(spec) for output, spec in attributes["check_specs_by_output_name"].items()
    }
    with warnings.catch_warnings(action="ignore"):  # Dagster says that one may change
        return dg.AssetChecksDefinition(**attributes)


def _linked(spec: dg.AssetCheckSpec) -> dg.AssetCheckSpec:
    entry = runbook()[spec.name]
    said = f"{spec.description}\n\nWhen it is red: {entry.means} {entry.what_to_do[:1].upper()}"
    return spec.with_metadata(
        {**spec.metadata, "runbook": dg.MetadataValue.md(entry.markdown)}
    )._replace(description=f"{said}{entry.what_to_do[1:]} (`{entry.place}`)")
