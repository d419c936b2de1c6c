"""Who asks, for which organization, about which configured data source."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Self

from ceems_grpc.pb import pluginv2_pb2 as pb

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Who Grafana itself is: rules (SchedulerUserFor in pkg/services/ngalert/schedule), and since version 12 whatever
# newInternalIdentity in pkg/apimachinery/identity makes: public dashboards, background services, provisioning.
_GRAFANA_LOGINS = frozenset({"grafana_scheduler", "service", "provisioning"})


class Caller(StrEnum):
    """What kind of caller a request has."""

    PERSON = "person"
    """Somebody, or a service account, who is signed in to Grafana."""
    GRAFANA = "grafana"
    """Nobody: Grafana asks for a rule, a public dashboard or a service of its own. Its role means nothing."""
    VISITOR = "visitor"
    """A visitor: no login, but a role or a name. Refuse it."""


def from_epoch_ms(milliseconds: int) -> datetime:
    """Convert milliseconds since 1970 to UTC. A time outside the years 1 to 9999 becomes the nearest one inside."""
    try:
        return EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError:
        return datetime.min.replace(tzinfo=UTC) if milliseconds < 0 else datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class User:
    """The user who is signed in to Grafana. ``role`` is Viewer, Editor, Admin or empty.

    A person with a login of Grafana's own and no e-mail address has no role here: it could be Grafana after all.
    """

    login: str
    name: str
    email: str
    role: str

    @classmethod
    def from_proto(cls, message: pb.User) -> Self:
        """Read the wire message."""
        role = "" if _may_be_grafana(message) else message.role
        return cls(login=message.login, name=message.name, email=message.email, role=role)


def caller_of(user: pb.User) -> Caller:
    """Distinguish a person from Grafana itself by all fields of the wire message.

    Grafana's own identities have one of a few logins, the same text as their name (or no name), the role Admin and no
    e-mail address. Older public dashboards have no identity at all. Anonymous visitors (``[auth.anonymous]``) have a
    role and no login, as has the image renderer. A header such as FromAlert proves nothing, since Grafana passes it on
    from any browser.
    """
    if not user.login:
        return Caller.VISITOR if user.role or user.name or user.email else Caller.GRAFANA
    is_own = _may_be_grafana(user) and user.role == "Admin" and user.name in {"", user.login}
    return Caller.GRAFANA if is_own else Caller.PERSON


def _may_be_grafana(user: pb.User) -> bool:
    """Return whether a login is one of Grafana's own; an e-mail address shows that it is a person's."""
    return user.login in _GRAFANA_LOGINS and not user.email


@dataclass(frozen=True, slots=True)
class DataSourceSettings:
    """One configured data source, as Grafana stores it.

    ``uid`` is unique within the organization. ``json_data`` is the plugin's own settings as JSON text, ``secure_json``
    the decrypted secrets. ``updated`` is in UTC. The other settings are Grafana's standard ones for data sources that
    ask an HTTP server; the password of ``basic_auth_user`` is in ``secure_json``.
    """

    id: int
    uid: str
    name: str
    url: str
    user: str
    database: str
    basic_auth_enabled: bool
    basic_auth_user: str
    json_data: bytes
    secure_json: Mapping[str, str] = field(repr=False)
    updated: datetime
    api_version: str

    @classmethod
    def from_proto(cls, message: pb.DataSourceInstanceSettings) -> Self:
        """Read the wire message."""
        return cls(
            id=message.id,
            uid=message.uid,
            name=message.name,
            url=message.url,
            user=message.user,
            database=message.database,
            basic_auth_enabled=message.basicAuthEnabled,
            basic_auth_user=message.basicAuthUser,
            json_data=message.jsonData,
            secure_json=dict(message.decryptedSecureJsonData),
            updated=from_epoch_ms(message.lastUpdatedMS),
            api_version=message.apiVersion,
        )


@dataclass(frozen=True, slots=True)
class PluginContext:
    """What Grafana says about the caller and the data source of a request.

    ``user`` is None unless a person is signed in; ``caller`` tells who asks otherwise. They are the only identity to
    trust: the browser may forge HTTP headers. ``grafana_config`` has Grafana's own settings, such as ``GF_APP_URL``.
    """

    org_id: int
    namespace: str
    plugin_id: str
    plugin_version: str
    api_version: str
    user: User | None
    caller: Caller
    data_source: DataSourceSettings | None
    grafana_config: Mapping[str, str]
    user_agent: str

    @classmethod
    def from_proto(cls, message: pb.PluginContext) -> Self:
        """Read the wire message."""
        caller = caller_of(message.user)
        return cls(
            org_id=message.orgId,
            namespace=message.namespace,
            plugin_id=message.pluginId,
            plugin_version=message.pluginVersion,
            api_version=message.apiVersion,
            user=User.from_proto(message.user) if caller is Caller.PERSON else None,
            caller=caller,
            data_source=(
                DataSourceSettings.from_proto(message.dataSourceInstanceSettings)
                if message.HasField("dataSourceInstanceSettings")
                else None
            ),
            grafana_config=dict(message.grafanaConfig),
            user_agent=message.userAgent,
        )
