import { DataSourcePluginOptionsEditorProps } from '@grafana/data';
import { ConfigSection, DataSourceDescription } from '@grafana/plugin-ui';
import { Divider } from '@grafana/ui';
import React from 'react';
import { docsUrl } from '../docs';
import { DEFAULT_PROFILE_TYPE, DEFAULT_PROFILES_TEMPLATE, DEFAULT_UNIT_DASHBOARD_UID } from '../links/links';
import { CeemsOptions, CeemsSecrets } from '../types';
import { checkDuration, checkMemory, checkPath, durationText } from './checks';
import { ChoiceSetting, DataSourceSetting, TextSetting, ZoneSetting } from './SettingFields';
import { MetricsTemplateSetting } from './MetricsTemplateSetting';
import { ServerSettings } from './ServerSettings';
import { SecretOptions } from './SourceSetting';
import { SourcesSetting } from './SourcesSetting';

const ADMIN_ROLES: Array<{ value: NonNullable<CeemsOptions['adminRole']>; label: string; description: string }> = [
  { value: '', label: 'Nobody by role', description: 'Only the administrators listed in the CEEMS database' },
  { value: 'Admin', label: 'Grafana admins', description: 'Also users with the role Admin in the organisation' },
  { value: 'Editor', label: 'Grafana editors', description: 'Also users with the role Editor or Admin' },
  { value: 'Viewer', label: 'Everybody', description: 'Every signed-in user sees the data of all users' },
];
const SERVICE_USER_PLACES: Array<{ value: 'queries' | 'everywhere'; label: string; description: string }> = [
  { value: 'queries', label: 'Queries', description: 'Alert rules, recording rules, public dashboards' },
  {
    value: 'everywhere',
    label: 'Queries, REST API and live tables',
    description: 'Everything that is requested without a signed-in user',
  },
];
const PLACES: Array<{ value: 'path' | 'address'; label: string; description: string }> = [
  { value: 'path', label: 'A file on the Grafana server', description: 'Or in a folder that is shared with it' },
  { value: 'address', label: 'A server on another host', description: 'A ceems-grpc server runs beside the database' },
];
const MIRROR_MODES: Array<{ value: 'auto' | 'memory' | 'off'; label: string; description: string }> = [
  { value: 'auto', label: 'Automatic', description: 'On disk if the folder is writable, otherwise in memory' },
  { value: 'memory', label: 'In memory', description: 'Never on disk' },
  { value: 'off', label: 'Off', description: 'Every query is answered from the CEEMS database itself' },
];

const checkCount = (text: string) => (/^[1-9]\d*$/.test(text) ? undefined : 'A whole number above 0');

export type Props = DataSourcePluginOptionsEditorProps<CeemsOptions, CeemsSecrets>;

