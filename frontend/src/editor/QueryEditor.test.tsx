import { CoreApp } from '@grafana/data';
import { screen, waitFor } from '@testing-library/react';
import React from 'react';
import { startGrafana, World } from '../test/grafana';
import { choose, field, renderEditor, typeValue } from '../test/render';
import { CURRENT_VERSION } from '../query/versions';
import { CeemsQuery, Suggestion } from '../types';
import { QueryEditor } from './QueryEditor';

const USERS: Suggestion[] = [{ value: 'alice', label: 'Alice A.' }, { value: 'bob' }];
const FIELDS: Suggestion[] = [
  { value: 'uuid', kind: 'identity', description: 'Identifier of the unit.' },
  { value: 'avg_cpu_usage.global', kind: 'metric', description: 'Mean use of the CPUs.', unit: 'percent' },
  { value: 'total_energy_usage_kwh.total', kind: 'derived' },
];
const SUGGEST: World['suggest'] = {
  users: ({ prefix }) => USERS.filter(({ value }) => value.startsWith(String(prefix ?? ''))),
  clusters: [{ value: 'slurm-0' }],
  projects: [{ value: 'p1' }],
  states: [{ value: 'COMPLETED' }],
  fields: FIELDS,
};

function edit(query: Partial<CeemsQuery> = {}, { app, ...world }: World & { app?: CoreApp } = {}) {
  const grafana = startGrafana({ suggest: SUGGEST, ...world });
  const onRunQuery = jest.fn();
  const edited = renderEditor<CeemsQuery>({ refId: 'A', version: CURRENT_VERSION, ...query }, (value, onChange) => (
    <QueryEditor datasource={grafana.datasource} query={value} onChange={onChange} onRunQuery={onRunQuery} app={app} />
  ));
  return { ...grafana, ...edited, onRunQuery };
}

it.each<[CoreApp | undefined, Partial<CeemsQuery>]>([
  [CoreApp.PanelEditor, { queryType: 'units', limit: 1000, admin: 'auto' }],
  [CoreApp.UnifiedAlerting, { queryType: 'usage', format: 'numeric', exactGroupBy: true, groupBy: ['project'] }],
])('writes the defaults that it shows into a new query in %s', async (app, expected) => {
  const { current } = edit({ version: undefined }, { app });
  await waitFor(() => expect(current()).toMatchObject({ version: CURRENT_VERSION, ...expected }));
});

it('writes what an older query means into it', async () => {
  const { current } = edit({ version: undefined, queryType: 'usage' });
  await waitFor(() => expect(current()).toMatchObject({ version: CURRENT_VERSION, exactGroupBy: false, admin: false }));
});

it('starts with units, says what they are, and asks the server for nothing', () => {
  const { requests } = edit();
  expect(screen.getByText('Units')).toBeInTheDocument();
  expect(screen.getByText(/One row for each job, virtual machine or pod/)).toBeInTheDocument();
  expect(requests).toEqual([]);
});

it('groups usage by exactly what is chosen', async () => {
  const { user, current } = edit({ queryType: 'usage' });
  expect(field('Also by user and project')).not.toBeChecked();
  await user.click(field('Also by user and project'));
  expect(current().exactGroupBy).toBe(false);
  await user.click(field('Also by user and project'));
  expect(current().exactGroupBy).toBe(true);
});

it('groups usage by tags and columns that units have', async () => {
  const fields: Suggestion[] = [...FIELDS, { value: 'tags.partition', kind: 'tag' }];
  const { user, current, asked } = edit(
    { queryType: 'usage', groupBy: ['project'] },
    { suggest: { ...SUGGEST, fields } }
  );
  await choose(user, 'Group by', 'State');
  await choose(user, 'Group by', 'tags.partition');
  expect(current().groupBy).toEqual(['project', 'state', 'tags.partition']);
  expect(asked('fields').at(-1)).toHaveProperty('column', 'units');
  expect(screen.queryByText('avg_cpu_usage.global')).not.toBeInTheDocument();
});

