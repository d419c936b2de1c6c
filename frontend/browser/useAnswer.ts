import type { DataQueryResponse } from '@grafana/data';
import { useState } from 'react';
import type { Observable } from 'rxjs';

/** What a query answered last; nothing while it runs. */
export function useAnswer(): [DataQueryResponse | undefined, (answers: Observable<DataQueryResponse>) => void] {
  const [answer, setAnswer] = useState<DataQueryResponse>();
  const run = (answers: Observable<DataQueryResponse>) => {
    setAnswer(undefined);
    answers.subscribe({
      next: setAnswer,
      error: (reason: unknown) =>
        setAnswer({ data: [], errors: [{ message: reason instanceof Error ? reason.message : String(reason) }] }),
    });
  };
  return [answer, run];
}
