"""Writes findings and numbers for Prometheus' textfile collector."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from masques_pipelines.doctor.finding import Finding
from masques_pipelines.whole_file import whole_file


def write_textfile(
    path: Path,
    findings: Iterable[Finding],
    *,
    lags_s: Mapping[str, float | None],
    sizes: Mapping[str, tuple[int, int]],
    stuck: Mapping[str, int],
) -> None:
    """Writes the file, whole or not at all.

    Args:
        path: The file; its name has to end in .prom for the collector.
        findings: What the doctor found.
        lags_s: Seconds behind, by source.
        sizes: Rows and bytes, by table.
        stuck: What waits, by kind.
    """
    # It takes longer to load than most commands need.
    from prometheus_client import CollectorRegistry, Gauge, generate_latest  # noqa: PLC0415

    registry = CollectorRegistry()
    bad = Gauge("masques_findings", "Findings of masques doctor", ["level"], registry=registry)
    listed = list(findings)
    for level in ("good", "warning", "bad", "off"):
        bad.labels(level).set(sum(each.level == level for each in listed))
    lag = Gauge("masques_lag_seconds", "Since a source was read", ["source"], registry=registry)
    for source, lag_s in lags_s.items():
        if lag_s is not None:
            lag.labels(source).set(lag_s)
    rows = Gauge("masques_table_rows", "Rows of a table", ["table"], registry=registry)
    size = Gauge("masques_table_bytes", "Bytes of a table", ["table"], registry=registry)
    for table, (count, length) in sizes.items():
        rows.labels(table).set(count)
        size.labels(table).set(length)
    waits = Gauge("masques_waiting", "What waits, by kind", ["kind"], registry=registry)
    for kind, count in stuck.items():
        waits.labels(kind).set(count)
    with whole_file(path) as file:
        file.write(generate_latest(registry))
