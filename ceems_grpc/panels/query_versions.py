"""The versions of saved queries. A version changes what an absent key means; docs/query.md, "Versions".

`STEPS` is the only table of these changes. The browser reads the same table from frontend/src/query/versions.json,
and a test compares the two.
"""

from dataclasses import dataclass

from ceems_grpc.domain.errors import bad_data

Value = str | bool


@dataclass(frozen=True, slots=True)
class Default:
    """The meaning of an absent ``key``, ``before`` the step and ``after`` it. No ``query_types`` means all."""

    key: str
    before: Value
    after: Value
    query_types: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class VersionStep:
    """The changes from the previous version to ``version``."""

    version: int
    defaults: tuple[Default, ...]


STEPS = (
    VersionStep(
        2,
        (
            Default("admin", before=False, after="auto"),
            Default("exactGroupBy", before=False, after=True, query_types=("usage",)),
        ),
    ),
    VersionStep(
        3,
        (
            Default("legend", before="names", after="auto"),
            Default("runningAt", before="now", after="range", query_types=("units",)),
            Default("step", before="day", after="auto", query_types=("usage-over-time",)),
        ),
    ),
)
OLDEST = 1
"""The version of a query that names none."""
CURRENT = STEPS[-1].version


def check_version(version: int) -> None:
    """Raise a bad_data error for a version that this plugin does not know."""
    if not OLDEST <= version <= CURRENT:
        raise bad_data(
            f"the query has version {version}; this plugin knows versions {OLDEST} to {CURRENT}: update the plugin, or "
            "correct the version"
        )


def default_of(key: str, version: int) -> Value:
    """Return what an absent key means in a query of a version: the meaning before the next step that changes it."""
    changes = [(step.version, default) for step in STEPS for default in step.defaults if default.key == key]
    later = [default.before for changed, default in changes if changed > version]
    return later[0] if later else changes[-1][1].after
