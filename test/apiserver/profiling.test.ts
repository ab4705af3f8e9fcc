import { gunzipSync } from 'node:zlib';
import { Profile } from 'pprof-format';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Agent } from 'undici';
import { adminToken, startServer, type TestServer } from './harness.ts';

let s: TestServer;
let agent: Agent;
beforeAll(async () => {
  s = await startServer();
  agent = new Agent({ connect: { ca: s.ca.pem } });
});
afterAll(async () => {
  await agent.destroy();
  await s.stop();
});

async function profile(path: string): Promise<Profile> {
  const headers = { authorization: `Bearer ${adminToken}` };
  const { statusCode, body } = await agent.request({ origin: s.url, path, method: 'GET', headers });
  expect(statusCode).toBe(200);
  return Profile.decode(gunzipSync(Buffer.from(await body.arrayBuffer())));
}

const typesOf = ({ sampleType, stringTable }: Profile) =>
  sampleType.map(({ type, unit }) => `${stringTable.strings[Number(type)]}/${stringTable.strings[Number(unit)]}`);

/** Functions by name, with the sum of a sample's last value over all stacks that they are on. */
function totals({ sample, location, function: functions, stringTable }: Profile): Map<string, number> {
  const names = new Map(functions.map(({ id, name }) => [Number(id), stringTable.strings[Number(name)]!]));
  const at = new Map(location.map(({ id, line }) => [Number(id), names.get(Number(line[0]!.functionId))!]));
  const sums = new Map<string, number>();
  for (const { locationId, value } of sample)
    for (const name of new Set(locationId.map((id) => at.get(Number(id))!)))
      sums.set(name, (sums.get(name) ?? 0) + Number(value.at(-1)));
  return sums;
}

function burnTheProcessor(ms: number): number {
  const until = performance.now() + ms;
  let sum = 0;
  while (performance.now() < until) sum += Math.sqrt(sum + 1);
  return sum;
}

const burnMuch = () => burnTheProcessor(40);
const burnLittle = () => burnTheProcessor(10);

test('a profile tells where the time went while it was taken', async () => {
  const taking = profile('/debug/pprof/profile?seconds=1');
  const timer = setInterval(() => {
    burnMuch();
    burnLittle();
  }, 60);
  const taken = await taking;
  clearInterval(timer);
  expect(typesOf(taken)).toEqual(['samples/count', 'cpu/nanoseconds']);
  expect(Number(taken.durationNanos) / 1e9).toBeGreaterThan(0.9);
  // Not in ms: how much of a second this process gets is the machine's.
  const [much = 0, little = 0] = ['burnMuch', 'burnLittle'].map((name) => totals(taken).get(name));
  expect(little).toBeGreaterThan(0);
  expect(much).toBeGreaterThan(little);
});

test('the profile of the heap tells who holds what was allocated meanwhile; only one profile is taken at a time', async () => {
  const held: string[][] = [];
  const taking = profile('/debug/pprof/heap?seconds=0.5');
  const timer = setInterval(function holdMemory() {
    held.push(Array.from({ length: 20_000 }, (_, i) => `${i}`));
  }, 20);
  const other = await s.call('GET', '/debug/pprof/profile?seconds=1');
  const taken = await taking;
  clearInterval(timer);
  expect(other).toMatchObject({ status: 429, headers: { 'retry-after': '10' } });
  expect(typesOf(taken)).toEqual(['inuse_space/bytes']);
  expect(totals(taken).get('holdMemory')).toBeGreaterThan(100_000);
  expect(held.length).toBeGreaterThan(0);
});

test('what cannot be had is refused, and who may not is', async () => {
  expect((await s.call('GET', '/debug/pprof/')).text).toContain('profile?seconds=30');
  expect(await s.call('GET', '/debug/pprof/profile?seconds=x')).toMatchObject({
    status: 400,
    text: 'seconds: expected a number from 1 to 300, got "x"',
  });
  expect((await s.call('GET', '/debug/pprof/nothing')).status).toBe(404);
  expect((await s.call('GET', '/debug/pprof/heap', undefined, { authorization: '' })).status).toBe(403);
  const silent = await startServer({ profiling: false });
  expect((await silent.call('GET', '/debug/pprof/')).status).toBe(404);
  await silent.stop();
});
