import type Docker from 'dockerode';

/** Docker's own events about containers with these labels; `ended` is told once when there are no more. */
export function followEvents(
  docker: Docker,
  label: string[],
  listener: () => void,
  ended: (error: Error) => void,
): { cancel(): void } {
  const stopping = new AbortController();
  const { signal } = stopping;
  const event = ['create', 'start', 'die', 'oom', 'destroy'];
  docker
    .getEvents({ abortSignal: signal, filters: { type: ['container'], label, event } })
    .then(async (stream) => {
      for await (const _ of stream) listener();
      throw new Error('the event stream ended');
    })
    .catch((error: unknown) => {
      if (!signal.aborted) ended(error instanceof Error ? error : new Error(String(error)));
    });
  return { cancel: () => stopping.abort() };
}