it('changes the type of the query, and shows what that type has', async () => {
  const { user, current, onRunQuery } = edit({ running: true, uuids: ['1'] });
  expect(screen.queryByLabelText('Group by')).not.toBeInTheDocument();
  await choose(user, 'Query type', 'Usage');
  expect(current()).toEqual({ refId: 'A', version: CURRENT_VERSION, queryType: 'usage', source: 'prorated' });
  expect(onRunQuery).toHaveBeenCalledTimes(1);
  expect(screen.queryByLabelText('Unit IDs')).not.toBeInTheDocument();
  await choose(user, 'Group by', 'Cluster');
  await user.click(screen.getByLabelText('All time'));
  expect(current()).toEqual({
    refId: 'A',
    version: CURRENT_VERSION,
    queryType: 'usage',
    source: 'prorated',
    groupBy: ['cluster_id'],
    mode: 'global',
  });
  expect(screen.queryByLabelText('Summed from')).not.toBeInTheDocument();
});

it('names series by a template', async () => {
  const { user, current } = edit({ queryType: 'usage-over-time' });
  await typeValue(user, 'Legend', '{{project}} {{metric}}');
  expect(current().legend).toBe('{{project}} {{metric}}');
  await choose(user, 'Legend', 'Names of columns');
  expect(current().legend).toBe('names');
});

describe('a filter', () => {
  it('searches as one types, within the other filters', async () => {
    const { user, current, asked } = edit({ clusters: ['slurm-0'], admin: 'auto' });
    await user.type(field('Users'), 'al');
    await waitFor(() => expect(asked('users').at(-1)).toHaveProperty('prefix', 'al'));
    await user.click(await screen.findByText('Alice A.'));
    expect(current().users).toEqual(['alice']);
    expect(asked('users').at(-1)).toMatchObject({
      prefix: 'al',
      cluster_id: ['slurm-0'],
      admin: 'auto',
    });
    // Typing pauses before the server is asked: once for the open menu, once for the text.
    expect(asked('users').length).toBeLessThanOrEqual(2);
  });

  it('offers the variables of the dashboard', async () => {
    const { user, current } = edit({ users: ['alice'] }, { variables: { user: 'bob' } });
    await choose(user, 'Users', '$user');
    expect(current().users).toEqual(['alice', '$user']);
  });

  it('takes any other text', async () => {
    const { user, current } = edit();
    await typeValue(user, 'Users', 'nobody-${x}');
    expect(current().users).toEqual(['nobody-${x}']);
  });

  it('shows stored values, and forgets those that are removed', async () => {
    const { user, current } = edit({ states: ['COMPLETED', 'FAILED'] });
    expect(screen.getByText('FAILED')).toBeInTheDocument();
    await user.type(field('States'), '{Backspace}');
    expect(current().states).toEqual(['COMPLETED']);
  });

  it('says why there are no suggestions', async () => {
    const { user } = edit({}, { suggest: {} });
    await user.click(field('Users'));
    expect(await screen.findByText('no users to be had')).toBeInTheDocument();
  });

  it('says when there are more values than it shows', async () => {
    const { user } = edit({}, { warnings: ['Only the first 100 are shown.'] });
    await user.click(field('Users'));
    expect(await screen.findByText('Only the first 100 are shown.')).toBeInTheDocument();
  });
});

