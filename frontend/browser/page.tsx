import { createTheme, ThemeContext } from '@grafana/data';
import { GlobalStyles, PortalContainer } from '@grafana/ui';
import React, { ComponentType } from 'react';
import { createRoot } from 'react-dom/client';
import { AnnotationPage } from './AnnotationPage';
import { ConfigPage } from './ConfigPage';
import { readPlace, startGrafana } from './grafana';
import { loadPlugin } from './loadPlugin';
import type { PageProps } from './pageProps';
import { QueryPage } from './QueryPage';
import { VariablePage } from './VariablePage';

const PAGES: Record<string, ComponentType<PageProps>> = {
  query: QueryPage,
  config: ConfigPage,
  variable: VariablePage,
  annotation: AnnotationPage,
};

async function start() {
  const place = readPlace(new URLSearchParams(window.location.search));
  const settings = await startGrafana(place);
  const plugin = await loadPlugin('/public/plugins/ceems-ceems-datasource/module.js');
  const Page = PAGES[place.editor];
  if (Page === undefined) {
    throw new Error(`There is no editor ${place.editor}: choose ${Object.keys(PAGES).join(', ')}.`);
  }
  createRoot(document.getElementById('page') as HTMLElement).render(
    <ThemeContext.Provider value={createTheme()}>
      <GlobalStyles />
      <main style={{ padding: 16 }}>
        <Page plugin={plugin} datasource={new plugin.DataSourceClass(settings)} place={place} />
      </main>
      <PortalContainer />
    </ThemeContext.Provider>
  );
}

void start();
