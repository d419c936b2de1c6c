import { ScopedVars, TypedVariableModel } from '@grafana/data';
import { TemplateSrv } from '@grafana/runtime';

type Value = string | string[];
type Format = (value: Value, variable: object) => string;

const VARIABLE = /\$(\w+)|\[\[(\w+?)(?::(\w+))?\]\]|\$\{(\w+)(?:\.([^:^}]+))?(?::([^}]+))?\}/g;

/** Variables of a dashboard, replaced as Grafana replaces them: `$name`, `${name}`, `${name:format}` and `[[name]]`. */
export class Templates implements TemplateSrv {
  constructor(private readonly variables: Record<string, Value> = {}) {}

  getVariables(): TypedVariableModel[] {
    return Object.keys(this.variables).map((name) => ({ name }) as TypedVariableModel);
  }

  containsTemplate(target = ''): boolean {
    return [...target.matchAll(VARIABLE)].some((match) => this.nameOf(match) in this.variables);
  }

  updateTimeRange(): void {}

  replace(target = '', scopedVars: ScopedVars = {}, format?: string | Function): string {
    return target.replace(VARIABLE, (...match) => {
      const name = this.nameOf(match);
      const value: Value | undefined = scopedVars[name]?.value ?? this.variables[name];
      if (value === undefined) {
        return match[0];
      }
      const ownFormat = match[3] ?? match[6];
      if (typeof format === 'function' && ownFormat === undefined) {
        return (format as Format)(value, { name });
      }
      const values = Array.isArray(value) ? value : [value];
      return ownFormat === 'csv' ? values.join(',') : values.length > 1 ? `{${values.join(',')}}` : (values[0] ?? '');
    });
  }

  private nameOf(match: ArrayLike<string | undefined>): string {
    return match[1] ?? match[2] ?? match[4] ?? '';
  }
}