describe('fields', () => {
  it('are picked from groups, with descriptions, in the order of picking', async () => {
    const { user, current, asked } = edit({ queryType: 'usage' });
    await user.click(field('Fields'));
    expect(await screen.findByText('Who and what')).toBeInTheDocument();
    expect(screen.getByText('Measured')).toBeInTheDocument();
    expect(screen.getByText('Mean use of the CPUs. Unit: percent.')).toBeInTheDocument();
    await user.click(screen.getByText('total_energy_usage_kwh.total'));
    await choose(user, 'Fields', 'uuid');
    expect(current().fields).toEqual(['total_energy_usage_kwh.total', 'uuid']);
    expect(asked('fields')[0]).toMatchObject({ column: 'usage' });
  });

  it('are searched by words anywhere in names and descriptions', async () => {
    const { user, asked } = edit({ queryType: 'usage' });
    await user.type(field('Fields'), 'CPUs mean');
    await waitFor(() => expect(asked('fields').at(-1)).toMatchObject({ search: 'CPUs mean' }));
    expect(await screen.findByText('avg_cpu_usage.global')).toBeInTheDocument();
    expect(screen.queryByText('total_energy_usage_kwh.total')).not.toBeInTheDocument();
  });

  it('are no free text, but variables', async () => {
    const { user, current } = edit({ queryType: 'usage' });
    await typeValue(user, 'Fields', 'avg_cpu_usge');
    expect(current().fields).toBeUndefined();
    await user.clear(field('Fields'));
    await typeValue(user, 'Fields', 'total_emissions_gms.$provider');
    expect(current().fields).toEqual(['total_emissions_gms.$provider']);
    await typeValue(user, 'Order 1: field', 'nothing');
    expect(current().orderBy).toBeUndefined();
  });

  it('are what rows can be ordered by, with a switch for descending order', async () => {
    const { user, current } = edit();
    await choose(user, 'Order 1: field', 'uuid');
    expect(current().orderBy).toEqual(['-uuid']);
    await choose(user, 'Order 2: field', 'avg_cpu_usage.global');
    await user.click(screen.getByLabelText('Order 2: descending'));
    expect(current().orderBy).toEqual(['-uuid', 'avg_cpu_usage.global']);
    await choose(user, 'Order 2: field', 'total_energy_usage_kwh.total');
    expect(current().orderBy).toEqual(['-uuid', 'total_energy_usage_kwh.total']);
    await user.click(screen.getByLabelText('Remove order 1'));
    expect(current().orderBy).toEqual(['total_energy_usage_kwh.total']);
    expect(screen.getByLabelText('Order 1: descending')).not.toBeChecked();
  });
});

describe('conditions', () => {
  it('are built of a column, an operator and a value', async () => {
    const { user, current } = edit();
    await user.click(screen.getByLabelText('Add a condition'));
    await user.click(field('Condition 1: column'));
    await user.click(await screen.findByText('avg_cpu_usage.global'));
    // What is computed cannot be a condition.
    expect(screen.queryByText('total_energy_usage_kwh.total')).not.toBeInTheDocument();
    await choose(user, 'Condition 1: operator', '<');
    await typeValue(user, 'Condition 1: value', '10');
    expect(current().filters).toEqual([{ key: 'avg_cpu_usage.global', operator: '<', value: '10' }]);
  });

  it('take lists where the operator does, and suggest the values of the column', async () => {
    const { user, current } = edit({ filters: [{ key: 'username', operator: '=', value: 'alice' }] });
    await choose(user, 'Condition 1: operator', '=|');
    expect(current().filters).toEqual([{ key: 'username', operator: '=|', value: ['alice'] }]);
    await choose(user, 'Condition 1: value', 'bob');
    expect(current().filters).toEqual([{ key: 'username', operator: '=|', value: ['alice', 'bob'] }]);
  });

  it('can be removed', async () => {
    const filters = ['1', '2'].map((value) => ({ key: 'elapsed', operator: '=', value }));
    const { user, current } = edit({ filters });
    await user.click(screen.getByLabelText('Remove condition 1'));
    expect(current().filters).toEqual([{ key: 'elapsed', operator: '=', value: '2' }]);
  });
});

