/** What an annotation of units looks like. Only the browser acts on it. */
export interface AnnotationLook {
  /** Which events a unit makes. Absent: region. */
  show?: AnnotationShow;
  /** Templates with the columns of a unit, such as `{{name}}`. */
  title?: string;
  text?: string;
  /** Whether the state of a unit decides on the colour, and not the annotation. Absent: true. */
  colorByState?: boolean;
}

export type AnnotationShow = 'region' | 'start' | 'end' | 'failure';

/** States of units that failed, in the words of Slurm, LSF, OpenStack and Kubernetes. */
export const FAILURES = [
  'FAILED',
  'TIMEOUT',
  'OUT_OF_MEMORY',
  'NODE_FAIL',
  'BOOT_FAIL',
  'DEADLINE',
  'EXIT',
  'ERROR',
  'Failed',
];
const SUCCESSES = ['COMPLETED', 'DONE', 'Succeeded'];
const IN_PROGRESS = ['RUNNING', 'PENDING', 'RUN', 'PEND', 'ACTIVE', 'BUILD', 'Running', 'Pending'];

/**
 * The alert state that Grafana paints like the state of a unit. It gives all events of an annotation the colour of the annotation,
 * unless they have such a state.
 */
export function alertStateOf(state: string): string | undefined {
  const matching: Array<[string, string[]]> = [
    ['alerting', FAILURES],
    ['ok', SUCCESSES],
    ['pending', IN_PROGRESS],
  ];
  return matching.find(([, states]) => states.includes(state))?.[0];
}

/** A template with the columns of a unit in place of their names in double braces. Unknown names are empty. */
export function fillTemplate(template: string, unit: Record<string, string>): string {
  return template.replace(/\{\{\s*(\w+)\s*\}\}/g, (_, name: string) => (Object.hasOwn(unit, name) ? unit[name]! : ''));
}
