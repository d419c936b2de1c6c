"""Who may see what. Every answer goes through these rules.

Administrators are the names in table admin_users. A user sees the own units, and of the service account ``P:svc`` of a
project P, when P is asked for and the user is a member of P on that cluster. Usage is seen by all members of a project.
Membership counts per cluster: a project of the same name elsewhere is another project.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from cachetools import TTLCache

from ceems_grpc.ceems.errors import not_an_admin
from ceems_grpc.ceems.questions import AsAdmin, Viewer
from ceems_grpc.store.base import Reader
from ceems_grpc.store.plan import ALWAYS, AnyOf, Condition, Distinct, Holds, In, PairIn, Table

SERVICE_ACCOUNT = "svc"

Pairs = tuple[tuple[str, str], ...]
"""(cluster, project) or (cluster, user) pairs."""


def service_account(project: str) -> str:
    """Return the login of a project's service account."""
    return f"{project}:{SERVICE_ACCOUNT}"


class Rights:
    """Who is an administrator and who is a member of what, remembered for a few seconds.

    Asked with every question, and changed only when CEEMS writes; who loses a right loses it within ``LIFETIME``.
    """

    LIFETIME = 10.0  # seconds

    def __init__(self, timer: Callable[[], float] = time.time) -> None:
        self._admins: TTLCache[str, bool] = TTLCache(10_000, self.LIFETIME, timer)
        self._pairs: TTLCache[str, Pairs] = TTLCache(10_000, self.LIFETIME, timer)

    async def is_admin(self, reader: Reader, login: str) -> bool:
        """Tell whether table admin_users names the login; older databases without the table have no administrators."""
        known = self._admins.get(login)
        if known is None:
            known = False
            if reader.has(Table.ADMIN_USERS):
                # Before version 8 of the schema, a row holds a list of names.
                new = reader.has(Table.ADMIN_USERS, "name")
                where = In("name", (login,)) if new else Holds("users", (login,))
                found = await reader.distinct(Distinct(Table.ADMIN_USERS, ("name" if new else "users",), where))
                known = bool(found.num_rows)
            self._admins[login] = known
        return known

    async def memberships(self, reader: Reader, logins: tuple[str, ...]) -> Pairs:
        """Return the (cluster, project) pairs of the projects that contain one of the logins, sorted."""
        pairs: set[tuple[str, str]] = set()
        for login in dict.fromkeys(logins):
            known = self._pairs.get(login)
            if known is None:
                where = Holds("users", (login,))
                found = await reader.distinct(Distinct(Table.PROJECTS, ("cluster_id", "name"), where))
                known = tuple(zip(found.column(0).to_pylist(), found.column(1).to_pylist(), strict=True))
                self._pairs[login] = known
            pairs.update(known)
        return tuple(sorted(pairs, key=lambda pair: tuple(map(str, pair))))  # either may be null


@dataclass(frozen=True, slots=True)
class Access:
    """What one viewer may see in one reader."""

    reader: Reader
    viewer: Viewer
    as_admin: bool
    rights: Rights

    async def memberships(self, logins: tuple[str, ...]) -> Pairs:
        """Return the (cluster, project) pairs of the projects that contain one of the logins."""
        return await self.rights.memberships(self.reader, logins)

    async def units(self, users: tuple[str, ...], projects: tuple[str, ...]) -> Condition:
        """Return which units to answer when these users and projects are asked for."""
        services = tuple(map(service_account, projects))
        if self.as_admin:
            # An administrator who names users also gets the service accounts of the projects asked for.
            return In("username", users + services) if users else ALWAYS
        own: list[Condition] = [In("username", (self.viewer.login,))]
        accounts = await self._service_accounts(projects)
        if accounts:
            own.append(PairIn(("cluster_id", "username"), accounts))
        return AnyOf(tuple(own))

    async def usage(self, users: tuple[str, ...], projects: tuple[str, ...]) -> Condition:
        """Return whose usage to answer: the rows of all projects that contain one of the users."""
        if self.as_admin:
            if not users:
                return ALWAYS
            named = users + tuple(map(service_account, projects))
            return PairIn(("cluster_id", "project"), await self.memberships(named))
        # Not of the projects that a service account is a member of: those need not be the viewer's.
        return PairIn(("cluster_id", "project"), await self.memberships((self.viewer.login,)))

    def named(self, users: tuple[str, ...]) -> tuple[Condition, ...]:
        """Return the condition of a member who names users: just their rows. Administrators' users count above."""
        return () if self.as_admin or not users else (In("username", users),)

    async def _service_accounts(self, projects: tuple[str, ...]) -> Pairs:
        if not projects:
            return ()
        pairs = await self.memberships((self.viewer.login,))
        return tuple((cluster, service_account(project)) for cluster, project in pairs if project in projects)


async def open_access(reader: Reader, viewer: Viewer, admin: AsAdmin, rights: Rights) -> Access:
    """Return what the viewer may see; asking as an administrator without being one is an error (403)."""
    if admin is False:
        return Access(reader, viewer, as_admin=False, rights=rights)
    allowed = viewer.admin_by_role or await rights.is_admin(reader, viewer.login)
    if admin is True and not allowed:
        raise not_an_admin()
    return Access(reader, viewer, as_admin=allowed, rights=rights)
