"""Opens the embedded engine as a server would be: with a user's grants, and a disk for backups."""

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote, urlencode

from masques_pipelines.warehouse.serve.engine import Engine

OWNER = "owner"
BACKUPS_DISK = "backups"


def open_engine(path: Path, front_dir: Path, grants: Sequence[str] = ()) -> Engine:
    for left_behind in front_dir.glob("spool-*"):
        left_behind.unlink()
    disk = f"storage_configuration.disks.{BACKUPS_DISK}"
    options = urlencode(
        {
            "config-file": _write_config(front_dir, grants),
            f"{disk}.type": "local",
            f"{disk}.path": f"{front_dir}/backups/",
            "backups.allowed_disk": BACKUPS_DISK,
        },
        quote_via=quote,
    )
    return Engine(f"file:{path}?{options}", front_dir, {})


def _write_config(front_dir: Path, grants: Sequence[str]) -> Path:
    """Writes what only a users file can say.

    Refreshable views must not all run at every open. With grants, the user of the engine, and so of
    every request, may do no more than they say; another user, OWNER, may do anything, and owns what
    `give_to_owner` gave it.
    """
    users, config = front_dir / "users.xml", front_dir / "config.xml"
    # The last one is for the front itself, which gives the engine the data of `input()` as a file.
    listed = "".join(f"<query>{grant}</query>" for grant in [*grants, "GRANT READ ON FILE"])
    user = (
        "<password></password><profile>default</profile><quota>default</quota>"
        "<networks><ip>::/0</ip></networks>"
    )
    users.write_text(
        "<clickhouse><profiles><default>"
        "<stop_refreshable_materialized_views_on_startup>1"
        "</stop_refreshable_materialized_views_on_startup>"
        "</default></profiles><users>"
        f"<default>{user}{f'<grants>{listed}</grants>' if grants else ''}</default>"
        f"<{OWNER}>{user}</{OWNER}></users>"
        "<quotas><default/></quotas></clickhouse>"
    )
    config.write_text(
        f"<clickhouse><user_directories><users_xml><path>{users}</path></users_xml>"
        "</user_directories></clickhouse>"
    )
    return config


def give_to_owner(path: Path) -> None:
    """Makes another user the one in whose name the views of a stopped engine run.

    The engine has one user, who made them: on a server the migrator makes them, and others ask.
    """
    for definition in (path / "store").rglob("*.sql"):
        text = definition.read_text(encoding="utf-8")
        if "DEFINER = default" in text:
            definition.write_text(
                text.replace("DEFINER = default", f"DEFINER = {OWNER}"), encoding="utf-8"
            )
