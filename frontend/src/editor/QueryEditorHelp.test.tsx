import { render, screen } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import React from 'react';
import { EXAMPLES } from '../query/examples';
import { QUERY_TYPES } from '../query/queryTypes';
import { startGrafana } from '../test/grafana';
import { QueryEditorHelp } from './QueryEditorHelp';

function show() {
  const onClickExample = jest.fn();
  const query = { refId: 'B', datasource: { uid: 'ceems' }, users: ['old'] };
  render(<QueryEditorHelp datasource={startGrafana().datasource} query={query} onClickExample={onClickExample} />);
  return onClickExample;
}

it.each(EXAMPLES)('starts "$title" in the place of the query', async ({ title, query }) => {
  const onClickExample = show();
  await userEvent.click(screen.getByRole('button', { name: `Use example: ${title}` }));
  expect(onClickExample).toHaveBeenCalledWith({ ...query, refId: 'B', datasource: { uid: 'ceems' } });
});

it('says what each type of query answers', () => {
  show();
  for (const { sentence } of Object.values(QUERY_TYPES)) {
    expect(screen.getByText(sentence)).toBeInTheDocument();
  }
});
