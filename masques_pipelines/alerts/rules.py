"""Reads MASQUES_ALERTS_FILE: who is told what, when not, and what is pinged.

    to:
      - url: mailto://user:password@mail.example.com?to=payments@example.com
      - url_file: /run/secrets/pagerduty   # the URL, in a file
        severity: error                    # only errors; both when not given
        owner: payments                    # only what this team owns; all when not given
    ui: https://dagster.example.com        # links in messages
    quiet: {from: "22:00", to: "07:00", timezone: Europe/Berlin}
    warnings_every_minutes: 60             # how often warnings are told, together
    ping: https://hc-ping.com/…            # called at each look; silence there is an alarm

A URL is one of apprise's: Slack, e-mail, PagerDuty, a webhook (json://) and a hundred others.
"""

import datetime as dt
import zoneinfo
from pathlib import Path
from typing import Annotated, Final, Literal, Self

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    HttpUrl,
    ValidationError,
    field_validator,
    model_validator,
)

from masques_pipelines.alerts.fault import Fault
from masques_pipelines.errors import SettingError

VARIABLE: Final = "MASQUES_ALERTS_FILE"


def _time_of_day(text: object) -> object:
    """Takes "22:00"; YAML reads an unquoted 22:00 as the number 1320."""
    if not isinstance(text, str):
        raise ValueError('write a time in quotes, as "22:00"')  # noqa: TRY004 - pydantic's error
    return text


_Time = Annotated[dt.time, BeforeValidator(_time_of_day)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Quiet(_Strict):
    """Hours in which warnings wait.

    Attributes:
        begins, ends: Times of day; they may enclose midnight.
        timezone: Of the two.
    """

    begins: _Time = Field(alias="from")
    ends: _Time = Field(alias="to")
    timezone: str = "UTC"

    @field_validator("timezone")
    @classmethod
    def _known(cls, name: str) -> str:
        try:
            zoneinfo.ZoneInfo(name)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, IsADirectoryError):
            raise ValueError(f"{name!r} is no time zone: write one as Europe/Berlin") from None
        return name

    def holds(self, now: dt.datetime) -> bool:
        """Returns whether a moment lies in these hours."""
        local = now.astimezone(zoneinfo.ZoneInfo(self.timezone)).time()
        if self.begins <= self.ends:
            return self.begins <= local < self.ends
        return local >= self.begins or local < self.ends


class Receiver(_Strict):
    """Who is told.

    Attributes:
        url: Apprise's; or url_file, a file that holds it.
        severity: error: only errors.
        owner: Only what this team owns.
    """

    url: str | None = Field(None, repr=False)
    url_file: Path | None = None
    severity: Literal["error", "warning"] = "warning"
    owner: str | None = None

    @model_validator(mode="after")
    def _one_url(self) -> Self:
        if (self.url is None) == (self.url_file is None):
            raise ValueError("give url, or url_file with the file that holds it")
        return self

    def wants(self, fault: Fault) -> bool:
        """Returns whether it is told of a fault."""
        is_grave = fault.severity == "error" or self.severity == "warning"
        return is_grave and self.owner in (None, fault.owner)

    def address(self) -> str:
        """Returns the URL.

        Raises:
            SettingError: The file that holds it cannot be read.
        """
        if self.url_file is None:
            return str(self.url)
        try:
            return self.url_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingError(
                f"{VARIABLE}: {self.url_file}: it cannot be read ({type(error).__name__}): "
                "url_file names a file with the receiver's URL"
            ) from error


class Rules(_Strict):
    """The whole file; without one nobody is told, and faults show in `masques status` only."""

    to: tuple[Receiver, ...] = ()
    ui: HttpUrl | None = None
    quiet: Quiet | None = None
    warnings_every_minutes: Annotated[int, Field(ge=0, le=7 * 24 * 60)] = 60
    ping: HttpUrl | None = Field(None, repr=False)

    def are_quiet(self, now: dt.datetime) -> bool:
        """Returns whether warnings wait now."""
        return self.quiet is not None and self.quiet.holds(now)


def read_rules(file: Path | None) -> Rules:
    """Reads the file; without one there are no receivers.

    Raises:
        SettingError: It cannot be used; the text says where, and shows no URL.
    """
    if file is None:
        return Rules()
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SettingError(
            f"{VARIABLE}: {file}: it cannot be read as YAML ({type(error).__name__})"
        ) from None
    try:
        return Rules.model_validate(content)
    except ValidationError as error:
        # Not chained, and without the values: a URL holds a password.
        found = error.errors(include_input=False, include_url=False, include_context=False)
        lines = [f"{'.'.join(map(str, each['loc'])) or 'file'}: {each['msg']}" for each in found]
        raise SettingError(f"{VARIABLE}: {file}: {'; '.join(lines)}") from None
