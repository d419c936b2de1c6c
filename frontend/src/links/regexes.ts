/** A matcher of PromQL and LogQL that compares with a regular expression: `uuid=~"..."`. */
const REGEX_MATCHER = /[=!]~\s*("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`)/g;
const VARIABLE = /\$\{(uuid|cluster_id)\}|\$(uuid|cluster_id)(?![A-Za-z0-9_])/g;

/** The template with `${uuid:regex}` in place of `${uuid}` and `$uuid` within regular expressions; so for `cluster_id`. */
export function markRegexes(template: string): string {
  return template.replace(REGEX_MATCHER, (matcher) =>
    matcher.replace(VARIABLE, (_all, braced, plain) => `\${${braced ?? plain}:regex}`)
  );
}

/**
 * A regular expression (RE2) that matches this text only, such as `1234[[]5[]]` for the element `1234[5]` of a job array.
 * It has no backslashes, which strings of PromQL and JSON would need to escape again. Where only a backslash would do, any
 * character matches.
 */
export function matchingRegex(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, (found) => (found === '\\' || found === '^' ? '.' : `[${found}]`));
}
