import type { Readable, Writable } from 'node:stream';
import type { Ending } from './exit-status.ts';

/** What a client asked of exec or attach. */
export interface Wanted {
  stdin: boolean;
  stdout: boolean;
  stderr: boolean;
  tty: boolean;
}

/** The client's end of exec and attach, whichever protocol carries it. */
export interface CommandStreams {
  stdin: Readable | undefined;
  stdout: Writable | undefined;
  stderr: Writable | undefined;
  onResize(listener: (columns: number, rows: number) => void): void;
  /** Tells how it ended, after all output, and closes. */
  finish(ending: Ending): Promise<void>;
  /** Resolves when the client is gone, also after `finish`. */
  closed: Promise<void>;
}

/** How long a client may take to open its streams, ms. */
export const openingTimeout = 30_000;

/** Ends a stream and waits until everything has gone out, or cannot any more. */
export const drained = (stream: Writable | undefined): Promise<void> =>
  new Promise((resolve) => {
    if (!stream || stream.destroyed || stream.writableFinished) return resolve();
    stream.once('close', resolve);
    stream.end(() => resolve());
  });

/** `{"Width":80,"Height":24}`; anything else is no size. */
export function sizeIn(text: string): { columns: number; rows: number } | undefined {
  try {
    const { Width, Height } = JSON.parse(text) as { Width?: unknown; Height?: unknown };
    const isSize = (n: unknown): n is number => Number.isInteger(n) && (n as number) >= 0 && (n as number) < 65536;
    return isSize(Width) && isSize(Height) ? { columns: Width, rows: Height } : undefined;
  } catch {
    return undefined;
  }
}