/** Edits the settings of a data source. "Save & test" below it asks the backend whether they work. */
export function ConfigEditor({ options, onOptionsChange }: Props) {
  const settings = options.jsonData ?? {};
  const set = (part: Partial<CeemsOptions>) => onOptionsChange({ ...options, jsonData: { ...settings, ...part } });
  const setMirror = (part: Partial<NonNullable<CeemsOptions['mirror']>>) =>
    set({ mirror: { ...settings.mirror, ...part } });
  const disabled = options.readOnly;
  const setSecret = (name: keyof CeemsSecrets, value: string | undefined) =>
    onOptionsChange({
      ...options,
      secureJsonData: { ...options.secureJsonData, [name]: value ?? '' },
      secureJsonFields: { ...options.secureJsonFields, [name]: false },
    });
  const setPlace = (place: 'path' | 'address') =>
    set(
      place === 'path'
        ? { path: '', address: undefined, tlsServerName: undefined }
        : { path: undefined, timezone: undefined, address: '' }
    );
  const isElsewhere = settings.address !== undefined;
  return (
    <>
      <DataSourceDescription dataSourceName="CEEMS" docsLink={docsUrl()} hasRequiredFields />
      <Divider spacing={4} />

      <ConfigSection title="Database" description="The file that ceems_api_server writes. The plugin only reads it.">
        <ChoiceSetting
          label="Where it is"
          description="The plugin reads the file itself, or queries a server on the host of the file."
          choices={PLACES}
          value={isElsewhere ? 'address' : 'path'}
          disabled={disabled}
          onChange={setPlace}
        />
        {isElsewhere ? (
          <ServerSettings
            address={settings.address}
            serverName={settings.tlsServerName}
            secrets={options.secureJsonData ?? {}}
            saved={options.secureJsonFields ?? {}}
            disabled={disabled}
            onChange={set}
            onSecret={setSecret}
          />
        ) : (
          <>
            <TextSetting
              label="Path"
              required
              description="Full path of the SQLite file on the Grafana server. The user that runs Grafana must be able to read it, the folders above it, and the -wal and -shm files beside it."
              value={settings.path}
              placeholder="/var/lib/ceems/ceems.db"
              check={checkPath}
              disabled={disabled}
              onChange={(path) => set({ path })}
            />
            <ZoneSetting
              label="Time zone"
              description="Time zone of the site, for the local times that CEEMS writes and for days. Empty: detected from the rows."
              value={settings.timezone}
              disabled={disabled}
              onChange={(timezone) => set({ timezone })}
            />
          </>
        )}
      </ConfigSection>
      <Divider spacing={4} />

      <ConfigSection
        title="Several databases"
        description="The databases of several sites, which dashboards query as one. They replace the database above."
        isCollapsible
        isInitiallyOpen={Boolean(settings.sources?.length)}
      >
        <SourcesSetting
          options={options as SecretOptions}
          onOptionsChange={(changed) => onOptionsChange(changed as typeof options)}
        />
      </ConfigSection>
      <Divider spacing={4} />

      <ConfigSection title="Limits" description="Limits keep one careless query from slowing down everybody else's.">
        <TextSetting
          label="Longest time range"
          description="Longer ranges are refused with a message. Empty: no limit."
          value={durationText(settings.maxQueryWindow)}
          placeholder="90d"
          check={checkDuration}
          disabled={disabled}
          onChange={(maxQueryWindow) => set({ maxQueryWindow })}
        />
        <TextSetting
          label="Row limit"
          description="The maximum number of rows in an answer. A notice says when rows were left out. Empty: Grafana's own limit."
          value={settings.rowLimit?.toString()}
          placeholder="1000000"
          check={checkCount}
          disabled={disabled}
          onChange={(text) => set({ rowLimit: /^[1-9]\d*$/.test(text) ? Number(text) : undefined })}
        />
        <TextSetting
          label="Query timeout"
          description="A query that takes longer fails; the other queries of the dashboard do not. Choose less than the timeout of any proxy in front of Grafana."
          value={durationText(settings.queryTimeout)}
          placeholder="30s"
          check={checkDuration}
          disabled={disabled}
          onChange={(queryTimeout) => set({ queryTimeout })}
        />
        {!isElsewhere && (
          <TextSetting
            label="Memory limit"
            description="Memory that the plugin may use for all data sources. The smallest limit of all data sources applies. If memory is short, large queries wait and are then refused. Empty: a part of the memory of the container or the machine."
            value={settings.memoryLimit}
            placeholder="2GiB"
            check={checkMemory}
            disabled={disabled}
            onChange={(memoryLimit) => set({ memoryLimit: memoryLimit || undefined })}
          />
        )}
      </ConfigSection>
      <Divider spacing={4} />

      <ConfigSection
        title="Who sees what"
        description="Users see their own units and the usage of their projects. Administrators see everything. With Grafana Enterprise, do not turn on query caching for this data source: a cached answer can be shown to another user."
      >
        <ChoiceSetting
          label="Administrators by Grafana role"
          description="Administrators are listed in the CEEMS database. A Grafana role can make other users administrators too."
          choices={ADMIN_ROLES}
          value={settings.adminRole ?? ''}
          disabled={disabled}
          onChange={(adminRole) => set({ adminRole })}
        />
        <TextSetting
          label="Service user"
          description="Alert rules, recording rules and public dashboards send queries without a signed-in user. These queries see what this CEEMS user sees. Empty: they are refused. If this user is an administrator, public dashboards show the data of all users."
          value={settings.serviceUser}
          placeholder="none"
          disabled={disabled}
          onChange={(serviceUser) => set({ serviceUser })}
        />
        <ChoiceSetting
          label="Where the service user counts"
          description="Alert rules and public dashboards only send queries. Keep Queries unless a program needs the REST API without signing in."
          choices={SERVICE_USER_PLACES}
          value={settings.serviceUserResources ? 'everywhere' : 'queries'}
          disabled={disabled}
          onChange={(place) => set({ serviceUserResources: place === 'everywhere' })}
        />
        <TextSetting
          label="Shared tags"
          description="Tags by which members of a project can group each other's usage, separated by commas; also state, name and allocation.KEY. By other tags, members can group only their own units. Administrators can group by everything."
          value={settings.sharedTags?.join(', ')}
          placeholder="partition, qos"
          disabled={disabled}
          onChange={(text) => set({ sharedTags: text === '' ? undefined : text.split(/,\s*/) })}
        />
      </ConfigSection>
      <Divider spacing={4} />

      <ConfigSection
        title="Mirror"
        description="A columnar copy of the rows, kept current in the background. It answers queries over long time ranges many times faster."
        isCollapsible
        isInitiallyOpen={settings.mirror !== undefined}
      >
        <ChoiceSetting
          label="Keep a mirror"
          description="On disk, a million units take about 60 MB."
          choices={MIRROR_MODES}
          value={settings.mirror?.mode ?? 'auto'}
          disabled={disabled}
          onChange={(mode) => setMirror({ mode })}
        />
        <TextSetting
          label="Mirror folder"
          description="A folder in which the user that runs Grafana may write. Empty: the plugin chooses a folder."
          value={settings.mirror?.folder}
          placeholder="/var/lib/grafana/ceems"
          check={checkPath}
          disabled={disabled}
          onChange={(folder) => setMirror({ folder })}
        />
      </ConfigSection>
      <Divider spacing={4} />

      <ConfigSection
        title="Links of units"
        description="Links from each unit in a table to more about it, for the time in which the unit ran."
        isCollapsible
        isInitiallyOpen={Boolean(
          settings.metricsDatasourceUid || settings.profilesDatasourceUid || settings.unitDashboardUid
        )}
      >
        <TextSetting
          label="Unit dashboard"
          description={`Uid of a dashboard that shows one unit. It receives the variables uuid, cluster and datasource. The uid of the dashboard that comes with this plugin (import it on the tab Dashboards) is ${DEFAULT_UNIT_DASHBOARD_UID}. Empty: no link.`}
          value={settings.unitDashboardUid ?? DEFAULT_UNIT_DASHBOARD_UID}
          placeholder="no link"
          disabled={disabled}
          onChange={(unitDashboardUid) => set({ unitDashboardUid })}
        />
        <DataSourceSetting
          label="Metrics data source"
          description="The Prometheus (or compatible) data source with the metrics of CEEMS. Units then have a link to Explore."
          isOfKind={({ type, meta }) => /prometheus/i.test(type) || Boolean(meta.aliasIDs?.includes('prometheus'))}
          value={settings.metricsDatasourceUid}
          disabled={disabled}
          onChange={(metricsDatasourceUid) => set({ metricsDatasourceUid })}
        />
        <MetricsTemplateSetting
          value={settings.metricsQueryTemplate}
          disabled={disabled}
          onChange={(metricsQueryTemplate) => set({ metricsQueryTemplate })}
        />
        <DataSourceSetting
          label="Profiles data source"
          description="The Pyroscope data source with the profiles of units."
          isOfKind={({ type }) => /pyroscope/i.test(type)}
          value={settings.profilesDatasourceUid}
          disabled={disabled}
          onChange={(profilesDatasourceUid) => set({ profilesDatasourceUid })}
        />
        <TextSetting
          label="Profiles selector"
          description="Labels of a unit's profiles. ${uuid} and ${cluster_id} stand for the unit."
          value={settings.profilesQueryTemplate}
          placeholder={DEFAULT_PROFILES_TEMPLATE}
          disabled={disabled}
          onChange={(profilesQueryTemplate) => set({ profilesQueryTemplate })}
        />
        <TextSetting
          label="Profile type"
          description="What the profile counts."
          value={settings.profilesType}
          placeholder={DEFAULT_PROFILE_TYPE}
          disabled={disabled}
          onChange={(profilesType) => set({ profilesType })}
        />
      </ConfigSection>
    </>
  );
}
