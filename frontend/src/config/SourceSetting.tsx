import React from 'react';
import { CeemsOptions, CeemsSource } from '../types';
import { checkAddress, checkPath } from './checks';
import { SecretSetting } from './SecretSetting';
import { ChoiceSetting, TextSetting, ZoneSetting } from './SettingFields';

type Kind = 'path' | 'address' | 'postgres';
/** Secrets by name. Grafana never returns them; `true` in the fields means that a secret is saved. */
export interface SecretOptions {
  jsonData: CeemsOptions;
  secureJsonData?: Record<string, string | undefined>;
  secureJsonFields?: Record<string, boolean | undefined>;
  readOnly?: boolean;
}

const KINDS: Array<{ value: Kind; label: string; description: string }> = [
  { value: 'path', label: 'File', description: 'A CEEMS database that this Grafana server can read' },
  { value: 'address', label: 'Server', description: 'A ceems-grpc server on the host of the database' },
  { value: 'postgres', label: 'PostgreSQL', description: 'A PostgreSQL database that is fed from CEEMS databases' },
];
const CERTIFICATES = [
  {
    key: 'caCert',
    label: 'Certificate authority',
    description: "The authority that signed the server's certificate, in PEM.",
  },
  {
    key: 'clientCert',
    label: 'Client certificate',
    description: 'The certificate of this Grafana, in PEM, if the server requires one.',
  },
  { key: 'clientKey', label: 'Client key', description: 'The key of the client certificate, in PEM.' },
];
const NAME = /^[A-Za-z0-9][A-Za-z0-9_-]{0,59}$/;

interface SourceProps<T extends SecretOptions> {
  options: T;
  onOptionsChange: (options: T) => void;
  title: string;
  source: CeemsSource;
  /** The names of the other sources. */
  names: string[];
  onChange: (source: CeemsSource) => void;
}

/** Edits one source of the list: its name, its kind, and what belongs to this kind. */
export function SourceSetting<T extends SecretOptions>(props: SourceProps<T>) {
  const { title, source, names, options, onOptionsChange, onChange } = props;
  const disabled = options.readOnly;
  const set = (part: Partial<CeemsSource>) => onChange({ ...source, ...part });
  const kind: Kind = source.address !== undefined ? 'address' : source.postgres !== undefined ? 'postgres' : 'path';
  const checkName = (text: string) =>
    !NAME.test(text)
      ? 'Letters, digits, - and _'
      : names.some((name) => name.toLowerCase() === text.toLowerCase())
        ? 'Another source has this name'
        : undefined;
  // Grafana stores secrets in one flat list, so those of a source have its name in theirs.
  const secret = (name: string) => {
    const key = `${source.name}.${name}`;
    const change = (value: string) =>
      onOptionsChange({
        ...options,
        secureJsonFields: { ...options.secureJsonFields, [key]: false },
        secureJsonData: { ...options.secureJsonData, [key]: value },
      });
    return {
      value: options.secureJsonData?.[key],
      saved: Boolean(options.secureJsonFields?.[key]),
      disabled: Boolean(options.readOnly) || !source.name,
      onChange: change,
      onReset: () => change(''),
    };
  };
  return (
    <>
      <TextSetting
        label={`${title}: name`}
        description="Notices use this name. Secrets are stored by name: enter them again after you change it."
        required
        value={source.name}
        placeholder="site-a"
        check={checkName}
        disabled={disabled}
        onChange={(name) => set({ name })}
      />
      <ChoiceSetting
        label={`${title}: kind`}
        description="Where the rows of this source are stored."
        choices={KINDS}
        value={kind}
        disabled={disabled}
        onChange={(chosen) => onChange({ name: source.name, [chosen]: '' })}
      />
      {kind === 'path' && (
        <>
          <TextSetting
            label={`${title}: path`}
            description="Full path of the SQLite file on the Grafana server."
            required
            value={source.path}
            placeholder="/var/lib/ceems/ceems.db"
            check={checkPath}
            disabled={disabled}
            onChange={(path) => set({ path })}
          />
          <ZoneSetting
            label={`${title}: time zone`}
            description="Time zone of this site's local times. Empty: the zone of the data source, or detected from the rows."
            value={source.timezone}
            disabled={disabled}
            onChange={(timezone) => set({ timezone })}
          />
        </>
      )}
      {kind === 'address' && (
        <>
          <TextSetting
            label={`${title}: address`}
            description="Host and port of the server."
            required
            value={source.address}
            placeholder="ceems-host:9443"
            check={checkAddress}
            disabled={disabled}
            onChange={(address) => set({ address })}
          />
          <TextSetting
            label={`${title}: name in the certificate`}
            description="The name in the server's certificate, if it differs from the host in the address."
            value={source.tlsServerName}
            disabled={disabled}
            onChange={(tlsServerName) => set({ tlsServerName })}
          />
          <SecretSetting {...secret('token')} label={`${title}: token`} description="One of the server's tokens." />
          {CERTIFICATES.map(({ key, label, description }) => (
            <SecretSetting
              key={key}
              {...secret(key)}
              label={`${title}: ${label.toLowerCase()}`}
              description={description}
              placeholder="-----BEGIN"
              rows={3}
            />
          ))}
        </>
      )}
      {kind === 'postgres' && (
        <>
          <TextSetting
            label={`${title}: URL`}
            description="Without the password, which is entered below."
            required
            value={source.postgres}
            placeholder="postgresql://user@host:5432/database"
            check={(text) =>
              /^postgres(ql)?:\/\/[^:@\s]*(@|[^@]*$)/.test(text) ? undefined : 'A URL postgresql:// without a password'
            }
            disabled={disabled}
            onChange={(postgres) => set({ postgres })}
          />
          <TextSetting
            label={`${title}: schema`}
            description="The schema with the tables."
            value={source.postgresSchema}
            placeholder="ceems"
            disabled={disabled}
            onChange={(postgresSchema) => set({ postgresSchema })}
          />
          <SecretSetting
            {...secret('postgresPassword')}
            label={`${title}: password`}
            description="Password of the user in the URL."
          />
        </>
      )}
    </>
  );
}
