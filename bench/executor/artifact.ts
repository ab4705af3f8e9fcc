import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { report } from '../report.ts';

const bench = 'executor';
const root = resolve(import.meta.dirname, '../..');

/** What the fetcher brings to an agent. */
export interface Artifact {
  /** The program in it. */
  km: string;
  remove(): void;
}

/** Built here: how large it is, and how long it takes on an agent until it does something. */
export function artifact(): Artifact {
  const directory = mkdtempSync(join(tmpdir(), 'km-bench-'));
  const remove = () => rmSync(directory, { recursive: true, force: true });
  try {
    return { km: measured(directory), remove };
  } catch (error) {
    remove();
    throw error;
  }
}

function measured(directory: string): string {
  execFileSync(process.execPath, [join(root, 'packaging/build.ts'), '--out', directory], { cwd: root, stdio: 'pipe' });
  const archive = readdirSync(directory).find((name) => name.endsWith('.tar.gz'))!;
  const megabytes = statSync(join(directory, archive)).size / 1e6;
  report({ bench, case: 'artifact, packed', value: megabytes, unit: 'MB', goal: 60, lower: true });
  const unpacked = join(directory, 'unpacked');
  mkdirSync(unpacked);
  const took = elapsed('tar', ['-xf', join(directory, archive), '-C', unpacked]);
  report({ bench, case: 'artifact, unpacked', value: took, unit: 'ms', goal: 2000, lower: true });
  const km = join(unpacked, readdirSync(unpacked)[0]!, 'bin/km');
  const raw = times(() => elapsed(process.execPath, ['-e', '0']));
  const value = times(() => elapsed(km, ['executor', '--help']));
  report({ bench, case: 'artifact, start to its first words', value, unit: 'ms', goal: 700, lower: true, raw });
  return km;
}

const times = (measure: () => number): number => Array.from({ length: 5 }, measure).sort((a, b) => a - b)[2]!;

function elapsed(command: string, args: string[]): number {
  const started = performance.now();
  const { status, stderr } = spawnSync(command, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${command} ended with ${status}: ${stderr}`);
  return performance.now() - started;
}
