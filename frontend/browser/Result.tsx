import { DataFrame, DataQueryResponse, Field, formattedValueToString, getDisplayProcessor } from '@grafana/data';
import { Alert, useTheme2 } from '@grafana/ui';
import React from 'react';

const ROWS = 20;

/** An answer as tables: the first rows of each frame, with units and links as panels show them; errors and notices as alerts. */
export function Result({ answer }: { answer: DataQueryResponse | undefined }) {
  if (answer === undefined) {
    return null;
  }
  return (
    <>
      {answer.errors?.map(({ message }, index) => (
        <Alert key={index} severity="error" title={message ?? 'An error without words'} />
      ))}
      {answer.data.map((frame: DataFrame, index) => (
        <FrameTable key={index} frame={frame} />
      ))}
    </>
  );
}

function FrameTable({ frame }: { frame: DataFrame }) {
  const rows = Array.from({ length: Math.min(frame.length, ROWS) }, (_, row) => row);
  return (
    <>
      {frame.meta?.notices?.map(({ severity, text }) => (
        <Alert key={text} severity={severity} title={text} />
      ))}
      <table aria-label="Result" data-rows={frame.length} cellPadding={4}>
        <thead>
          <tr>
            {frame.fields.map(({ name, labels }, at) => (
              <th key={at} style={{ textAlign: 'left' }}>
                {[name, ...Object.values(labels ?? {})].join(' ')}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={row}>
              {frame.fields.map((field, at) => (
                <Cell key={at} field={field} row={row} />
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </>
  );
}

function Cell({ field, row }: { field: Field; row: number }) {
  const theme = useTheme2();
  const display = field.display ?? getDisplayProcessor({ field, theme });
  return (
    <td style={{ whiteSpace: 'nowrap' }} title={field.config.links?.map(({ title }) => title).join(', ')}>
      {formattedValueToString(display(field.values[row]))}
    </td>
  );
}
