"""Who may see what. Every answer goes through these rules.

Administrators are the names in table admin_users. A user sees the own units, and of the service account ``P:svc`` of a
project P, when P is asked for and the user is a member of P on that cluster. Usage is seen by all members of a project.
Membership counts per cluster: a project of the same name elsewhere is another project.
"""

from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class Access:
    """What one viewer may see in one reader."""

    reader: Reader
    viewer: Viewer
    as_admin: bool

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
            return PairIn(("cluster_id", "project"), await memberships(self.reader, named))
        pairs = await memberships(self.reader, (self.viewer.login,))
        accounts = await self._service_accounts(projects)
        if accounts:
            # Projects that a service account of the user is itself a member of, on the same cluster.
            for cluster, account in accounts:
                theirs = await memberships(self.reader, (account,))
                pairs += tuple(pair for pair in theirs if pair[0] == cluster and pair not in pairs)
        return PairIn(("cluster_id", "project"), pairs)

    async def _service_accounts(self, projects: tuple[str, ...]) -> Pairs:
        if not projects:
            return ()
        pairs = await memberships(self.reader, (self.viewer.login,))
        return tuple((cluster, service_account(project)) for cluster, project in pairs if project in projects)


async def open_access(reader: Reader, viewer: Viewer, admin: AsAdmin) -> Access:
    """Return what the viewer may see; asking as an administrator without being one is an error (403)."""
    if admin is False:
        return Access(reader, viewer, as_admin=False)
    allowed = viewer.admin_by_role or await is_admin(reader, viewer.login)
    if admin is True and not allowed:
        raise not_an_admin()
    return Access(reader, viewer, as_admin=allowed)


async def is_admin(reader: Reader, login: str) -> bool:
    """Tell whether table admin_users names the login; older databases without the table have no administrators."""
    if not reader.has(Table.ADMIN_USERS):
        return False
    found = await reader.distinct(Distinct(Table.ADMIN_USERS, ("name",), In("name", (login,))))
    return bool(found.num_rows)


async def memberships(reader: Reader, logins: tuple[str, ...]) -> Pairs:
    """Return the (cluster, project) pairs of the projects that contain one of the logins."""
    found = await reader.distinct(Distinct(Table.PROJECTS, ("cluster_id", "name"), Holds("users", logins)))
    return tuple(zip(found.column(0).to_pylist(), found.column(1).to_pylist(), strict=True))
