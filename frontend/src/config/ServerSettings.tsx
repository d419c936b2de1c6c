import React from 'react';
import { CeemsOptions, CeemsSecrets } from '../types';
import { checkAddress } from './checks';
import { SecretSetting } from './SecretSetting';
import { TextSetting } from './SettingFields';

const CERTIFICATE = '-----BEGIN CERTIFICATE-----';
const KEY = '-----BEGIN PRIVATE KEY-----';

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
