import { FlowSchema } from '../../api/kinds/flow-schema.ts';
import { PriorityLevelConfiguration } from '../../api/kinds/priority-level-configuration.ts';
import { StatusError } from '../../api/status.ts';
import type { Attributes } from '../auth/authorize.ts';
import type { User } from '../auth/user.ts';
import type { Feed } from '../feed.ts';
import { mandatoryLevels, mandatorySchemas } from './defaults.ts';
import { Seats, type Level, type Refusal } from './level.ts';
import { matches } from './match.ts';
import { widthOf, type Width } from './width.ts';

/** What a request holds while it is served. */
export interface Seat {
  schemaUid: string;
  levelUid: string;
  /** Gives it back; only the first time counts. */
  leave: () => void;
}

/** Who tells that the caller has hung up: its response or its socket. */
export interface Caller {
  once: (event: 'close', gone: () => void) => unknown;
  readonly destroyed?: boolean;
  /** Of HTTP/2. */
  readonly stream?: { readonly destroyed: boolean };
}

/** Decides when a request is served. */
export interface Doorkeeper {
  /** A seat at once, or when one is free; several for what is much work. Throws 429. */
  enter: (user: User, asked: Attributes, query: URLSearchParams, caller: Caller) => Seat | Promise<Seat>;
}

/** Requests of one schema: where they sit, and how many there were. */
export interface Flow {
  schema: Readonly<FlowSchema>;
  level: Level;
  dispatched: number;
  executing: number;
  /** Seats that those have who are executing. */
  seats: number;
  waiting: number;
  rejected: Partial<Record<Refusal, number>>;
}

/** Told how long a request waited for its seat, and how long it held it, in seconds. */
export interface FlowClock {
  waited: (flow: Flow, seconds: number, execute: boolean) => void;
  executed: (flow: Flow, seconds: number, isWatch: boolean) => void;
}

/** A quarter of the time that requests have. */
const patienceMs = 15_000;
const remembered = 512;

/**
 * API priority and fairness: no client and no kind of client keeps others out.
 *
 *   request ─▶ first FlowSchema that matches ─▶ its PriorityLevel: a free seat, or a line of the flow, or 429
 *
 * https://kubernetes.io/docs/concepts/cluster-administration/flow-control/
 */
export class FlowControl implements Doorkeeper {
  readonly #feed: Feed;
  readonly #total: number;
  readonly seats = new Seats();
  /** Nobody's until somebody measures. */
  clock: FlowClock = { waited: () => undefined, executed: () => undefined };
  #flows: Flow[] = [];
  #isStale = true;
  readonly #following = new Set<object>();
  /** By user, then by what is asked. */
  #known = new WeakMap<User, Map<string, Flow>>();

  constructor(feed: Feed, total: number) {
    this.#feed = feed;
    this.#total = total;
  }

  get flows(): readonly Flow[] {
    return this.#flows;
  }

  enter(user: User, asked: Attributes, query: URLSearchParams, caller: Caller): Seat | Promise<Seat> {
    const flow = this.#flowOf(user, asked);
    const { group, resource: plural } = asked;
    const stored = () => this.#feed.cacheIfServed({ group, plural })?.size ?? 0;
    const watchers = () => this.#feed.cacheIfServed({ group, plural })?.watchers.size ?? 0;
    const wanted = widthOf(asked, query, stored, watchers);
    const width = { ...wanted, seats: flow.level.clip(wanted.seats) };
    if (!flow.level.take(width.seats)) return this.#wait(flow, width, user, asked, caller);
    this.clock.waited(flow, 0, true);
    return new Taken(flow, width, asked.verb === 'watch', this.clock);
  }

