import { createServer } from 'node:net';
import { expect, test } from '@jest/globals';
import { freePort, isFree } from '../../cli/ports.ts';

test('free ports are none that systems give to connections, or node ports, and each is given once', async () => {
  const ports = await Promise.all(Array.from({ length: 50 }, () => freePort()));
  expect(new Set(ports).size).toBe(50);
  for (const port of ports) {
    expect(port).toBeLessThan(30_000);
    expect(await isFree(port)).toBe(true);
  }
});

test('a port that somebody listens on is not free', async () => {
  const port = await freePort();
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  expect(await isFree(port)).toBe(false);
  await new Promise((resolve) => server.close(resolve));
});