describe('the rest', () => {
  it('chooses which units are running, once there are any', async () => {
    const { user, current } = edit({ running: false });
    expect(screen.queryByLabelText('Running when')).not.toBeInTheDocument();
    await user.click(field('Running too'));
    await choose(user, 'Running when', 'Now');
    expect(current()).toMatchObject({ running: true, runningAt: 'now' });
  });

  it('switches running units on and off', async () => {
    const { user, current } = edit();
    await user.click(field('Running too'));
    expect(current().running).toBe(true);
    await user.click(field('Running too'));
    expect(current().running).toBe(false);
  });

  it('asks as an administrator, as oneself, or as what one is', async () => {
    const { user, current } = edit();
    for (const [label, value] of [
      ['Auto', 'auto'],
      ['Yes', true],
      ['No', false],
    ] as const) {
      await choose(user, 'As admin', label);
      expect(current().admin).toBe(value);
    }
  });

  it('takes a limit when one leaves the field, once', async () => {
    const { user, current, onRunQuery } = edit();
    await user.type(field('Limit'), '250');
    expect(current().limit).toBeUndefined();
    await user.tab();
    expect(current().limit).toBe(250);
    expect(onRunQuery).toHaveBeenCalledTimes(1);
    await user.clear(field('Limit'));
    await user.type(field('Limit'), '$n{Enter}');
    expect(current().limit).toBe('$n');
    await user.clear(field('Limit'));
    await user.tab();
    expect(current().limit).toBeUndefined();
  });

  it('refuses a limit that is no number', async () => {
    const { user, current } = edit({ limit: 5 });
    await user.clear(field('Limit'));
    await user.type(field('Limit'), '0{Enter}');
    expect(await screen.findByText('A whole number above 0, or a variable')).toBeInTheDocument();
    expect(current().limit).toBe(5);
  });

  it('takes a time zone and a format', async () => {
    const { user, current } = edit({ queryType: 'usage-over-time' });
    await choose(user, 'Time zone', "Dashboard's time zone");
    expect(current().timezone).toBe('$__timezone');
    expect(screen.getByText("Dashboard's time zone")).toBeInTheDocument();
    await typeValue(user, 'Time zone', 'Europe/Paris');
    await choose(user, 'Format', 'Time series (multi)');
    expect(current()).toMatchObject({ timezone: 'Europe/Paris', format: 'multi' });
  });

  it('takes how long steps are, and what they are summed from', async () => {
    const { user, current } = edit({ queryType: 'usage-over-time' }, { variables: { step: 'week' } });
    expect(screen.getByText('None: UTC')).toBeInTheDocument();
    await choose(user, 'Minimum step', 'Day');
    expect(current().minStep).toBe('day');
    await choose(user, 'Step', 'Hour');
    expect(current().step).toBe('hour');
    expect(screen.queryByLabelText('Minimum step')).not.toBeInTheDocument();
    expect(screen.getByText("None: data source's")).toBeInTheDocument();
    await choose(user, 'Step', '$step');
    await choose(user, 'Summed from', 'Units, prorated');
    expect(current()).toMatchObject({ step: '$step', source: 'prorated' });
  });

  it('takes the field of a distribution, and the bounds of its buckets', async () => {
    const { user, current } = edit({ queryType: 'distribution' });
    expect(screen.queryByLabelText('Fields')).not.toBeInTheDocument();
    expect(screen.getByText('None: whole time range')).toBeInTheDocument();
    await typeValue(user, 'Distribution of', 'allocation.cpus');
    await user.type(field('Bounds'), '1, 8, 4{Enter}');
    expect(await screen.findByText('Numbers in ascending order, such as 1, 10, 100')).toBeInTheDocument();
    await user.clear(field('Bounds'));
    await user.type(field('Bounds'), '1, 8, 64{Enter}');
    expect(current()).toMatchObject({ of: 'allocation.cpus', bounds: [1, 8, 64] });
    await choose(user, 'Format', 'Quantiles');
    expect(screen.queryByLabelText('Bounds')).not.toBeInTheDocument();
    await user.click(field('Summed from'));
    expect(screen.queryByText('Daily usage')).not.toBeInTheDocument();
  });

  it('shows units over time as what they are', () => {
    edit({ queryType: 'usage-over-time', source: 'units' });
    expect(screen.getByText('Units, prorated')).toBeInTheDocument();
    expect(screen.getByText("None: data source's")).toBeInTheDocument();
  });

  it('compares with an earlier time range, in the time zone of the dashboard', async () => {
    const { user, current } = edit({ queryType: 'usage', groupBy: ['project'] });
    await choose(user, 'Compare with', 'A year earlier');
    expect(current()).toMatchObject({ compare: 'year', timezone: '$__timezone' });
  });

  it('offers steps and time zones only where usage is counted by them', () => {
    edit({ queryType: 'usage' });
    expect(screen.queryByLabelText('Step')).not.toBeInTheDocument();
    expect(screen.queryByLabelText('Time zone')).not.toBeInTheDocument();
  });

  it.each(['units', 'stats'])('follows the database with %s, as a table', async (queryType) => {
    const { user, current } = edit({ queryType, format: 'numeric' });
    await user.click(field('Live'));
    expect(current()).toEqual({ refId: 'A', version: CURRENT_VERSION, queryType, live: true });
    expect(screen.getByText(/is running now|last 24 hours/)).toBeInTheDocument();
    expect(screen.queryByLabelText('Time range')).not.toBeInTheDocument();
    // They are always shown, so there is nothing to switch.
    expect(screen.queryByLabelText('Running too')).not.toBeInTheDocument();
    await user.click(field('Format'));
    expect(screen.queryByText('Numbers')).not.toBeInTheDocument();
    await user.click(field('Live'));
    expect(current().live).toBe(false);
  });

  it.each(['usage', 'usage-over-time', 'users'])('cannot follow the database with %s', (queryType) => {
    edit({ queryType });
    expect(screen.queryByLabelText('Live')).not.toBeInTheDocument();
  });

  it('takes the source of usage, and explains each', async () => {
    const { user, current } = edit({ queryType: 'usage' });
    await user.click(field('Summed from'));
    for (const words of [/since its start/, /share of its run/, /table daily_usage/]) {
      expect(await screen.findByText(words)).toBeInTheDocument();
    }
    await user.keyboard('{Escape}');
    await choose(user, 'Summed from', 'Units, prorated');
    expect(current().source).toBe('prorated');
    await choose(user, 'Summed from', 'Daily usage');
    expect(current().source).toBe('daily');
  });
});

