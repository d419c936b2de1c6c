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
    sentence: 'Units that ran within the time range or are still running, latest first.',
    query: { version: 3, queryType: 'units', admin: false, running: true, orderBy: ['-started_at'], limit: 500 },
  },
  {
    title: 'Running now',
    sentence: 'Running units, updated live: your own, or for administrators those of all users.',
    query: {
      version: 3,
      queryType: 'units',
      live: true,
      admin: 'auto',
      fields: ['uuid', 'username', 'project', 'cluster_id', 'state', 'started_at', 'elapsed', 'avg_cpu_usage'],
      orderBy: ['-started_at'],
    },
  },
  {
    title: 'Energy and emissions of my projects',
    sentence: 'One row per member and project, CPU and GPU together.',
    query: {
      version: 3,
      queryType: 'usage',
      admin: false,
      source: 'prorated',
      groupBy: ['project', 'username'],
      fields: ['project', 'username', 'num_units', 'total_energy_usage_kwh', 'total_emissions_gms'],
    },
  },
  {
    title: 'Energy of each day',
    sentence: 'One time series per project.',
    query: {
      version: 3,
      queryType: 'usage-over-time',
      admin: 'auto',
      source: 'prorated',
      step: 'day',
      timezone: '$__timezone',
      groupBy: ['project'],
      fields: ['total_energy_usage_kwh'],
    },
  },
  {
    title: 'Top users by energy',
    sentence: 'For administrators, all users; for others, the members of their projects.',
    query: {
      version: 3,
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
    sentence: 'Units that used less than a tenth of their CPU time: resources that others could have used.',
    query: {
      version: 3,
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
    sentence: 'Numbers of running and ended units, projects and users per cluster. For administrators.',
    query: { version: 3, queryType: 'stats', admin: 'auto' },
  },
];
