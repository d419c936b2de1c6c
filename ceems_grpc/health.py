"""The result of a health check of one database or of several sources."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from ceems_grpc.grafana.backend.diagnostics import HealthResult, HealthStatus
from ceems_grpc.schema import newer_schema
from ceems_grpc.store.columnar.values import unusable_values
from ceems_grpc.store.protocols import Facts, SourceFacts

_STALE = timedelta(hours=1)
_AHEAD = timedelta(minutes=5)


def health_result(facts: Facts, *, full_path: bool, now: datetime) -> HealthResult:
    """Describe one database or each of several sources. If a source does not answer, the result is an error.

    ``full_path``: for administrators, who may see paths. ``now``: in UTC. It is compared with times from the clocks of
    the databases' writers.
    """
    if facts.sources:
        return _several(facts, full_path=full_path, now=now)
    said, warnings = _one(facts, full_path=full_path, now=now)
    message = said + "."
    if warnings:
        message += " Warning: " + "; ".join(warnings) + "."
    details = {"verboseMessage": f"{message} Clusters: {_clusters(facts)}.", **_details(facts, warnings)}
    return HealthResult(HealthStatus.OK, message, details)


def brief_health_result(facts: Facts, *, now: datetime) -> HealthResult:
    """Say that a database answers and how fresh it is, for users who may not see what it holds. ``now``: in UTC."""
    silent = sum(source.facts is None for source in facts.sources)
    said = "The database answers"
    if facts.newest_update is not None:
        said += f"; its newest update is from {facts.newest_update:%Y-%m-%d %H:%M} UTC"
    if silent:
        said += f"; {silent} of its {len(facts.sources)} sources {'does' if silent == 1 else 'do'} not answer"
    warnings = []
    if facts.newest_update is not None and now - facts.newest_update > _STALE:
        warnings.append(f"the data are {_ago(now - facts.newest_update)} old")
    message = f"{said}." + (f" Warning: {'; '.join(warnings)}." if warnings else "")
    newest = facts.newest_update.isoformat() if facts.newest_update else None
    details = {"verboseMessage": message, "newestUpdate": newest, "mirror": facts.mirror, "warnings": warnings}
    return HealthResult(HealthStatus.ERROR if silent else HealthStatus.OK, message, details)


def _several(facts: Facts, *, full_path: bool, now: datetime) -> HealthResult:
    lines: list[str] = []
    sources: list[dict[str, Any]] = []
    warnings: list[str] = []
    for source in facts.sources:
        line, described = _source(source, full_path=full_path, now=now)
        lines.append(line)
        sources.append(described)
        warnings += [f"{source.name}: {warning}" for warning in described["warnings"]]
    silent = [source.name for source in facts.sources if source.facts is None]
    count = len(facts.sources)
    if silent:
        message = f"{count - len(silent)} of {count} sources answer; {', '.join(silent)} {_does(silent)} not. "
    else:
        message = f"{count} {'source answers' if count == 1 else 'sources answer'}. "
    message += " ".join(lines)
    details = {"verboseMessage": message, **_details(facts, warnings), "sources": sources}
    return HealthResult(HealthStatus.ERROR if silent else HealthStatus.OK, message, details)


def _source(source: SourceFacts, *, full_path: bool, now: datetime) -> tuple[str, dict[str, Any]]:
    if source.facts is None:
        problem = source.detail if full_path else source.problem
        return f"{source.name}: {problem}", {"name": source.name, "status": "error", "message": problem, "warnings": []}
    said, warnings = _one(source.facts, full_path=full_path, now=now)
    warnings += [source.problem] if source.problem else []
    warned = f" Warning: {'; '.join(warnings)}." if warnings else ""
    details = {"name": source.name, "status": "ok", "message": f"{said}.{warned}", **_details(source.facts, warnings)}
    return f"{source.name}: {said}.{warned}", details


def _one(facts: Facts, *, full_path: bool, now: datetime) -> tuple[str, list[str]]:
    name = facts.location if full_path else facts.location.rpartition("/")[2]
    parts = [
        f"{name}: CEEMS database, schema version {facts.schema_version or 'unknown'}",
        f"{facts.units} units on {len(facts.clusters)} clusters",
        f"time zone {facts.zone}{' (guessed)' if facts.zone_guessed else ''}",
    ]
    warnings = []
    if facts.newest_update is None:
        warnings.append("it holds no units yet")
    else:
        parts.append(f"newest update {facts.newest_update:%Y-%m-%d %H:%M} UTC")
        age = now - facts.newest_update
        if age > _STALE:
            warnings.append(f"the data are {_ago(age)} old (check that ceems_api_server runs, and the time zone)")
        elif age < -_AHEAD:
            warnings.append("the newest update is in the future (check the clocks of both hosts, and the time zone)")
    newer = newer_schema(facts.schema_version)
    if newer:
        warnings.append(newer)
    if facts.missing_tables:
        missing = ", ".join(facts.missing_tables)
        warnings.append(f"it was made by an older version of CEEMS and has no {missing}: some questions get errors")
    if facts.unusable:
        warnings.append(unusable_values(facts.unusable))
    if facts.mirror_problem:
        why = facts.mirror_problem if full_path else "the log says why"
        warnings.append(f"its mirror is not up to date, so that large questions take longer ({why})")
    return "; ".join(parts), warnings


def _details(facts: Facts, warnings: Sequence[str]) -> dict[str, Any]:
    return {
        "schemaVersion": facts.schema_version,
        "units": facts.units,
        "clusters": [{"id": cluster, "manager": manager} for cluster, manager in facts.clusters],
        "newestUpdate": facts.newest_update.isoformat() if facts.newest_update else None,
        "timezone": facts.zone,
        "mirror": facts.mirror,
        "warnings": list(warnings),
    }


def _clusters(facts: Facts) -> str:
    return ", ".join(f"{cluster} ({manager})" for cluster, manager in facts.clusters) or "none"


def _does(names: Sequence[str]) -> str:
    return "does" if len(names) == 1 else "do"


def _ago(age: timedelta) -> str:
    hours = int(age.total_seconds() // 3600)
    return f"{hours // 24} days" if hours >= 48 else f"{hours} hours"
