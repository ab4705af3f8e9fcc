/**
 * A recording of a real Mesos, played against a devcluster:
 *
 *   recording.ts ─ lines ─▶ player.ts ─ the client's half ─▶ connection.ts ─▶ devcluster
 *                              │  ◀────── answers, events ──────┘
 *                              ├─ offers.ts   waits for offers that are equal
 *                              ├─ programs.ts what agents fetch: executors, whose words are in the recording
 *                              ├─ names.ts    what recorded ids are here
 *                              └─ alike.ts    what has to be equal
 */
import type { Devcluster } from '../../../devcluster/index.ts';
import type { Learnt } from './names.ts';
import { Player } from './player.ts';
import { Programs } from './programs.ts';
import { itemOf, linesOf } from './recording.ts';

export interface ReplayOptions {
  scenario: string;
  cluster: Devcluster;
  /** Lines to play; all unless told. */
  from?: number;
  to?: number;
  /** Done at a note of the recording, before what follows is played; may give recorded text that is another here. */
  onNote?: (text: string, data: unknown) => void | Learnt | Promise<void | Learnt>;
  /** Done before a line is played, where no note tells of it. */
  onLine?: (line: number) => void | Promise<void>;
  /** Where there are several masters: by `host:port` of the recording, which is asked. The one that leads unless told. */
  masters?: Learnt;
  /** Recorded text that is another here. */
  replace?: Learnt;
  /** Lines to leave out. */
  omit?: (line: number) => boolean;
  /** Connections to leave out. */
  skip?: RegExp;
  /**
   * Requests, or those whose body matches, come as long after what was before them as in the recording, half a second at most:
   * tasks do something meanwhile.
   */
  keepsPace?: true | RegExp;
}

/**
 * Plays the client's half of a recording and holds the answers against the recorded ones. Ids, ports, uuids and times differ of
 * course: an id that the master gave is learnt where it first appears.
 */
export async function replay(options: ReplayOptions): Promise<{ compared: number }> {
  const { scenario, from = 1, to = Infinity, skip, omit } = options;
  const items = linesOf(scenario)
    .map((line, index) => ({ number: index + 1, item: itemOf(line) }))
    .filter(({ number, item }) => number >= from && number <= to && !skip?.test(item.conn) && !omit?.(number));
  const fetched = items.find(({ item }) => item.conn.startsWith('fetch'))?.item;
  const programs =
    fetched &&
    (await Programs.serve(
      fetched.headers['host'] ?? '',
      items.some(({ item }) => item.conn.startsWith('ex')),
    ));
  const player = new Player(options, programs);
  try {
    for (const { number, item } of items) {
      try {
        await options.onLine?.(number);
        await player.play(item);
      } catch (error) {
        const why = error instanceof Error ? error.message : String(error);
        throw new Error(`${scenario}:${number} ${item.note}: ${why}`, { cause: error });
      }
    }
    player.finish();
    return { compared: player.compared };
  } finally {
    player.close();
    programs?.close();
  }
}
