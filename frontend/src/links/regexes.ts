/** A matcher of PromQL and LogQL that compares with a regular expression: `uuid=~"..."`. */
const REGEX_MATCHER = /[=!]~\s*("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`)/g;
const VARIABLE = /\$\{(uuid|cluster_id)\}|\$(uuid|cluster_id)(?![A-Za-z0-9_])/g;

/** The template in which `${uuid:regex}` replaces `${uuid}` and `$uuid` within regular expressions; likewise for `cluster_id`. */
export function markRegexes(template: string): string {
  return template.replace(REGEX_MATCHER, (matcher) =>
    matcher.replace(VARIABLE, (_all, braced, plain) => `\${${braced ?? plain}:regex}`)
  );
}

/**
 * A regular expression (RE2) that matches this text only, such as `1234[[]5[]]` for the element `1234[5]` of a job array.
 * It has no backslashes, because strings in PromQL and JSON would have to escape them again. Where only a backslash would work,
 * any character matches.
 */
export function matchingRegex(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, (found) => (found === '\\' || found === '^' ? '.' : `[${found}]`));
}
