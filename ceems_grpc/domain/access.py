"""Who may see which rows. Every answer goes through these rules.

Administrators are the names in table admin_users. If a store holds several sites, each row of that table names the
clusters that it applies to (column ``clusters``); on other clusters its names are ordinary users.

A user sees their own units. A user also sees the units of the service account ``P:svc`` of a project P if the question
names P and the user is a member of P on that cluster. All members of a project see its usage.

Membership is per cluster: a project of the same name on another cluster is another project.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple, TypeVar

from cachetools import TTLCache

from ceems_grpc.domain.errors import not_an_admin
from ceems_grpc.domain.questions.model import AsAdmin, Viewer
from ceems_grpc.schema import ADMINISTERED, GROUPS
from ceems_grpc.store.columnar.flatten import decode_list
from ceems_grpc.store.missing import missing_of, require_whole
from ceems_grpc.store.plan import ALWAYS, AllOf, AnyOf, Condition, Distinct, Holds, In, PairIn, Table
from ceems_grpc.store.protocols import Reader

SERVICE_ACCOUNT = "svc"
SHARED_TAGS = frozenset({"partition", "qos"})
"""The tags by which members may group each other's usage, unless the setting ``sharedTags`` lists others.

It also lists ``state``, ``name``, and other values by their whole names, such as ``allocation.cpus``.
"""
_MOST_BYTES = 8 * 1024 * 1024  # of each of the two caches of rights
_ENTRY_BYTES, _PAIR_BYTES = 500, 180  # overhead in memory
_LONGEST_KEY = 200  # characters
_Kept = TypeVar("_Kept")

Pairs = tuple[tuple[str, str], ...]
"""(cluster, project) or (cluster, user) pairs."""


class AdminScope(NamedTuple):
    """Whether a user is an administrator, and of which clusters (None: of all present and future clusters)."""

    is_admin: bool
    clusters: tuple[str, ...] | None = None


def service_account(project: str) -> str:
    """Return the login of a project's service account."""
    return f"{project}:{SERVICE_ACCOUNT}"


class Rights:
    """A short-lived cache of who is an administrator, and of who is a member of which projects.

    Every question needs these rights, and they change only when CEEMS writes. A revoked right takes effect within
    ``LIFETIME``.
    """

    LIFETIME = 10.0  # seconds

    def __init__(self, timer: Callable[[], float] = time.time) -> None:
        self._admins: TTLCache[str, AdminScope] = TTLCache(_MOST_BYTES, self.LIFETIME, timer, _size_of_scope)
        self._pairs: TTLCache[str, Pairs] = TTLCache(_MOST_BYTES, self.LIFETIME, timer, _size_of_pairs)

    async def admin_scope(self, reader: Reader, login: str) -> AdminScope:
        """Return what the login administers, from table admin_users. Older databases lack it and have nobody."""
        known = self._admins.get(_key(login))
        if known is not None:
            return known
        known = await _read_admin_scope(reader, login)
        if not missing_of(reader):
            _keep(self._admins, login, known)
        return known

    def known(self, login: str) -> AdminScope | None:
        """Return what the login administers if the cache has it, otherwise None."""
        return self._admins.get(_key(login))

    async def memberships(self, reader: Reader, logins: tuple[str, ...]) -> Pairs:
        """Return the (cluster, project) pairs of the projects that contain one of the logins, sorted."""
        pairs: set[tuple[str, str]] = set()
        for login in dict.fromkeys(logins):
            known = self._pairs.get(_key(login))
            if known is None:
                where = Holds("users", (login,))
                found = await reader.distinct(Distinct(Table.PROJECTS, ("cluster_id", "name"), where))
                known = tuple(zip(found.column(0).to_pylist(), found.column(1).to_pylist(), strict=True))
                if not missing_of(reader):
                    _keep(self._pairs, login, known)
            pairs.update(known)
        return tuple(sorted(pairs, key=lambda pair: tuple(map(str, pair))))  # both parts are nullable


def _key(login: str) -> str:
    # Questions may name users with long names. These must not take more memory than short ones.
    return login if len(login) <= _LONGEST_KEY else sha256(login.encode("utf-8", "surrogatepass")).hexdigest()


def _keep(cache: "TTLCache[str, _Kept]", login: str, value: "_Kept") -> None:
    with suppress(ValueError):  # larger than the whole cache
        cache[_key(login)] = value


def _size_of_scope(scope: AdminScope) -> int:
    return _ENTRY_BYTES + sum(map(len, scope.clusters or ()))


def _size_of_pairs(pairs: Pairs) -> int:
    return _ENTRY_BYTES + sum(_PAIR_BYTES + len(cluster or "") + len(project or "") for cluster, project in pairs)


async def _read_admin_scope(reader: Reader, login: str) -> AdminScope:
    # Before version 8 of the schema, a row holds a list of names.
    forms = (("name", In("name", (login,))), ("users", Holds("users", (login,))))
    by_cluster = reader.has(Table.ADMIN_USERS, ADMINISTERED)
    clusters: set[str] = set()
    named = False
    for column, where in forms:
        if not reader.has(Table.ADMIN_USERS, column):
            continue
        columns = (column, ADMINISTERED) if by_cluster else (column,)
        found = await reader.distinct(Distinct(Table.ADMIN_USERS, columns, where))
        named = named or bool(found.num_rows)
        for text in found.column(ADMINISTERED).to_pylist() if by_cluster else ():
            clusters.update(map(str, decode_list(text)))
    return AdminScope(named, tuple(sorted(clusters)) if by_cluster else None)


