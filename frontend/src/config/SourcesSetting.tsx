import { Button } from '@grafana/ui';
import React from 'react';
import { CeemsOptions, CeemsSource } from '../types';
import { checkDuration, durationText } from './checks';
import { ChoiceSetting, TextSetting } from './SettingFields';
import { SecretOptions, SourceSetting } from './SourceSetting';

const FAILURES: Array<{ value: 'notice' | 'error'; label: string; description: string }> = [
  { value: 'notice', label: 'Notice', description: 'Show the rows of the other sources, and say what is missing' },
  {
    value: 'error',
    label: 'Error',
    description: 'Show nothing, because a partial answer could be taken for a complete one',
  },
];

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
            value={durationText(settings.sourceTimeout)}
            placeholder="10s"
            check={checkDuration}
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
