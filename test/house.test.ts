import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { longest } from './jest/sequencer.ts';

/** Who may import whom. The picture is in docs/architecture.md. */
const may: Record<string, string[]> = {
  lib: [],
  api: ['lib'],
  mesos: ['lib'],
  client: ['api', 'lib'],
  apiserver: ['client', 'api', 'lib'],
  scheduler: ['client', 'api', 'lib'],
  framework: ['scheduler', 'mesos', 'client', 'api', 'lib'],
  executor: ['mesos', 'client', 'api', 'lib'],
  controllers: ['client', 'api', 'lib'],
  proxy: ['client', 'api', 'lib'],
  dns: ['mesos', 'client', 'api', 'lib'],
  devcluster: ['mesos', 'lib'],
};
/** Rooms that run have one door. */
const doors = new Set(['apiserver', 'scheduler', 'framework', 'executor', 'controllers', 'proxy', 'dns', 'devcluster']);

const sources = (room: string) =>
  existsSync(room)
    ? readdirSync(room, { recursive: true, encoding: 'utf8' })
        .filter((file) => file.endsWith('.ts'))
        .map((file) => join(room, file))
    : [];

function foreignImports(room: string): { file: string; target: string; other: string }[] {
  return sources(room).flatMap((file) =>
    [...readFileSync(file, 'utf8').matchAll(/(?:from|import)\s*\(?\s*'(\.[^']+)'/g)]
      .map(([, path]) => join(dirname(file), path!))
      .map((target) => ({ file, target, other: target.split('/')[0]! }))
      .filter(({ other }) => other !== room),
  );
}

describe('the house', () => {
  for (const [room, allowed] of Object.entries(may)) {
    test(`${room} imports only ${allowed.join(', ') || 'nothing of ours'}, through the doors`, () => {
      const wrong = foreignImports(room).filter(
        ({ other, target }) => !allowed.includes(other) || (doors.has(other) && target !== `${other}/index.ts`),
      );
      expect(wrong.map(({ file, target }) => `${file} imports ${target}`)).toEqual([]);
    });
  }

  test('nobody imports node:http but for its types: that would load a fetch and a WebSocket of Node, which nobody uses', () => {
    const wrong = [...Object.keys(may), 'cli']
      .flatMap(sources)
      .filter((file) => /^import (?!type ).*'node:http'/m.test(readFileSync(file, 'utf8')));
    expect(wrong).toEqual([]);
  });

  test('nothing that ships imports cli, test or bench', () => {
    const wrong = Object.keys(may)
      .flatMap(foreignImports)
      .filter(({ other }) => ['cli', 'test', 'bench'].includes(other));
    expect(wrong).toEqual([]);
  });

  test('the test files that are begun first are there under their names', () => {
    expect(longest.filter((name) => !existsSync(`test/${name}.test.ts`))).toEqual([]);
  });

  test('docker-compose accepts docker-compose.yml', () => {
    expect(() => execFileSync('docker-compose', ['config', '-q'], { stdio: 'pipe' })).not.toThrow();
  });
});
