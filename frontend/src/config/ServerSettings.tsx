import { Field, SecretInput, SecretTextArea } from '@grafana/ui';
import React, { useId } from 'react';
import { CeemsOptions, CeemsSecrets } from '../types';
import { TextSetting } from './SettingFields';

const CERTIFICATE = '-----BEGIN CERTIFICATE-----';
const KEY = '-----BEGIN PRIVATE KEY-----';
const WIDTH = 60;

const ADDRESS = /^(\[[0-9a-f:.]+\]|[a-z0-9._-]+):([0-9]{1,5})$/i;

/** Returns what is wrong with the address of a server, or undefined. */
export function checkAddress(text: string): string | undefined {
  const port = Number(ADDRESS.exec(text)?.[2] ?? 0);
  return port > 0 && port < 65536 ? undefined : 'host:port, such as ceems-host:9443';
}

interface Props {
  address: string | undefined;
  serverName: string | undefined;
  /** Secrets that were typed since the settings were last saved. */
  secrets: CeemsSecrets;
  /** Which secrets are saved; Grafana never shows them again. */
  saved: Partial<Record<keyof CeemsSecrets, boolean>>;
  disabled?: boolean;
  onChange: (part: Pick<CeemsOptions, 'address' | 'tlsServerName'>) => void;
  /** Sets a secret. undefined removes a saved one, so that another can be typed. */
  onSecret: (name: keyof CeemsSecrets, value: string | undefined) => void;
}

/** The address of a `ceems-grpc server` on another host, and the credentials for it. */
export function ServerSettings({ address, serverName, secrets, saved, disabled, onChange, onSecret }: Props) {
  const secret = (name: keyof CeemsSecrets) => ({
    value: secrets[name],
    saved: Boolean(saved[name]),
    disabled,
    onChange: (value: string) => onSecret(name, value),
    onReset: () => onSecret(name, undefined),
  });
  return (
    <>
      <TextSetting
        label="Address"
        required
        description="Host and port of the ceems-grpc server on the host of the database. The connection uses TLS."
        value={address}
        placeholder="ceems-host:9443"
        check={checkAddress}
        disabled={disabled}
        onChange={(text) => onChange({ address: text })}
      />
      <SecretSetting
        label="Token"
        description="A line of the server's token file. Empty if the server requires only a client certificate."
        placeholder="64 characters"
        {...secret('token')}
      />
      <SecretSetting
        label="CA certificate"
        description="The authority that signed the server's certificate. Empty: the authorities of Grafana's host."
        placeholder={CERTIFICATE}
        rows={5}
        {...secret('caCert')}
      />
      <TextSetting
        label="Server name"
        description="The name in the server's certificate, if it differs from the host in the address."
        value={serverName}
        placeholder="as in the address"
        disabled={disabled}
        onChange={(text) => onChange({ tlsServerName: text })}
      />
      <SecretSetting
        label="Client certificate"
        description="The certificate of this Grafana, if the server requires one."
        placeholder={CERTIFICATE}
        rows={5}
        {...secret('clientCert')}
      />
      <SecretSetting
        label="Client key"
        description="The key of the client certificate, without a passphrase."
        placeholder={KEY}
        rows={5}
        {...secret('clientKey')}
      />
    </>
  );
}

interface SecretSettingProps {
  label: string;
  description: string;
  placeholder: string;
  value: string | undefined;
  saved: boolean;
  disabled?: boolean;
  /** The number of visible lines. The text of a single line is hidden. */
  rows?: number;
  onChange: (value: string) => void;
  onReset: () => void;
}

function SecretSetting({ label, description, value, saved, rows, onChange, ...rest }: SecretSettingProps) {
  const id = useId();
  const shared = { id, 'aria-label': label, value: value ?? '', isConfigured: saved, ...rest };
  return (
    <Field label={label} description={description} htmlFor={id}>
      {rows ? (
        <SecretTextArea
          {...shared}
          rows={rows}
          cols={WIDTH}
          spellCheck={false}
          onChange={(event) => onChange(event.currentTarget.value)}
        />
      ) : (
        <SecretInput
          {...shared}
          width={WIDTH}
          autoComplete="off"
          onChange={(event) => onChange(event.currentTarget.value)}
        />
      )}
    </Field>
  );
}
