/**
 * The try-out: how long `km up` takes until every server is ready, started before and so with its compiled code and its data kept.
 * `raw` is a Node that starts and ends, as often as there are servers.
 *
 *   node bench/up.ts
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { median, report } from './report.ts';

const servers = 6;
const dir = mkdtempSync(join(tmpdir(), 'km-bench-up-'));
const program = join(import.meta.dirname, '../cli/km.ts');

/** Milliseconds. */
async function started(): Promise<number> {
  const begun = performance.now();
  const args = [program, 'up', '--dir', dir, '--port', '0', '--etcd-port', '0', '--mesos-port', '0'];
  const up = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(up, 'exit');
  let said = '';
  for await (const chunk of up.stdout) {
    said += String(chunk);
    if (said.includes('Ready. Try:')) break;
  }
  const took = performance.now() - begun;
  up.kill();
  await ended;
  if (!said.includes('Ready. Try:')) throw new Error(`km up ended before it was ready: ${said}`);
  return took;
}

try {
  await started();
  const value = await median(3, started);
  const raw = await median(3, () => {
    const begun = performance.now();
    for (let i = 0; i < servers; i++) spawnSync(process.execPath, ['-e', '0']);
    return performance.now() - begun;
  });
  report({ bench: 'up', case: 'every server ready, warm', value, unit: 'ms', goal: 8000, lower: true, raw });
} finally {
  rmSync(dir, { recursive: true, force: true });
}
