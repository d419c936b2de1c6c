import { GROUP_COLUMNS, UNIT_GROUP_COLUMNS } from '../query/queryTypes';
import { groupOfField } from '../suggestions/adHocFilters';
import { Suggestions } from '../types';
import { Option } from './useSuggestions';

/** Fields grouped by their kind, each with its description and unit. */
export function groupedFields({ values }: Suggestions): Option[] {
  const groups = new Map<string, Option[]>();
  for (const field of values) {
    const group = groupOfField(field);
    const description = [field.description, field.unit && `Unit: ${field.unit}.`].filter(Boolean).join(' ');
    const option = { value: field.value, label: field.label || field.value, description: description || undefined };
    groups.set(group, [...(groups.get(group) ?? []), option]);
  }
  return [...groups].map(([label, options]) => ({ label, options }));
}

/** What usage can be grouped by: columns, and the tags and allocation of units. */
export function groupOptions({ values }: Suggestions): Option[] {
  const ofUnits = values.filter(({ value }) => /^(tags|allocation)\../.test(value));
  return [
    { label: 'Of all usage', options: GROUP_COLUMNS },
    { label: 'Of units', options: UNIT_GROUP_COLUMNS },
    ...groupedFields({ values: ofUnits, warnings: [] }),
  ];
}
