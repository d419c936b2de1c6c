import { QueryEditorHelpProps } from '@grafana/data';
import { Button, Stack, Text, TextLink } from '@grafana/ui';
import React from 'react';
import { docsUrl } from '../docs';
import { EXAMPLES } from '../query/examples';
import { QUERY_TYPES } from '../query/queryTypes';
import { CeemsQuery } from '../types';

/** A description of the query types, and example queries. */
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
      <Text element="h3">Steps of usage over time</Text>
      <Text element="p">
        Days, weeks and months in UTC come from the daily totals of CEEMS. This is fast, and each day that the time
        range touches counts completely. Hours, and days in other time zones, come from units: the usage of a unit is
        spread evenly over its run. The time zone of the dashboard is one of the choices.
      </Text>
      <Text element="h3">Live tables</Text>
      <Text element="p">
        With the switch Live, a table of units shows the units that are running, and statistics cover the last 24 hours
        or all time. They are updated whenever CEEMS writes to its database, without a refresh.
      </Text>
      <Text element="h3">Variables</Text>
      <Text element="span">
        Fields accept template variables, such as $user, including variables with several values. A variable set to All
        does not narrow the answer.{' '}
        <TextLink href={docsUrl()} external inline>
          Documentation
        </TextLink>
      </Text>
    </Stack>
  );
}