describe('in other places than panels', () => {
  it('waits for the button in Explore', async () => {
    const { user, current, onRunQuery } = edit({}, { app: CoreApp.Explore });
    await choose(user, 'As admin', 'Auto');
    expect(current().admin).toBe('auto');
    expect(onRunQuery).not.toHaveBeenCalled();
  });

  it('has nothing in alert rules that needs a browser or a dashboard', async () => {
    const { user } = edit({ queryType: 'stats', format: 'numeric' }, { app: CoreApp.UnifiedAlerting });
    expect(screen.queryByLabelText('Live')).not.toBeInTheDocument();
    await choose(user, 'Query type', 'Usage over time');
    await user.click(field('Time zone'));
    expect(await screen.findByText('UTC')).toBeInTheDocument();
    expect(screen.queryByText("Dashboard's time zone")).not.toBeInTheDocument();
  });

  it('offers in alert rules only what gives numbers, in a shape that they understand', async () => {
    const { user, current } = edit({ queryType: 'usage', format: 'numeric' }, { app: CoreApp.UnifiedAlerting });
    await user.click(field('Query type'));
    expect(screen.queryByText('Projects and their members.')).not.toBeInTheDocument();
    await user.click(screen.getByText('Usage over time'));
    expect(current()).toMatchObject({ queryType: 'usage-over-time', format: 'wide' });
    await choose(user, 'Query type', 'Statistics');
    expect(current()).toMatchObject({ queryType: 'stats', format: 'numeric' });
    await user.click(field('Format'));
    expect(screen.queryByText('Rows and columns as they are')).not.toBeInTheDocument();
  });
});

it.each(['units', 'usage', 'usage-over-time', 'distribution', 'stats', 'users', 'projects', 'clusters'])(
  'gives every input of %s a name',
  async (queryType) => {
    edit({ queryType, filters: [{ key: 'state', operator: '=', value: 'x' }] });
    await waitFor(() => expect(screen.getByLabelText('Query type')).toBeInTheDocument());
    for (const input of document.querySelectorAll('input:not([type=hidden]), textarea')) {
      expect(input).toHaveAccessibleName();
    }
  }
);
