import { screen } from '@testing-library/react';
import React from 'react';
import { startGrafana } from '../test/grafana';
import { choose, field, renderEditor, typeValue } from '../test/render';
import { CeemsQuery } from '../types';
import { AnnotationQueryEditor } from './AnnotationQueryEditor';

function edit(query: Partial<CeemsQuery> = {}) {
  const { datasource } = startGrafana({ variables: { user: 'alice' } });
  return renderEditor<CeemsQuery>({ refId: 'Anno', ...query }, (value, onChange) => (
    <AnnotationQueryEditor datasource={datasource} query={value} onChange={onChange} onRunQuery={() => {}} />
  ));
}

it('chooses units, those that run among them unless they are switched off', async () => {
  const { user, current } = edit();
  expect(screen.getByText(/Each unit is a region/)).toBeInTheDocument();
  expect(field('Running too')).toBeChecked();
  await user.click(field('Running too'));
  await choose(user, 'As admin', 'Auto');
  await choose(user, 'Users', '$user');
  await typeValue(user, 'Unit IDs', '147');
  await user.type(field('Limit'), '50{Enter}');
  expect(current()).toEqual({
    refId: 'Anno',
    queryType: 'units',
    running: false,
    admin: 'auto',
    users: ['$user'],
    uuids: ['147'],
    limit: 50,
  });
});

it('makes a query of units of whatever is stored', async () => {
  const { user, current } = edit({ queryType: 'usage' });
  await user.click(screen.getByLabelText('Add a condition'));
  expect(current()).toMatchObject({ queryType: 'units', filters: [{ key: '', operator: '=' }] });
});

it('sets what is shown, the texts and the colours', async () => {
  const { user, current } = edit();
  await choose(user, 'Show', 'Failures');
  await user.type(field('Title'), 'x {{{{state}}{Enter}');
  expect(field('Colours by state')).toBeChecked();
  await user.click(field('Colours by state'));
  expect(current().annotation).toEqual({ show: 'failure', title: 'x {{state}}', colorByState: false });
});
