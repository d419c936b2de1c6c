import { defineConfig } from 'eslint/config';
import grafanaConfig from '@grafana/eslint-config/flat.js';

export default defineConfig([
  { ignores: ['node_modules/', 'coverage/'] },
  ...grafanaConfig,
  {
    files: ['src/**/*.{ts,tsx}'],
    languageOptions: { parserOptions: { project: './tsconfig.json' } },
    rules: {
      'react/prop-types': 'off',
      // Grafana prefers its Combobox to the Select family. But the MultiCombobox of Grafana 11.6 takes neither a name nor an id for
      // its input, so that screen readers and labels cannot say what it is; the Select family works in every supported version.
      '@typescript-eslint/no-deprecated': [
        'error',
        { allow: [{ from: 'package', name: ['Select', 'MultiSelect'], package: '@grafana/ui' }] },
      ],
      '@typescript-eslint/no-floating-promises': 'error',
    },
  },
]);
