"""Reads the SQL files that make the schema: numbered files and view files.

Numbers below 090 are numbered files: each is applied once, in order, and never edited again. A
change of a table is a new one. Numbers from 090 on are view files: each view is defined once and
edited in place, and all of them are applied again when anything changed (migrations.py).
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from masques_pipelines.errors import PermanentError
from masques_pipelines.warehouse.sql import cluster_form, split_statements, sql_directory

FIRST_VIEWS_VERSION: Final = 90
_FILE_NAME: Final = re.compile(r"^(\d{3})_[a-z0-9_]+\.sql$")
_FILES: Final = "[0-9][0-9][0-9]_*.sql"
# What may stand beside others of its kind in one ALTER. A change of rows may not.
_ADDS_COLUMN: Final = re.compile(
    r"(?P<head>ALTER\s+TABLE\s+\S+\s+(?:ON\s+CLUSTER\s+\S+\s+)?)"
    r"(?P<action>(?:ADD|COMMENT)\s+COLUMN\b.*)",
    re.DOTALL,
)
# An earlier text of a file that makes the same on every server on which it can run: where it was
# applied, nothing is due. 008 failed on clusters whose replica path has no {uuid}.
EARLIER: Final = {
    "008_ledger.sql": "e4a9dfff0d1e257b94a6c76ba578954acdff456dd9bdf6e529c33f7ec65f1ae2",
}


class SqlFileError(PermanentError):
    """The SQL files cannot be used; the text names the file and what to do."""


@dataclass(frozen=True)
class SqlFile:
    """One file of `sql/` that makes a part of the schema."""

    version: int
    name: str
    text: str

    @property
    def is_views(self) -> bool:
        """Says whether the file holds views, to be edited in place and applied again."""
        return self.version >= FIRST_VIEWS_VERSION

    @property
    def checksum(self) -> str:
        """SHA-256 of the file, hex."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    def made_by(self, checksum: str) -> bool:
        """Says whether a text of this checksum made what the file makes now."""
        return checksum in (self.checksum, EARLIER.get(self.name))

    def statements(self, *, cluster: bool) -> list[str]:
        """Returns the file's statements, in the form for a single server or for a cluster."""
        text = cluster_form(self.text) if cluster else self.text
        return split_statements(text, name=self.name)

    def commands(self, *, cluster: bool) -> list[str]:
        """Returns the same as fewer statements: columns of one table are added in one ALTER.

        An ALTER takes 12 ms of a core however little it changes, and the files have 80.
        """
        found: list[str] = []
        before = ""
        for statement in self.statements(cluster=cluster):
            match = _ADDS_COLUMN.match(statement)
            if match is None or match["head"] != before:
                found.append(statement)
            else:
                found[-1] += f", {match['action']}"
            before = match["head"] if match else ""
        return found


def sql_files(folder: Path | None = None) -> list[SqlFile]:
    """Returns the numbered files and the view files of `sql/` in order.

    Raises:
        SqlFileError: A name is malformed, or two files have one number.
    """
    files: list[SqlFile] = []
    for path in sorted((folder or sql_directory()).glob(_FILES)):
        match = _FILE_NAME.match(path.name)
        if match is None:
            raise SqlFileError(
                f"{path.name}: the file is named neither like 012_lower_case.sql (a change) nor "
                "like 092_views_lower_case.sql (views); rename it"
            )
        version = int(match[1])
        if files and files[-1].version == version:
            raise SqlFileError(
                f"{path.name}: {files[-1].name} already has the number {version}; renumber one"
            )
        files.append(SqlFile(version, path.name, path.read_text(encoding="utf-8")))
    return files


def views_checksum(files: Sequence[SqlFile]) -> str:
    """Returns one checksum of all view files, by name and content."""
    lines = "".join(f"{file.name} {file.checksum}\n" for file in files if file.is_views)
    return hashlib.sha256(lines.encode()).hexdigest()
