import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import {
  agentCall,
  agentResponse,
  DecodeError,
  executorCall,
  executorEvent,
  masterCall,
  masterEvent,
  masterResponse,
  messageType,
  schedulerCall,
  schedulerEvent,
  type ContentType,
  type MessageType,
} from '../../mesos/codec.ts';
import { parseJson } from '../../mesos/codec-json.ts';
import type { TaskInfo } from '../../mesos/tasks.ts';

const golden = join(import.meta.dirname, '../golden/mesos');

interface Item {
  conn: string;
  dir: string;
  path?: string;
  headers?: Record<string, string>;
  status?: number;
  body?: string;
  bodyBase64?: string;
  raw?: string;
  recordBase64?: string;
}
interface Case {
  at: string;
  type: MessageType<object>;
  bytes: Buffer;
  contentType: ContentType;
}

/** Which API a connection speaks, by the path of its last request. */
function apiOf(path: string, port: string): 'scheduler' | 'executor' | 'master' | 'agent' | undefined {
  if (path.endsWith('/api/v1/scheduler')) return 'scheduler';
  if (path.endsWith('/api/v1/executor')) return 'executor';
  if (!path.endsWith('/api/v1')) return undefined;
  return port.endsWith('0') || port === '6061' ? 'master' : 'agent';
}

const types: Record<string, { call: unknown; event?: unknown; response?: unknown }> = {
  scheduler: { call: schedulerCall, event: schedulerEvent },
  executor: { call: executorCall, event: executorEvent },
  master: { call: masterCall, event: masterEvent, response: masterResponse },
  agent: { call: agentCall, event: messageType('mesos.v1.agent.ProcessIO'), response: agentResponse },
};

const bytesOf = (text: string | undefined, base64: string | undefined) =>
  base64 === undefined ? Buffer.from(text ?? '') : Buffer.from(base64, 'base64');

/** Every request that was accepted, every answer and every record of one scenario. */
function casesOf(scenario: string): Case[] {
  const cases: Case[] = [];
  const api = new Map<string, string>();
  const pending = new Map<string, Case>();
  const lines = readFileSync(join(golden, scenario, 'trace.jsonl'), 'utf8')
    .trim()
    .split('\n');
  lines.forEach((line, i) => {
    const item = JSON.parse(line) as Item;
    const at = `${scenario}:${i + 1}`;
    const add = (kind: 'call' | 'event' | 'response', bytes: Buffer, json: boolean) => {
      const type = types[api.get(item.conn) ?? '']?.[kind] as MessageType<object> | undefined;
      return type && ({ at, type, bytes, contentType: json ? 'application/json' : 'application/x-protobuf' } as const);
    };
    if (item.dir === 'request') {
      pending.delete(item.conn);
      const name = apiOf(item.path ?? '', item.headers?.['host']?.split(':')[1] ?? '');
      if (name) api.set(item.conn, name);
      else api.delete(item.conn);
      const type = item.headers?.['content-type'];
      const found = add('call', bytesOf(item.body, item.bodyBase64), type === 'application/json');
      if (found && (type === 'application/json' || type === 'application/x-protobuf')) pending.set(item.conn, found);
    } else if (item.dir === 'response') {
      const request = pending.get(item.conn);
      if (request && item.status! < 300) cases.push(request);
      const type = item.headers?.['content-type'] ?? '';
      const whole = item.headers?.['transfer-encoding'] === undefined && item.status === 200;
      const bytes = bytesOf(item.body, item.bodyBase64);
      const found = bytes.length > 0 && whole && add('response', bytes, type === 'application/json');
      if (found && /json|protobuf/.test(type)) cases.push(found);
    } else if (item.dir === 'record') {
      const found = add('event', bytesOf(item.raw, item.recordBase64), item.raw !== undefined);
      if (found) cases.push(found);
    }
  });
  return cases;
}

/** JSON compared as Mesos means it: empty lists and null are as absent, and a field that v1 does not have is skipped. */
function normal(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(normal);
  if (typeof value !== 'object' || value === null) return value;
  const isAgent = 'hostname' in value && 'port' in value && 'resources' in value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(
        ([, inner]) =>
          inner !== null && inner !== 'FUTURE' && inner !== 'FOO' && !(Array.isArray(inner) && inner.length === 0),
      )
      .filter(([key]) => key !== 'foo' && !(isAgent && key === 'checkpoint'))
      .map(([key, inner]) => [key, normal(inner)]),
  );
}

const scenarios = readdirSync(golden, { withFileTypes: true }).filter((entry) => entry.isDirectory());
const cases = scenarios.flatMap(({ name }) => casesOf(name));

describe('what a real Mesos and its clients said', () => {
  test('is there in both content types and for all four APIs', () => {
    const kinds = new Set(cases.map((c) => `${c.type.name} ${c.contentType}`));
    for (const name of ['scheduler.Call', 'scheduler.Event', 'executor.Call', 'executor.Event'])
      for (const type of ['json', 'x-protobuf']) expect(kinds).toContain(`mesos.v1.${name} application/${type}`);
    expect(cases.length).toBeGreaterThan(2500);
  });

  test('survives decoding and encoding in its own content type', () => {
    for (const { at, type, bytes, contentType } of cases) {
      const value = type.decode(bytes, contentType);
      const again = type.encode(value, contentType);
      try {
        if (contentType === 'application/json') {
          expect(normal(parseJson(again.toString()))).toEqual(normal(parseJson(bytes.toString())));
        } else {
          expect(type.decode(again, contentType)).toEqual(value);
          // Answers about agents carry a field that the published v1 messages do not have.
          if (/scheduler|Call/.test(type.name)) expect(again.length).toBe(bytes.length);
        }
      } catch (error) {
        throw new Error(`${at} (${type.name}): ${(error as Error).message}`, { cause: error });
      }
    }
  });

  test('means the same after a trip through the other content type', () => {
    for (const { at, type, bytes, contentType } of cases) {
      const value = type.decode(bytes, contentType);
      const other = contentType === 'application/json' ? 'application/x-protobuf' : 'application/json';
      try {
        expect(type.decode(type.encode(value, other), other)).toEqual(value);
      } catch (error) {
        throw new Error(`${at} (${type.name}): ${(error as Error).message}`, { cause: error });
      }
    }
  });
});

