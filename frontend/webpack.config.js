const fs = require('fs');
const path = require('path');
const CopyWebpackPlugin = require('copy-webpack-plugin');
const TerserPlugin = require('terser-webpack-plugin');
const { stampPlugin } = require('./build/stampPlugin');

const root = path.resolve(__dirname, '..');
const plugin = JSON.parse(fs.readFileSync(path.join(root, 'plugin.json'), 'utf8'));

// Libraries that Grafana hands to a plugin when it loads it. They are not bundled: the running Grafana's own are used.
const suppliedByGrafana = [
  'lodash',
  'moment',
  'prismjs',
  'react',
  'react-dom',
  'rxjs',
  '@emotion/css',
  '@emotion/react',
  /^@grafana\/(data|runtime|ui)$/,
];

/**
 * Grafana before 12.3 does not supply `react/jsx-runtime`, and a bundled one of React 18 makes elements that React 19 refuses.
 * Our code compiles to `React.createElement`; a library that does not must not slip in.
 */
function refuseJsxRuntime({ request, contextInfo }, callback) {
  if (/^react\/jsx(-dev)?-runtime$/.test(request)) {
    callback(new Error(`${contextInfo.issuer} needs ${request}, which not every supported Grafana supplies.`));
  } else {
    callback();
  }
}

/** Builds ../dist: module.js and the files that Grafana reads beside it. Leaves what others put there (executables). */
module.exports = (_env, { mode = 'production' }) => ({
  mode,
  context: path.join(__dirname, 'src'),
  entry: { module: './module.ts' },
  devtool: mode === 'production' ? 'source-map' : 'eval-source-map',
  externals: [...suppliedByGrafana, refuseJsxRuntime],
  output: {
    path: path.join(root, 'dist'),
    filename: '[name].js',
    publicPath: `public/plugins/${plugin.id}/`,
    uniqueName: plugin.id,
    library: { type: 'amd' },
  },
  resolve: {
    extensions: ['.ts', '.tsx', '.js'],
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
    ],
  },
  optimization: {
    minimizer: [new TerserPlugin({ extractComments: false, terserOptions: { format: { comments: false } } })],
  },
  performance: {
    maxAssetSize: 200_000,
    maxEntrypointSize: 200_000,
    hints: mode === 'production' ? 'error' : false,
    assetFilter: (name) => name.endsWith('.js'),
  },
  plugins: [
    new CopyWebpackPlugin({
      patterns: [
        { from: path.join(root, 'plugin.json'), to: '.', transform: (content) => stampPlugin(content, mode) },
        { from: path.join(root, 'LICENSE'), to: 'LICENSE', toType: 'file' },
        { from: path.join(root, 'img'), to: 'img' },
        { from: path.join(root, 'dashboards', '*.json'), to: 'dashboards/[name][ext]', noErrorOnMissing: true },
      ],
    }),
  ],
});
