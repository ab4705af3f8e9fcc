import type { KubeObject } from '../api/meta.ts';
import { type Status, StatusError } from '../api/status.ts';

export type WatchEvent<T> =
  | { type: 'ADDED' | 'MODIFIED' | 'DELETED'; object: T }
  /** Nothing happened up to this resourceVersion. */
  | { type: 'BOOKMARK'; object: { metadata: { resourceVersion: string; annotations?: Record<string, string> } } };

/** A line longer than this is no watch event of ours. Bytes. */
const longestLine = 64 * 1024 * 1024;

/**
 * The events of a watch response, one JSON document a line. An ERROR event is thrown as the StatusError it carries
 * (410 Expired means: list again); a line that is no event is thrown as an Error.
 */
export async function* readWatch<T extends KubeObject>(
  body: AsyncIterable<Uint8Array>,
): AsyncGenerator<WatchEvent<T>, void, undefined> {
  for await (const line of lines(body)) yield parseEvent<T>(line);
}

function parseEvent<T>(line: string): WatchEvent<T> {
  let event: WatchEvent<T> | { type: 'ERROR'; object: Status };
  try {
    event = JSON.parse(line) as typeof event;
  } catch (error) {
    throw new Error(`the watch sent a line that is not JSON: ${line.slice(0, 80)}`, { cause: error });
  }
  if (event.type === 'ERROR') throw StatusError.from(event.object);
  return event;
}

async function* lines(body: AsyncIterable<Uint8Array>): AsyncGenerator<string, void, undefined> {
  let rest: Uint8Array[] = [];
  let waiting = 0;
  for await (const chunk of body) {
    let from = 0;
    for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, from)) {
      const line = Buffer.concat([...rest, chunk.subarray(from, at)]).toString('utf8');
      rest = [];
      waiting = 0;
      from = at + 1;
      if (line !== '') yield line;
    }
    if (from < chunk.length) {
      rest.push(chunk.subarray(from));
      waiting += chunk.length - from;
      if (waiting > longestLine) throw new Error(`a watch event is longer than ${longestLine} bytes`);
    }
  }
}