  async #wait(flow: Flow, width: Width, user: User, asked: Attributes, caller: Caller): Promise<Seat> {
    const { schema, level } = flow;
    const { seats } = width;
    const since = performance.now();
    const by = schema.spec?.distinguisherMethod?.type;
    const part = by === 'ByUser' ? user.name : by === 'ByNamespace' ? asked.namespace : '';
    flow.waiting += 1;
    const hangsUp = (gone: () => void) => void caller.once('close', gone);
    const why = await level.wait(`${schema.metadata.name}\0${part}`, seats, patienceMs, hangsUp);
    flow.waiting -= 1;
    this.clock.waited(flow, (performance.now() - since) / 1000, !why);
    if (!why) return new Taken(flow, width, asked.verb === 'watch', this.clock);
    flow.rejected[why] = (flow.rejected[why] ?? 0) + 1;
    throw tooManyRequests();
  }

  #flowOf(user: User, asked: Attributes): Flow {
    this.#refresh();
    let known = this.#known.get(user);
    if (!known) this.#known.set(user, (known = new Map<string, Flow>()));
    const { verb, group, resource, subresource, namespace, path } = asked;
    const key = `${verb} ${group}/${resource}/${subresource} ${namespace}${path}`;
    const flow = known.get(key);
    if (flow) return flow;
    const found = this.#flows.find(({ schema }) => matches(schema, user, asked)) ?? this.#flows.at(-1)!;
    if (known.size >= remembered) known.clear();
    known.set(key, found);
    return found;
  }

  #refresh(): void {
    if (!this.#isStale) return;
    this.#isStale = false;
    this.#follow();
    const schemas = this.#read(FlowSchema, mandatorySchemas);
    const levels = this.#read(PriorityLevelConfiguration, mandatoryLevels);
    this.seats.configure(levels, this.#total);
    const before = new Map(this.#flows.map((flow) => [flow.schema.metadata.name, flow]));
    this.#flows = schemas.sort(byPrecedence).flatMap((schema) => {
      const level = this.seats.levels.get(schema.spec?.priorityLevelConfiguration.name ?? '');
      if (!level) return [];
      const blank = { dispatched: 0, executing: 0, seats: 0, waiting: 0, rejected: {} };
      // Those who sit or wait go on counting where they began.
      return [Object.assign(before.get(schema.metadata.name) ?? blank, { schema, level })];
    });
    this.#known = new WeakMap();
  }

  #read<T extends FlowSchema | PriorityLevelConfiguration>(
    kind: typeof FlowSchema | typeof PriorityLevelConfiguration,
    mandatory: readonly T[],
  ): T[] {
    const stored = this.#feed
      .cache(kind as never)
      .list()
      .map(({ object }) => object as T);
    const missing = mandatory.filter((one) => !stored.some(({ metadata }) => metadata.name === one.metadata.name));
    return [...stored, ...missing];
  }

  /** Anew after a cache lost its place, which also ended our following it. */
  #follow(): void {
    for (const kind of [FlowSchema, PriorityLevelConfiguration]) {
      const cache = this.#feed.cache(kind as never);
      if (this.#following.has(cache)) continue;
      this.#following.add(cache);
      cache.follow({
        events: () => (this.#isStale = true),
        lost: () => {
          this.#following.delete(cache);
          this.#isStale = true;
        },
      });
    }
  }
}

const byPrecedence = (a: FlowSchema, b: FlowSchema): number =>
  (a.spec?.matchingPrecedence ?? 0) - (b.spec?.matchingPrecedence ?? 0) ||
  (a.metadata.name! < b.metadata.name! ? -1 : 1);

class Taken implements Seat {
  readonly #flow: Flow;
  readonly #level: Level;
  readonly #width: Width;
  readonly #isWatch: boolean;
  readonly #clock: FlowClock;
  readonly #since = performance.now();
  #hasLeft = false;

  constructor(flow: Flow, width: Width, isWatch: boolean, clock: FlowClock) {
    this.#flow = flow;
    // The flow may belong to another one when the seats are given back.
    this.#level = flow.level;
    this.#width = width;
    this.#isWatch = isWatch;
    this.#clock = clock;
    flow.dispatched += 1;
    flow.executing += 1;
    flow.seats += width.seats;
  }

  get schemaUid(): string {
    return this.#flow.schema.metadata.uid ?? '';
  }

  get levelUid(): string {
    return this.#level.uid;
  }

  leave(): void {
    if (this.#hasLeft) return;
    this.#hasLeft = true;
    this.#flow.executing -= 1;
    const { seats, lingersMs } = this.#width;
    const rise = () => {
      this.#flow.seats -= seats;
      this.#level.leave(seats);
    };
    if (lingersMs > 0) setTimeout(rise, lingersMs);
    else rise();
    this.#clock.executed(this.#flow, (performance.now() - this.#since) / 1000, this.#isWatch);
  }
}

export const tooManyRequests = (): StatusError =>
  new StatusError(429, 'TooManyRequests', 'Too many requests, please try again later.', { retryAfterSeconds: 1 });
