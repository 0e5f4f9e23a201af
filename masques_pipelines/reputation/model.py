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

MODELS: Final = "masques_ops.reputation_model_versions"
# The one in force is the last.
_LOADED: Final = """
SELECT model_version, numbers, lists
FROM masques_ops.reputation_model_versions
ORDER BY loaded_at, model_version
"""

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
    usd_per_event: Positive
    weight_praise: Weight
    weight_blame: Weight
    cap_payer: Positive
    cap_blame: Positive
    limit_per_usd: Positive
    blame_ruins: Positive
    cap_free: Positive
    cap_attested: Positive
    weight_free: Weight
    standing_usd: Positive
    fee_share: Weight
    weight_fees: Weight
    half_trusted: Positive
    trace_hops: Annotated[int, Field(ge=1, le=10)]
    rate_age_max_days: Positive
    linked_most: Annotated[int, Field(ge=1)]
    attestors: Annotated[tuple[uuid.UUID, ...], Field(min_length=1)]
    seeds: tuple[uuid.UUID, ...]
    platform_account_types: tuple[Word, ...]
    purchase_types: Annotated[tuple[Word, ...], Field(min_length=1)]
    other_unfunding_types: tuple[Word, ...]

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        shares = self.share_task_quality + self.share_economic + self.share_identity_hygiene
        if abs(shares - 1) > 1e-9:
            raise ValueError(f"the three shares add up to {shares:g}, not to 1")
        return self

    def numbers(self) -> dict[str, float]:
        """Returns the parameters that are numbers, by name."""
        values = self.model_dump(exclude={"version"})
        return {name: float(each) for name, each in values.items() if not isinstance(each, tuple)}

    def lists(self) -> dict[str, list[str]]:
        """Returns the parameters that are lists, by name, as texts."""
        values = self.model_dump(exclude={"version"})
        return {
            name: [str(item) for item in each]
            for name, each in values.items()
            if isinstance(each, tuple)
        }


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
    rows = warehouse.rows(_LOADED)
    known = {str(version): {**numbers, **lists} for version, numbers, lists in rows}
    wanted = {**model.numbers(), **model.lists()}
    was = known.get(model.version, wanted)
    changed = [name for name in wanted if was.get(name) != wanted[name]]
    if changed:
        raise ModelError(
            f"reputation model {model.version}: {', '.join(changed)} differ from what was loaded "
            "under this version before: give the changed model a new version"
        )
    if rows and rows[-1][0] == model.version:
        return False
    row = [model.version, datetime.now(UTC), model.numbers(), model.lists()]
    warehouse.insert_rows(MODELS, ["model_version", "loaded_at", "numbers", "lists"], [row])
    return True
