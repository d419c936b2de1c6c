import React from 'react';

/** A value as JSON, for tests and people to read. */
export function Model({ name, value }: { name: string; value: unknown }) {
  return (
    <pre role="region" aria-label={name} style={{ marginTop: 16 }}>
      {JSON.stringify(value)}
    </pre>
  );
}
