import { Button, SecretInput, SecretTextArea, Field } from '@grafana/ui';
import React, { useId } from 'react';
import { CeemsOptions, CeemsSource } from '../types';
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
const FAILURES: Array<{ value: 'notice' | 'error'; label: string; description: string }> = [
  { value: 'notice', label: 'Notice', description: 'Show the rows of the other sources, and say what is missing' },
  {
    value: 'error',
    label: 'Error',
    description: 'Show nothing, because a partial answer could be taken for a complete one',
  },
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
const DURATION = /^(\d+(s|m|h))+$/;

interface Props<T extends SecretOptions> {
  options: T;
  onOptionsChange: (options: T) => void;
}

/** Edits the list of sources whose rows are merged, and what happens when one of them does not answer. */
export function SourcesSetting<T extends SecretOptions>({ options, onOptionsChange }: Props<T>) {
  const settings = options.jsonData;
  const sources = settings.sources ?? [];
  const set = (part: Partial<CeemsOptions>) => onOptionsChange({ ...options, jsonData: { ...settings, ...part } });
  const setSource = (place: number, source: CeemsSource) =>
    set({ sources: sources.map((other, index) => (index === place ? source : other)) });
  const add = () => {
    // The current database becomes the first source, because a data source has either a database or a list of sources.
    const { path, ...rest } = settings;
    const first = path && !sources.length ? [{ name: 'main', path }] : sources;
    onOptionsChange({ ...options, jsonData: { ...rest, sources: [...first, { name: '', path: '' }] } });
  };
  const remove = (place: number) => {
    const left = sources.filter((_, index) => index !== place);
    set({ sources: left.length ? left : undefined });
  };
  return (
    <>
      {sources.map((source, place) => (
        <fieldset key={place} aria-label={`Source ${place + 1}`}>
          <SourceSetting
            title={`Source ${place + 1}`}
            source={source}
            names={sources.filter((_, index) => index !== place).map(({ name }) => name)}
            options={options}
            onOptionsChange={onOptionsChange}
            onChange={(changed) => setSource(place, changed)}
          />
          <Button
            variant="secondary"
            icon="trash-alt"
            disabled={options.readOnly}
            aria-label={`Remove source ${place + 1}`}
            onClick={() => remove(place)}
          >
            Remove
          </Button>
        </fieldset>
      ))}
      <Button variant="secondary" icon="plus" disabled={options.readOnly} onClick={add}>
        Add a source
      </Button>
      {sources.length > 0 && (
        <>
          <TextSetting
            label="Time for each source"
            description="A source that takes longer for a query is left out of the answer."
            value={settings.sourceTimeout}
            placeholder="10s"
            check={(text) => (DURATION.test(text) ? undefined : 'A length of time, such as 10s or 1m')}
            disabled={options.readOnly}
            onChange={(sourceTimeout) => set({ sourceTimeout })}
          />
          <ChoiceSetting
            label="When a source does not answer"
            description="What dashboards and alert rules get when a query needs a source that does not answer."
            choices={FAILURES}
            value={settings.onSourceFailure ?? 'notice'}
            disabled={options.readOnly}
            onChange={(onSourceFailure) => set({ onSourceFailure })}
          />
        </>
      )}
    </>
  );
}

interface SourceProps<T extends SecretOptions> extends Props<T> {
  title: string;
  source: CeemsSource;
  /** The names of the other sources. */
  names: string[];
  onChange: (source: CeemsSource) => void;
}

function SourceSetting<T extends SecretOptions>(props: SourceProps<T>) {
  const { title, source, names, options, onChange } = props;
  const disabled = options.readOnly;
  const set = (part: Partial<CeemsSource>) => onChange({ ...source, ...part });
  const kind: Kind = source.address !== undefined ? 'address' : source.postgres !== undefined ? 'postgres' : 'path';
  const checkName = (text: string) =>
    !NAME.test(text)
      ? 'Letters, digits, - and _'
      : names.some((name) => name.toLowerCase() === text.toLowerCase())
        ? 'Another source has this name'
        : undefined;
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
            check={(text) => (text.startsWith('/') ? undefined : 'A full path, which starts with /')}
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
            check={(text) => (/^\S+:\d{1,5}$/.test(text) ? undefined : 'Host and port, such as ceems-host:9443')}
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
          <SecretSetting
            {...props}
            secret="token"
            label={`${title}: token`}
            description="One of the server's tokens."
          />
          {CERTIFICATES.map(({ key, label, description }) => (
            <SecretSetting
              key={key}
              {...props}
              secret={key}
              label={`${title}: ${label.toLowerCase()}`}
              description={description}
              lines
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
            {...props}
            secret="postgresPassword"
            label={`${title}: password`}
            description="Password of the user in the URL."
          />
        </>
      )}
    </>
  );
}

interface SecretProps<T extends SecretOptions> extends SourceProps<T> {
  secret: string;
  label: string;
  description: string;
  lines?: boolean;
}

/** A secret text, which the browser sends but never receives. */
function SecretSetting<T extends SecretOptions>(props: SecretProps<T>) {
  const { source, options, onOptionsChange, secret, label, description, lines } = props;
  const id = useId();
  const key = `${source.name}.${secret}`;
  const change = (value: string, configured: boolean) =>
    onOptionsChange({
      ...options,
      secureJsonFields: { ...options.secureJsonFields, [key]: configured },
      secureJsonData: { ...options.secureJsonData, [key]: value },
    });
  const common = {
    id,
    'aria-label': label,
    isConfigured: Boolean(options.secureJsonFields?.[key]),
    value: options.secureJsonData?.[key] ?? '',
    disabled: Boolean(options.readOnly) || !source.name,
    onReset: () => change('', false),
  };
  return (
    <Field label={label} description={description} htmlFor={id}>
      {lines ? (
        <SecretTextArea
          {...common}
          cols={60}
          rows={3}
          placeholder="-----BEGIN"
          onChange={(event) => change(event.currentTarget.value, false)}
        />
      ) : (
        <SecretInput {...common} width={60} onChange={(event) => change(event.currentTarget.value, false)} />
      )}
    </Field>
  );
}
