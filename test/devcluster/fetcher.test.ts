import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { type Server, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { fetchAll } from '../../devcluster/fetcher.ts';

const folder = mkdtempSync(join(tmpdir(), 'km-fetcher-'));
const cache = join(folder, 'cache');
const requests: string[] = [];
let server: Server;
let url: string;
let sandbox: string;
let archive: Buffer;
let serial = 0;

beforeAll(async () => {
  const tree = join(folder, 'tree');
  mkdirSync(join(tree, 'inside'), { recursive: true });
  writeFileSync(join(tree, 'inside/file.txt'), 'from the archive');
  execFileSync('tar', ['-czf', join(folder, 'app.tgz'), '-C', tree, 'inside']);
  archive = readFileSync(join(folder, 'app.tgz'));
  server = createServer((request, response) => {
    requests.push(`${request.method} ${request.url}`);
    if (request.url === '/missing') response.writeHead(404).end();
    else if (request.url === '/app.tgz')
      response
        .writeHead(200, { 'content-length': archive.length })
        .end(request.method === 'HEAD' ? undefined : archive);
    else response.writeHead(200).end(request.method === 'HEAD' ? undefined : '#!/bin/sh\necho hello\n');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.close();
  server.closeAllConnections();
  rmSync(folder, { recursive: true, force: true });
});
beforeEach(() => {
  requests.length = 0;
  sandbox = join(folder, `sandbox-${serial++}`);
  mkdirSync(sandbox);
});

const fetched = (...uris: Parameters<typeof fetchAll>[0]) =>
  fetchAll(uris, sandbox, cache, new AbortController().signal);

describe('the fetcher', () => {
  test('brings a file over http and makes it executable when asked', async () => {
    await fetched({ value: `${url}/run.sh`, executable: true });
    expect(execFileSync(join(sandbox, 'run.sh'), { encoding: 'utf8' })).toBe('hello\n');
    expect(requests).toEqual(['GET /run.sh']);
  });

  test('unpacks an archive unless told not to', async () => {
    await fetched({ value: `${url}/app.tgz` });
    expect(readFileSync(join(sandbox, 'inside/file.txt'), 'utf8')).toBe('from the archive');
    rmSync(join(sandbox, 'inside'), { recursive: true });
    await fetched({ value: `${url}/app.tgz`, extract: false });
    expect(existsSync(join(sandbox, 'inside'))).toBe(false);
    expect(readFileSync(join(sandbox, 'app.tgz')).equals(archive)).toBe(true);
  });

  test('asks once for what is cached: HEAD, then GET, then nothing more', async () => {
    for (let i = 0; i < 3; i++) await fetched({ value: `${url}/kept`, cache: true, extract: false });
    expect(requests).toEqual(['HEAD /kept', 'GET /kept']);
    expect(readFileSync(join(sandbox, 'kept'), 'utf8')).toContain('hello');
  });

  test('names the file as it is told, also in a folder, but never outside the sandbox', async () => {
    await fetched({ value: `${url}/x`, output_file: 'bin/tool', executable: true });
    expect(statSync(join(sandbox, 'bin/tool')).mode & 0o111).not.toBe(0);
    for (const output_file of ['../escape', '/etc/escape', 'a/../../escape'])
      await expect(fetched({ value: `${url}/x`, output_file })).rejects.toThrow('is no name of a file in a sandbox');
    expect(readdirSync(folder)).not.toContain('escape');
  });

  test('brings local files, with and without file:', async () => {
    const local = join(folder, 'local.txt');
    writeFileSync(local, 'local');
    await fetched({ value: local, extract: false }, { value: `file://${local}`, output_file: 'second.txt' });
    expect(readdirSync(sandbox).sort()).toEqual(['local.txt', 'second.txt']);
  });

  test.each([
    ['a missing file', () => `${url}/missing`, 'HTTP 404'],
    ['a server that is not there', () => 'http://127.0.0.1:1/x', 'ECONNREFUSED'],
    ['a scheme it does not know', () => 'hdfs://namenode/x', 'only http, https, file and absolute paths'],
  ])('says which URI failed and why: %s', async (_, uri, why) => {
    await expect(fetched({ value: uri() })).rejects.toThrow(`Failed to fetch '${uri()}'`);
    await expect(fetched({ value: uri() })).rejects.toThrow(why);
  });
});
