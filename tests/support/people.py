"""A site with every kind of user. Names show what belongs to whom."""

from pathlib import Path
from typing import Any

from tests.support.databases import DAY, NOON, SiteDatabase


def write_people_site(path: Path) -> None:
    """Write a site where ann and bob share project alpha, cat has beta; alpha on os-0 is another project, of dan.

    alpha:svc is alpha's service account on slurm-0; root is an administrator; eve is known but has no project.
    """
    with SiteDatabase(path) as site:
        site.project("alpha", ["ann", "bob", "alpha:svc"])
        site.project("beta", ["cat"])
        site.project("alpha", ["dan"], cluster="os-0")
        for name, projects, cluster in (
            ("ann", ["alpha"], "slurm-0"), ("bob", ["alpha"], "slurm-0"), ("cat", ["beta"], "slurm-0"),
            ("dan", ["alpha"], "os-0"), ("eve", [], "slurm-0"), ("alpha:svc", ["alpha"], "slurm-0"),
        ):  # fmt: skip
            site.user(name, projects, cluster=cluster)
        site.admin("root")
        owners = (("ann", "alpha", "slurm-0"), ("bob", "alpha", "slurm-0"), ("alpha:svc", "alpha", "slurm-0"),
                  ("cat", "beta", "slurm-0"), ("dan", "alpha", "os-0"))  # fmt: skip
        for user, project, cluster in owners:
            key = f"only_{user.replace(':', '_')}"
            metrics: dict[str, Any] = {
                "total_cpu_energy_usage_kwh": {key: 1.5},
                "total_cpu_emissions_gms": {f"{key}_total": 2.5},
            }
            site.unit(
                f"unit-{user}", user, project, NOON, cluster=cluster, tags={"owner": f"tag-{user}"},
                state=f"STATE-{user}", **metrics,
            )  # fmt: skip
            site.usage(user, project, NOON, cluster=cluster, **metrics)
            site.usage(user, project, NOON // DAY * DAY, cluster=cluster, daily=True, **metrics)
