import { request as httpsRequest } from 'node:https';
import type { IncomingMessage } from 'node:http';
import { createInterface } from 'node:readline';
import { adminToken, type Json, type TestServer } from './harness.ts';

export interface WatchEvent {
  type: string;
  object: Json;
}

/** Follows a watch; `next(n)` waits for n more events. */
export async function follow(s: TestServer, path: string, headers = {}) {
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const request = httpsRequest(`${s.url}${path}`, {
      ca: s.ca.pem,
      headers: { authorization: `Bearer ${adminToken}`, ...headers },
    });
    request.once('response', resolve).once('error', reject).end();
  });
  const lines = createInterface({ input: response })[Symbol.asyncIterator]();
  return {
    status: response.statusCode,
    async next(count: number): Promise<WatchEvent[]> {
      const events: WatchEvent[] = [];
      while (events.length < count) {
        const { value, done } = await lines.next();
        if (done) throw new Error(`the watch ended after ${JSON.stringify(events)}`);
        events.push(JSON.parse(value) as WatchEvent);
      }
      return events;
    },
    async ended(): Promise<boolean> {
      for (;;) if ((await lines.next()).done) return true;
    },
    close: () => response.destroy(),
  };
}
