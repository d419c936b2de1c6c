import { EditorField, EditorSwitch } from '@grafana/plugin-ui';
import { RadioButtonGroup } from '@grafana/ui';
import React, { useId } from 'react';
import { ChoiceSelect } from '../fields/ChoiceSelect';
import { Option } from '../fields/useSuggestions';
import { LIVE_ROWS } from '../live/live';
import { CeemsQuery, Mode } from '../types';

const IN_RANGE: Period = { value: 'current', label: 'Time range', description: 'Within the time range of the panel' };
const LAST_DAY: Period = { value: 'current', label: 'Last 24 hours', description: 'Within the 24 hours before now' };
const ALL_TIME: Period = { value: 'global', label: 'All time', description: 'Over everything in the database' };

interface Period {
  value: Mode;
  label: string;
  description: string;
}

interface Props<T> {
  value: T | undefined;
  onChange: (value: T) => void;
}

/** Within the time range (for live answers, the last day) or over all time. */
export function ModeRadio({ value, onChange, live }: Props<CeemsQuery['mode']> & { live: boolean }) {
  const options = [live ? LAST_DAY : IN_RANGE, ALL_TIME];
  return (
    <EditorField label="Period">
      <RadioButtonGroup
        aria-label="Period"
        options={options}
        value={(value ?? 'current') as Mode}
        onChange={onChange}
      />
    </EditorField>
  );
}

/** Include units that have not ended. */
export function RunningSwitch(props: Props<CeemsQuery['running']>) {
  return (
    <FlagSwitch
      {...props}
      label="Running too"
      tooltip="Include units that had not ended by the end of the time range."
    />
  );
}

/** Colour annotations by the state of their units. */
export function ColorSwitch(props: Props<boolean>) {
  const tooltip = 'Failed units are red, completed ones green. Off: all have the colour of the annotation.';
  return <FlagSwitch {...props} label="Colours by state" tooltip={tooltip} />;
}

const RUNNING_AT: Option[] = [
  { value: 'range', label: 'In the time range', description: 'All units that ran within the time range' },
  { value: 'now', label: 'Now', description: 'Units that are running now, whatever the time range' },
];

/** Which units are running, where the time range is in the past. */
export function RunningAtSelect({ value, onChange }: Props<CeemsQuery['runningAt']>) {
  return (
    <ChoiceSelect
      label="Running when"
      tooltip="Which units are running, if the time range ended more than a quarter of an hour ago."
      options={RUNNING_AT}
      value={value}
      onChange={(at) => onChange(at ?? 'range')}
      placeholder="In the time range"
      width={22}
    />
  );
}

/** Follow the database. */
export function LiveSwitch({ sentence, ...props }: Props<CeemsQuery['live']> & { sentence: string }) {
  const tooltip =
    `${sentence} The table is shown anew whenever CEEMS writes to its database, without a refresh. ` +
    `It has at most ${LIVE_ROWS} rows, unless the limit says another number. ` +
    'This needs Grafana Live and somebody who is signed in; otherwise it changes when the panel is refreshed.';
  return <FlagSwitch {...props} label="Live" tooltip={tooltip} />;
}

/** Group by user and project too, as the REST API of CEEMS does, instead of by exactly the chosen columns. */
export function ApiGroupsSwitch({ value, onChange }: Props<CeemsQuery['exactGroupBy']>) {
  const tooltip =
    'Off: one row for each group; with no groups, one row over everything. ' +
    'On: each user and project is a group of its own too, as in the REST API of CEEMS.';
  return (
    <FlagSwitch
      label="Also by user and project"
      tooltip={tooltip}
      value={value === false || value === 'false'}
      onChange={(on) => onChange(!on)}
    />
  );
}

interface FlagProps {
  value: boolean | string | undefined;
  onChange: (on: boolean) => void;
  label: string;
  tooltip: string;
}

function FlagSwitch({ value, onChange, label, tooltip }: FlagProps) {
  const id = useId();
  return (
    <EditorField label={label} tooltip={tooltip} htmlFor={id}>
      <EditorSwitch
        id={id}
        aria-label={label}
        value={value === true || value === 'true'}
        onChange={(event) => onChange(event.currentTarget.checked)}
      />
    </EditorField>
  );
}
