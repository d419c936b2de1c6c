"""The users and projects of an imagined computing centre, and who may work in which project on which cluster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Final

STAFF_USER: Final = "admin"
"""Grafana's initial user. It is a member of staff here, so that a new Grafana shows units of its user."""
STAFF_PROJECT: Final = "operations"
ADMIN_USERS: Final = (STAFF_USER, "grafana", "ceems-int-svc")
"""Names in admin_users; the last is the service account that CEEMS adds itself."""
SERVICE_ACCOUNT: Final = "svc"

_SURNAMES: Final = (
    *("arnaud", "bauer", "bernard", "bianchi", "blanc", "brun", "carvalho", "chevalier", "colin", "costa", "dahl"),
    *("dubois", "dumas", "eklund", "fabre", "ferrari", "fischer", "fontaine", "garnier", "gomez", "haas", "hansen"),
    *("ivanova", "jansen", "joly", "keller", "kowalski", "lambert", "leroy", "lopez", "marchand", "meyer", "moreau"),
    *("nguyen", "nowak", "okafor", "olsen", "papadakis", "perrin", "petit", "quinn", "ricci", "robin", "rossi"),
    *("santos", "schmitt", "silva", "simon", "tanaka", "teixeira", "urban", "vasseur", "verne", "vidal", "weber"),
    *("yilmaz", "zhang", "ziegler"),
)
_TOPICS: Final = (
    *("climate", "genomics", "fusion", "turbulence", "llm-fr", "materials", "astro", "proteins", "seismic", "hydro"),
    *("neuro", "lattice-qcd", "ocean", "vision", "chem", "epidemics", "batteries", "radio", "crops", "combustion"),
    *("plasma", "robotics", "glaciers", "catalysis", "speech", "cosmo", "immuno", "tsunami", "polymers", "wind"),
)
_LABS: Final = ("lgeo", "lphys", "lbio", "lmath", "lchem", "linfo", "lmeca", "lastro")


@dataclass(frozen=True, slots=True)
class DemoUser:
    """A person: login name, numeric user and group id, and the group (laboratory) that Slurm reports."""

    name: str
    uid: int
    gid: int
    group: str


@dataclass(frozen=True, slots=True)
class Member:
    """A user in one project of one cluster; `activity` is the share of work relative to the other members."""

    user: DemoUser
    project: str
    activity: float

    @property
    def is_service(self) -> bool:
        """Return whether this is the service account of the project."""
        return self.user.name == f"{self.project}:{SERVICE_ACCOUNT}"


@dataclass(frozen=True, slots=True)
class People:
    """Everybody at the centre, and the projects that each user works for, before any cluster limits them."""

    users: tuple[DemoUser, ...]
    projects: tuple[str, ...]
    members: tuple[Member, ...]

    def on_cluster(
        self, random: Random, access: float, *, groups: bool = False, service_accounts: bool = False
    ) -> tuple[Member, ...]:
        """Return the members of one cluster: its staff, and a fraction `access` (0 to 1) of the others.

        Only with `groups` does it know their groups. With `service_accounts` about half of its projects have one.
        """
        members = [member for member in self.members if member.user.name == STAFF_USER or random.random() < access]
        if not groups:
            members = [replace(member, user=replace(member.user, group="")) for member in members]
        if service_accounts:
            projects = sorted({member.project for member in members})
            chosen = [project for project in projects if project == STAFF_PROJECT or random.random() < 0.5]
            members += [Member(_service_user(project), project, 3.0 + 5.0 * random.random()) for project in chosen]
        return tuple(members)


def invent_people(random: Random, users: int) -> People:
    """Invent users (at least 3) with projects and memberships. A few of them do most of the work."""
    if users < 3:
        raise ValueError(f"{users} users are too few for a demo: ask for 3 or more.")
    people = tuple(_user(random, number) for number in range(users))
    projects = (STAFF_PROJECT, *(_numbered(_TOPICS, number) for number in range(max(2, users // 3))))
    # A Pareto law: most users run something now and then, and a few keep the clusters busy.
    members = [Member(people[0], STAFF_PROJECT, 1.0)]
    popularity = [1.0 / (rank + 2) for rank in range(len(projects) - 1)]
    for user in people:
        energy = 2.0 if user.name == STAFF_USER else min(40.0, random.paretovariate(0.9))
        wanted = 1 + (random.random() < 0.5) + (random.random() < 0.2)
        chosen = dict.fromkeys(random.choices(projects[1:], popularity, k=wanted))
        members += [Member(user, project, energy * (0.2 + random.random())) for project in chosen]
    return People(people, projects, tuple(members))


def _user(random: Random, number: int) -> DemoUser:
    if number == 0:
        return DemoUser(STAFF_USER, 1000, 100, "staff")
    name = random.choice("abcdefghijklmnoprstvw") + _numbered(_SURNAMES, number - 1)
    lab = random.randrange(len(_LABS))
    return DemoUser(name, 1000 + number, 200 + lab, _LABS[lab])


def _service_user(project: str) -> DemoUser:
    return DemoUser(f"{project}:{SERVICE_ACCOUNT}", 0, 0, "")


def _numbered(names: Sequence[str], number: int) -> str:
    """Return the name at this index. Beyond the end of the list, a numeric suffix keeps names unique."""
    rounds, place = divmod(number, len(names))
    return f"{names[place]}{rounds + 1}" if rounds else names[place]
