"""Reads the parameters of the reputation model from a file and loads them into masques_ops.

docs/reputation.md says what each parameter does. A model in force is not loaded again; a changed
one becomes a new row and older rows stay, so that a past score can be computed again with the model
of its time.
"""

import importlib.resources
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from masques_pipelines.errors import PermanentError
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.sql import sql

MODELS: Final = "masques_ops.reputation_models"

Share = Annotated[float, Field(ge=0, le=1)]
Weight = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0, lt=1e9)]
Word = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]


class ModelError(PermanentError):
    """The model is not valid; the text names the file and the entry."""


class Model(BaseModel):
    """The parameters; model.yaml, the packaged model, says what each means."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{0,39}$")]
    half_life_days: Positive
    window_days: Annotated[float, Field(gt=0, le=1000)]
    share_task_quality: Share
    share_economic: Share
    share_identity_hygiene: Share
    prior_weight: Positive
    prior_score: Annotated[float, Field(gt=0, lt=1)]
    lower_deviations: Annotated[float, Field(ge=0, le=10)]
    cap_least: Positive
    cap_most: Positive
    cap_attestor: Positive
    weight_plain: Weight
    weight_ungrounded: Weight
    dust_usd: Positive
    dust_least: Weight
    rate_age_max_days: Positive
    attestors: Annotated[tuple[uuid.UUID, ...], Field(min_length=1)]
    platform_account_types: tuple[Word, ...]
    purchase_types: Annotated[tuple[Word, ...], Field(min_length=1)]
    other_unfunding_types: tuple[Word, ...]
    # A model of the time before there were heirs goes on without them.
    heirs_most: Annotated[float, Field(ge=0, lt=1e9)] = 0

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        shares = self.share_task_quality + self.share_economic + self.share_identity_hygiene
        if abs(shares - 1) > 1e-9:
            raise ValueError(f"the three shares add up to {shares:g}, not to 1")
        if self.cap_most < self.cap_least:
            raise ValueError("cap_most is below cap_least")
        return self

    def row(self) -> list[object]:
        """Returns the parameters in the order of COLUMNS, after loaded_at."""
        values = self.model_dump()
        return [
            list(values[name]) if isinstance(values[name], tuple) else values[name]
            for name in list(Model.model_fields)[1:]
        ]


COLUMNS: Final = ("model_version", "loaded_at", *list(Model.model_fields)[1:])


def read_model(path: Path | None) -> Model:
    """Reads and checks a model.

    Args:
        path: The file, or None for the packaged model.

    Raises:
        ModelError: The file cannot be read, is not YAML, or an entry is not valid.
    """
    source = path or importlib.resources.files("masques_pipelines.reputation") / "model.yaml"
    try:
        content = yaml.safe_load(source.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise ModelError(f"{source}: the reputation model cannot be read: {reason}") from error
    try:
        return Model.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise ModelError(f"{source}: {place}: {first['msg']}: correct the model") from error


def load_model(warehouse: Warehouse, model: Model) -> bool:
    """Puts a model in force; returns False when it was already.

    Raises:
        ModelError: The version was loaded before with other parameters, and scores name it.
    """
    rows = warehouse.rows(sql("reputation/models"))
    known: dict[str, list[object]] = {str(row[0]): list(row[1:]) for row in rows}
    if model.version in known and known[model.version] != model.row():
        changed = [
            name
            for name, was, wanted in zip(
                COLUMNS[2:], known[model.version], model.row(), strict=True
            )
            if was != wanted
        ]
        raise ModelError(
            f"reputation model {model.version}: {', '.join(changed)} differ from what was loaded "
            "under this version before: give the changed model a new version"
        )
    if rows and rows[-1][0] == model.version:
        return False
    warehouse.insert_rows(MODELS, COLUMNS, [[model.version, datetime.now(UTC), *model.row()]])
    return True
