import { EditorField } from '@grafana/plugin-ui';
import { Button, InlineSwitch, Stack } from '@grafana/ui';
import React, { useCallback } from 'react';
import { SuggestionScope, SuggestionSource } from '../suggestions/suggestions';
import { groupedFields } from './fieldOptions';
import { SuggestedSelect } from './SuggestedSelect';

interface Props {
  datasource: SuggestionSource;
  /** Names of fields; a minus before a name means descending order. */
  orders: string[];
  scope: SuggestionScope;
  onChange: (orders: string[]) => void;
}

/** The order of rows: fields, each with a switch for descending order, and an empty one to add another. */
export function OrderEditor({ datasource, orders, scope, onChange }: Props) {
  const load = useCallback((search: string) => datasource.suggest('fields', { ...scope, search }), [datasource, scope]);
  const change = (index: number, order: string | undefined) =>
    onChange([...orders.slice(0, index), ...(order === undefined ? [] : [order]), ...orders.slice(index + 1)]);
  return (
    <EditorField label="Order by" tooltip="Rows that are equal in one field are ordered by the next.">
      <Stack direction="column" gap={0.5} alignItems="flex-start">
        {[...orders, ''].map((order, index) => (
          <OrderRow
            key={index}
            name={`Order ${index + 1}`}
            load={load}
            order={order}
            isFirst={index === 0}
            onChange={(next) => change(index, next)}
          />
        ))}
      </Stack>
    </EditorField>
  );
}

interface RowProps {
  name: string;
  load: Parameters<typeof SuggestedSelect>[0]['load'];
  /** Empty if there is no field yet. */
  order: string;
  isFirst: boolean;
  /** Undefined removes the row. */
  onChange: (order: string | undefined) => void;
}

function OrderRow({ name, load, order, isFirst, onChange }: RowProps) {
  const isDescending = order === '' || order.startsWith('-');
  const field = order.replace(/^-/, '');
  const write = (chosen: string, descending: boolean) => onChange(descending ? `-${chosen}` : chosen);
  return (
    <Stack direction="row" gap={0.5}>
      <SuggestedSelect
        name={`${name}: field`}
        load={load}
        toOptions={groupedFields}
        values={field ? [field] : []}
        onChange={([chosen]) => (chosen ? write(chosen, isDescending) : onChange(undefined))}
        placeholder={isFirst ? 'As stored' : 'Then by'}
        width={28}
        isField
      />
      {order !== '' && (
        <>
          <InlineSwitch
            label="Descending"
            showLabel
            aria-label={`${name}: descending`}
            value={isDescending}
            onChange={(event) => write(field, event.currentTarget.checked)}
          />
          <Button
            aria-label={`Remove ${name.toLowerCase()}`}
            icon="times"
            variant="secondary"
            onClick={() => onChange(undefined)}
          />
        </>
      )}
    </Stack>
  );
}
