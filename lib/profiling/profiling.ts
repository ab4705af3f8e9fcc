import type { HeapProfiler, Profiler } from 'node:inspector';
import { Session } from 'node:inspector/promises';
import { delay } from '../delay.ts';
import { pprof, type Frame, type Seen } from './pprof.ts';

/** Microseconds between two looks at the stack, and bytes between two allocations that are noted. */
const cpuPeriod = 10_000;
const heapPeriod = 64 * 1024;
const maxSeconds = 300;
const defaultSeconds = { profile: 30, heap: 10 } as const;

const index = `/debug/pprof/

profile?seconds=30  where the server spends its time
heap?seconds=10     who allocates what is still in use when the time is over

Both are read by go tool pprof.
`;

/** What the one who asked is told: a profile, or in words why there is none. */
export interface ProfileAnswer {
  code: 200 | 400 | 429;
  headers: Record<string, string>;
  contentType: string;
  body: Buffer;
}

let isBusy = false;

/**
 * `/debug/pprof/profile` and `/debug/pprof/heap` of this process, in pprof's format; undefined for what there is none of. Takes the time
 * that `seconds` asks for; ends early when the signal aborts. One profile at a time.
 */
export async function profileAt(
  path: string,
  query: URLSearchParams,
  signal: AbortSignal,
): Promise<ProfileAnswer | undefined> {
  const [, what] = /^\/debug\/pprof(?:\/(.*))?$/.exec(path) ?? [];
  if (path === '/debug/pprof' || what === '') return words(200, index);
  if (what !== 'profile' && what !== 'heap') return undefined;
  const given = query.get('seconds') || undefined;
  const seconds = given === undefined ? defaultSeconds[what] : Number(given);
  if (!(seconds > 0 && seconds <= maxSeconds))
    return words(400, `seconds: expected a number from 1 to ${maxSeconds}, got ${JSON.stringify(given)}`);
  if (isBusy) return words(429, 'another profile is being taken; try again when it is done', { 'retry-after': '10' });
  isBusy = true;
  const session = new Session();
  try {
    session.connect();
    const body = await (what === 'profile' ? cpu : heap)(session, seconds * 1000, signal);
    return { code: 200, headers: {}, contentType: 'application/octet-stream', body };
  } finally {
    session.disconnect();
    isBusy = false;
  }
}

const words = (code: ProfileAnswer['code'], text: string, headers: Record<string, string> = {}): ProfileAnswer => ({
  ...{ code, headers },
  contentType: 'text/plain; charset=utf-8',
  body: Buffer.from(text),
});

async function cpu(session: Session, ms: number, signal: AbortSignal): Promise<Buffer> {
  await session.post('Profiler.enable');
  await session.post('Profiler.setSamplingInterval', { interval: cpuPeriod });
  await session.post('Profiler.start');
  const beganMs = Date.now();
  await delay(ms, signal);
  const { profile } = await session.post('Profiler.stop');
  const types = [
    ['samples', 'count'],
    ['cpu', 'nanoseconds'],
  ] as const;
  return pprof(types, cpuPeriod * 1000, stacksOf(profile), { beganMs, endedMs: Date.now() });
}

/** What V8 saw, by stack; the time between two looks is the stack's that the first one saw. */
function* stacksOf({ nodes, samples = [], timeDeltas = [] }: Profiler.Profile): Iterable<Seen> {
  const parents = new Map<number, Profiler.ProfileNode>();
  for (const node of nodes) for (const child of node.children ?? []) parents.set(child, node);
  const seen = new Map<number, { count: number; micros: number }>();
  for (const [i, id] of samples.entries()) {
    const sum = seen.get(id) ?? { count: 0, micros: 0 };
    seen.set(id, sum);
    sum.count += 1;
    sum.micros += Math.max(0, timeDeltas[i + 1] ?? 0);
  }
  for (const node of nodes) {
    const sum = seen.get(node.id);
    if (!sum || node.callFrame.functionName === '(idle)') continue;
    const stack: Frame[] = [];
    for (let at: Profiler.ProfileNode | undefined = node; at; at = parents.get(at.id))
      if (at.callFrame.functionName !== '(root)') stack.push(at.callFrame);
    yield { stack, values: [sum.count, sum.micros * 1000] };
  }
}

async function heap(session: Session, ms: number, signal: AbortSignal): Promise<Buffer> {
  await session.post('HeapProfiler.enable');
  await session.post('HeapProfiler.startSampling', { samplingInterval: heapPeriod });
  const beganMs = Date.now();
  await delay(ms, signal);
  const { profile } = await session.post('HeapProfiler.stopSampling');
  return pprof([['inuse_space', 'bytes']], heapPeriod, allocationsOf(profile), { beganMs, endedMs: Date.now() });
}

function allocationsOf({ head }: HeapProfiler.SamplingHeapProfile): Seen[] {
  const found: Seen[] = [];
  const walk = (node: HeapProfiler.SamplingHeapProfileNode, above: readonly Frame[]): void => {
    const stack = node.callFrame.functionName === '(root)' ? above : [node.callFrame, ...above];
    if (node.selfSize > 0) found.push({ stack, values: [node.selfSize] });
    for (const child of node.children) walk(child, stack);
  };
  walk(head, []);
  return found;
}