@dataclass(frozen=True, slots=True)
class Access:
    """What one viewer may see in one reader.

    ``clusters``: the clusters that an administrator administers (None: all). ``also_own``: whether an administrator of
    some clusters sees on the other clusters what an ordinary user would see. ``shared``: see `SHARED_TAGS`.
    """

    reader: Reader
    viewer: Viewer
    as_admin: bool
    rights: Rights
    clusters: tuple[str, ...] | None = None
    also_own: bool = False
    shared: frozenset[str] = SHARED_TAGS

    async def memberships(self, logins: tuple[str, ...]) -> Pairs:
        """Return the (cluster, project) pairs of the projects that contain one of the logins."""
        return await self.rights.memberships(self.reader, logins)

    async def units(self, users: tuple[str, ...], projects: tuple[str, ...]) -> Condition:
        """Return the condition for units of the users and projects that a question names."""
        services = tuple(map(service_account, projects))
        # An administrator who names users also gets the service accounts of the projects that the question names.
        all_: Condition = In("username", users + services) if users else ALWAYS
        if self._sees_all:
            return all_
        own: list[Condition] = [In("username", (self.viewer.login,))]
        accounts = await self._service_accounts(projects)
        if accounts:
            own.append(PairIn(("cluster_id", "username"), accounts))
        return self.either(all_, self._own(AnyOf(tuple(own)), users))

    async def usage(self, users: tuple[str, ...], projects: tuple[str, ...], groups: tuple[str, ...] = ()) -> Condition:
        """Return the condition for usage: the rows of all projects that have one of the users as a member.

        ``groups``: what the usage is grouped by. Members see each other's usage, but not each other's tags: what is
        grouped by values that are not shared counts only the viewer's own units.
        """
        all_: Condition = ALWAYS
        if self.as_admin and users:
            named = users + tuple(map(service_account, projects))
            all_ = PairIn(("cluster_id", "project"), await self.memberships(named))
        if self._sees_all:
            return all_
        # Projects of a service account are left out: the viewer need not be a member of them.
        own: Condition = PairIn(("cluster_id", "project"), await self.memberships((self.viewer.login,)))
        if self.unshared(groups):
            own = AllOf((own, In("username", (self.viewer.login,))))
        return self.either(all_, self._own(own, users))

    def unshared(self, groups: tuple[str, ...]) -> tuple[str, ...]:
        """Return the groups that count only the viewer's own units; none for viewers who see all units or own none."""
        if self._sees_all or (self.as_admin and not self.also_own):
            return ()
        return tuple(name for name in groups if name not in GROUPS and not self._is_shared(name))

    def named(self, users: tuple[str, ...]) -> tuple[Condition, ...]:
        """Return the condition for a member who names users: only their rows. `usage` handles administrators."""
        return () if self.as_admin or not users else (In("username", users),)

    def either(self, all_: Condition, own: Condition) -> Condition:
        """Return ``all_`` for the clusters that the viewer administers, and ``own`` for the other visible clusters."""
        if not self.as_admin:
            return own
        if self.clusters is None:
            return all_
        administered = AllOf((In("cluster_id", self.clusters), all_))
        if not self.also_own:
            return administered
        return AnyOf((administered, AllOf((In("cluster_id", self.clusters, negate=True), own))))

    @property
    def _sees_all(self) -> bool:
        return self.as_admin and self.clusters is None

    def _is_shared(self, name: str) -> bool:
        tag = name.removeprefix("tags.")
        by_whole_name = tag in {"state", "name"} or tag.startswith("allocation.")
        return name in self.shared or (name != tag and tag in self.shared and not by_whole_name)

    def _own(self, own: Condition, users: tuple[str, ...]) -> Condition:
        # `named` adds this condition for members. An administrator of other clusters is a member here.
        return AllOf((own, In("username", users))) if self.as_admin and users else own

    async def _service_accounts(self, projects: tuple[str, ...]) -> Pairs:
        if not projects:
            return ()
        pairs = await self.memberships((self.viewer.login,))
        return tuple((cluster, service_account(project)) for cluster, project in pairs if project in projects)


async def open_access(
    reader: Reader, viewer: Viewer, admin: AsAdmin, rights: Rights, shared: frozenset[str] = SHARED_TAGS
) -> Access:
    """Return what the viewer may see. Raises an error (403) if others ask as administrators."""
    if admin is False:
        return Access(reader, viewer, as_admin=False, rights=rights, shared=shared)
    scope = AdminScope(True) if viewer.admin_by_role else await rights.admin_scope(reader, viewer.login)
    if admin is True and not scope.is_admin:
        require_whole(reader)
        raise not_an_admin()
    clusters = scope.clusters if scope.is_admin else None
    return Access(reader, viewer, scope.is_admin, rights, clusters, also_own=admin == "auto", shared=shared)
