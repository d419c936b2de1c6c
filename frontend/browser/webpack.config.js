const path = require('path');
const CopyWebpackPlugin = require('copy-webpack-plugin');
const { NormalModuleReplacementPlugin } = require('webpack');
const pluginConfig = require('../webpack.config');

const root = path.resolve(__dirname, '..', '..');
const output = path.join(root, 'build', 'browser');
const pluginPath = path.join('public', 'plugins', 'ceems-ceems-datasource');

/** The plugin as it ships, in the folder where the page looks for it as Grafana does. */
function plugin(env) {
  const config = pluginConfig(env, { mode: 'production' });
  return { ...config, name: 'plugin', output: { ...config.output, path: path.join(output, pluginPath) } };
}

/** The page around it. The libraries are the development ones: they warn where components are used wrongly. */
const page = {
  name: 'page',
  mode: 'development',
  devtool: false,
  context: __dirname,
  entry: { page: './page.tsx' },
  output: { path: output, filename: '[name].js' },
  resolve: {
    extensions: ['.ts', '.tsx', '.js'],
    // Grafana's code editor is large, and the plugin has none.
    alias: { 'monaco-editor': false },
    // Node's modules, which libraries ask for only where there is no browser.
    fallback: { fs: false, path: false, stream: false, string_decoder: false },
  },
  module: {
    rules: [
      {
        test: /\.tsx?$/,
        exclude: /node_modules/,
        use: {
          loader: 'swc-loader',
          options: { jsc: { target: 'es2020', parser: { syntax: 'typescript', tsx: true } } },
        },
      },
      // Grafana's modules name files without their endings, and import CommonJS as bundlers do, not as Node does.
      { test: /\.mjs$/, type: 'javascript/auto', resolve: { fullySpecified: false } },
      { test: /\.js$/, resolve: { fullySpecified: false } },
      { test: /\.css$/, type: 'css' },
    ],
  },
  experiments: { css: true },
  performance: { hints: false },
  plugins: [
    new NormalModuleReplacementPlugin(/^node:/, (resource) => {
      resource.request = resource.request.slice('node:'.length);
    }),
    new CopyWebpackPlugin({
      patterns: [
        { from: 'index.html' },
        {
          from: path.join(path.dirname(require.resolve('@grafana/ui/package.json')), 'dist', 'public'),
          to: 'public',
          info: { minimized: true },
        },
      ],
    }),
  ],
};

/** Builds ../../build/browser: the page that tests open, and the plugin beside it. */
module.exports = (env) => [page, plugin(env)];
