// Grafana shows developers how a plugin was built: it reads `buildMode` from plugin.json.
function addBuildMode(content, mode) {
  return JSON.stringify({ ...JSON.parse(content.toString()), buildMode: mode }, null, 2) + '\n';
}

module.exports = { addBuildMode };
