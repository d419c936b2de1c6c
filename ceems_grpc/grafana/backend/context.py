"""Who asks, for which organization, about which configured data source."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Self

from ceems_grpc.pb import pluginv2_pb2 as pb

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SCHEDULER = "grafana_scheduler"


def from_epoch_ms(milliseconds: int) -> datetime:
    """Convert milliseconds since 1970 to UTC. A time outside the years 1 to 9999 becomes the nearest one inside."""
    try:
        return EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError:
        return datetime.min.replace(tzinfo=UTC) if milliseconds < 0 else datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class User:
    """The user who is signed in to Grafana. ``role`` is Viewer, Editor, Admin or empty."""

    login: str
    name: str
    email: str
    role: str

    @property
    def is_scheduler(self) -> bool:
        """Tell whether this is not a person but Grafana itself, which evaluates an alert or recording rule.

        For a rule, Grafana asks as an administrator with this login and no name (SchedulerUserFor in
        pkg/services/ngalert/schedule). The header FromAlert proves nothing: Grafana passes it on from any browser. A
        person with this login gains nothing: only an administrator passes for a rule, and an administrator may change
        the data source's settings anyway.
        """
        unnamed = self.name in {"", self.login}  # Grafana's own stand-in for a name is the login
        return (self.login, self.role, self.email) == (_SCHEDULER, "Admin", "") and unnamed

    @classmethod
    def from_proto(cls, message: pb.User) -> Self:
        """Read the wire message."""
        return cls(login=message.login, name=message.name, email=message.email, role=message.role)


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

    ``user`` is None when nobody is signed in, which is so for alert rules, recording rules and public dashboards. It is
    the only identity to trust: the browser may forge HTTP headers. ``grafana_config`` has Grafana's own settings,
    such as ``GF_APP_URL``.
    """

    org_id: int
    namespace: str
    plugin_id: str
    plugin_version: str
    api_version: str
    user: User | None
    data_source: DataSourceSettings | None
    grafana_config: Mapping[str, str]
    user_agent: str

    @classmethod
    def from_proto(cls, message: pb.PluginContext) -> Self:
        """Read the wire message. A user without a login is no user."""
        return cls(
            org_id=message.orgId,
            namespace=message.namespace,
            plugin_id=message.pluginId,
            plugin_version=message.pluginVersion,
            api_version=message.apiVersion,
            user=User.from_proto(message.user) if message.user.login else None,
            data_source=(
                DataSourceSettings.from_proto(message.dataSourceInstanceSettings)
                if message.HasField("dataSourceInstanceSettings")
                else None
            ),
            grafana_config=dict(message.grafanaConfig),
            user_agent=message.userAgent,
        )
