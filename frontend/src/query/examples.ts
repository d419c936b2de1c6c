import { CeemsQuery } from '../types';

export interface Example {
  title: string;
  sentence: string;
  query: Omit<CeemsQuery, 'refId'>;
}

/** Queries to start from. They work on any CEEMS database and for any user. */
export const EXAMPLES: Example[] = [
  {
    title: 'My units',
    sentence: 'What ran within the time range, and what still runs, the latest first.',
    query: { version: 2, queryType: 'units', admin: false, running: true, orderBy: ['-started_at'], limit: 500 },
  },
  {
    title: 'Running now',
    sentence: 'What runs, as it changes. Yours, or of all users for administrators.',
    query: {
      version: 2,
      queryType: 'units',
      live: true,
      admin: 'auto',
      fields: ['uuid', 'username', 'project', 'cluster_id', 'state', 'started_at', 'elapsed', 'avg_cpu_usage'],
      orderBy: ['-started_at'],
    },
  },
  {
    title: 'Energy and emissions of my projects',
    sentence: 'One row for each member and project, CPU and GPU together.',
    query: {
      version: 2,
      queryType: 'usage',
      admin: false,
      source: 'prorated',
      groupBy: ['project', 'username'],
      fields: ['project', 'username', 'num_units', 'total_energy_usage_kwh', 'total_emissions_gms'],
    },
  },
  {
    title: 'Energy of each day',
    sentence: 'A time series for each project.',
    query: {
      version: 2,
      queryType: 'usage-over-time',
      admin: 'auto',
      timezone: '$__timezone',
      groupBy: ['project'],
      fields: ['total_energy_usage_kwh'],
    },
  },
  {
    title: 'Top users by energy',
    sentence: 'All users for administrators, the members of your projects for others.',
    query: {
      version: 2,
      queryType: 'usage',
      source: 'prorated',
      admin: 'auto',
      groupBy: ['username'],
      fields: ['username', 'num_units', 'total_energy_usage_kwh'],
      orderBy: ['-total_energy_usage_kwh'],
      limit: 20,
    },
  },
  {
    title: 'Low-use units',
    sentence: 'Units that used less than a tenth of their CPU time: allocations that others could have had.',
    query: {
      version: 2,
      queryType: 'units',
      admin: 'auto',
      fields: [
        'uuid',
        'username',
        'project',
        'cluster_id',
        'started_at',
        'ended_at',
        'avg_cpu_usage',
        'idle_cpu_time_seconds',
      ],
      filters: [{ key: 'avg_cpu_usage.global', operator: '<', value: '10' }],
      orderBy: ['-idle_cpu_time_seconds.global'],
      limit: 100,
    },
  },
  {
    title: 'Clusters at a glance',
    sentence: 'Units that run and ran, projects and users of each cluster. For administrators.',
    query: { version: 2, queryType: 'stats', admin: 'auto' },
  },
];
