const fs = require('fs');
const path = require('path');

/** The one file that states the version of the plugin. */
const VERSION_FILE = path.resolve(__dirname, '..', '..', 'ceems_grpc', 'version.py');

/** Returns the version that version.py states. Throws if there is none. */
function pluginVersion() {
  const match = /^VERSION = "([^"]+)"$/m.exec(fs.readFileSync(VERSION_FILE, 'utf8'));
  if (match === null) {
    throw new Error(`${VERSION_FILE} states no VERSION.`);
  }
  return match[1];
}

/**
 * Completes plugin.json: fills in the version and today's date (UTC), and adds `buildMode`, which Grafana shows to developers.
 * `make dist` later replaces the date by that of the last commit.
 */
function stampPlugin(content, mode) {
  const text = content
    .toString()
    .replaceAll('%VERSION%', pluginVersion())
    .replaceAll('%TODAY%', new Date().toISOString().slice(0, 10));
  return JSON.stringify({ ...JSON.parse(text), buildMode: mode }, null, 2) + '\n';
}

module.exports = { stampPlugin };