describe('64-bit integers', () => {
  const taskStatus = messageType<{
    task_id: { value: string };
    state: string;
    unreachable_time?: { nanoseconds: bigint };
  }>('mesos.v1.TaskStatus');
  test('keep every digit in both content types', () => {
    for (const nanoseconds of [1795237721341123457n, -1n, 0n, 2n ** 63n - 1n, -(2n ** 63n)]) {
      const status = { task_id: { value: 't' }, state: 'TASK_LOST', unreachable_time: { nanoseconds } };
      for (const type of ['application/json', 'application/x-protobuf'] as const)
        expect(taskStatus.decode(taskStatus.encode(status, type), type)).toEqual(status);
    }
  });

  test('are bare numbers in JSON', () => {
    const status = {
      task_id: { value: 't' },
      state: 'TASK_LOST',
      unreachable_time: { nanoseconds: 1795237721341123457n },
    };
    expect(taskStatus.encode(status, 'application/json').toString()).toContain('{"nanoseconds":1795237721341123457}');
  });

  test('are found only where they are numbers', () => {
    const text =
      '{"a":"x\\"1795237721341123457","b":1795237721341123457,"c":1.1234567890123456789,"d":1e1000000000000000}';
    expect(parseJson(text)).toMatchObject({ a: 'x"1795237721341123457', b: '1795237721341123457' });
    expect(typeof (parseJson(text) as { c: unknown }).c).toBe('number');
  });
});

describe('bad input', () => {
  const decode = (text: string) => () => schedulerCall.decode(Buffer.from(text), 'application/json');

  test('is refused in the words of Mesos', () => {
    expect(decode('[]')).toThrow('Expecting a JSON object');
    expect(decode('{"type":"SUBSCRIBE","subscribe":{"framework_info":{"name":"x"}}}')).toThrow(
      'Missing required fields: subscribe.framework_info.user',
    );
    expect(decode('{"type":"SUBSCRIBE","subscribe":{"framework_info":{"user":"x","name":{}}}}')).toThrow(
      "Not expecting a JSON object for field 'name'",
    );
    expect(decode('{"type":')).toThrow(DecodeError);
  });

  test('never grows a prototype', () => {
    const quota = messageType<{ role: string; limits?: Record<string, { value: number }> }>(
      'mesos.v1.quota.QuotaConfig',
    );
    const value = quota.decode(Buffer.from('{"role":"r","limits":{"__proto__":{"value":1}}}'), 'application/json');
    expect(Object.getPrototypeOf(value.limits)).toBe(Object.prototype);
    expect(Object.keys(value.limits!)).toEqual(['__proto__']);
    const again = quota.decode(quota.encode(value, 'application/x-protobuf'), 'application/x-protobuf');
    expect(Object.keys(again.limits!)).toEqual(['__proto__']);
  });

  test('cut or mangled protobuf is refused, and never hangs', () => {
    const whole = schedulerCall.encode(
      { type: 'TEARDOWN', framework_id: { value: 'some-framework' } },
      'application/x-protobuf',
    );
    for (let cut = 1; cut < whole.length - 2; cut++)
      expect(() => schedulerCall.decode(whole.subarray(0, cut), 'application/x-protobuf')).toThrow(DecodeError);
    let nested = Buffer.alloc(0);
    for (let i = 0; i < 500; i++) nested = Buffer.concat([Buffer.from([0x12, ...lengthOf(nested.length)]), nested]);
    const containerId = messageType('mesos.v1.ContainerID');
    expect(() => containerId.decode(nested, 'application/x-protobuf')).toThrow(DecodeError);
  });

  test('an unknown enum name or number counts as not set, unless the field is required', () => {
    expect(schedulerCall.decode(Buffer.from('{"type":"FOO"}'), 'application/json')).toEqual({});
    expect(schedulerCall.decode(Buffer.from([0x10, 99]), 'application/x-protobuf')).toEqual({});
    const status = messageType('mesos.v1.TaskStatus');
    expect(() => status.decode(Buffer.from('{"task_id":{"value":"t"},"state":"X"}'), 'application/json')).toThrow(
      "Failed to find enum for 'X'",
    );
  });

  test('an object that does not fit is refused before it is sent, with the place', () => {
    const task = messageType<TaskInfo>('mesos.v1.TaskInfo');
    const base = { name: 't', task_id: { value: 't' }, agent_id: { value: 'a' } };
    const wrong = (extra: object) => () => task.encode({ ...base, ...extra } as TaskInfo, 'application/json');
    expect(wrong({ agent_id: undefined })).toThrow('mesos.v1.TaskInfo.agent_id is required and not set');
    expect(wrong({ resources: [{ name: 'cpus', type: 'NUMBER' }] })).toThrow(
      'mesos.v1.TaskInfo.resources[0].type is "NUMBER"',
    );
    expect(wrong({ max_completion_time: { nanoseconds: 5 } })).toThrow('nanoseconds must be a bigint of 64 bits');
    expect(wrong({ data: 'text' })).toThrow('data must be a Uint8Array');
  });
});

function lengthOf(n: number): number[] {
  return n < 128 ? [n] : [(n & 127) | 128, ...lengthOf(n >> 7)];
}
