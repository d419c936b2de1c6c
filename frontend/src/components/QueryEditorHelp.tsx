import { QueryEditorHelpProps } from '@grafana/data';
import { Button, Stack, Text, TextLink } from '@grafana/ui';
import React from 'react';
import { docsUrl } from '../docs';
import { EXAMPLES } from '../examples';
import { QUERY_TYPES } from '../queryTypes';
import { CeemsQuery } from '../types';

/** What can be asked, and queries to start from. */
export function QueryEditorHelp({ query, onClickExample }: QueryEditorHelpProps<CeemsQuery>) {
  return (
    <Stack direction="column" gap={2}>
      <Text element="h3">Quick start</Text>
      {EXAMPLES.map(({ title, sentence, query: example }) => (
        <Stack key={title} direction="row" gap={2} alignItems="center">
          <Button
            variant="secondary"
            size="sm"
            aria-label={`Use example: ${title}`}
            onClick={() => onClickExample({ ...example, refId: query?.refId || 'A', datasource: query?.datasource })}
          >
            {title}
          </Button>
          <Text color="secondary">{sentence}</Text>
        </Stack>
      ))}
      <Text element="h3">Query types</Text>
      {Object.values(QUERY_TYPES).map(({ label, sentence }) => (
        <div key={label}>
          <Text weight="medium">{label}</Text>: <Text color="secondary">{sentence}</Text>
        </div>
      ))}
      <Text element="p">
        Fields accept template variables, such as $user, also with several values. A variable set to All does not narrow
        the answer.{' '}
        <TextLink href={docsUrl()} external inline>
          Documentation
        </TextLink>
      </Text>
    </Stack>
  );
}
