/**
 * npm run bench              every bench, one after the other
 * npm run bench -- <name>    one of them, or all of a group: `scheduler`
 *
 * A bench is a file here that prints one JSON line per case; see report.ts.
 */
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';

const notBenches = new Set(['run.ts', 'report.ts', 'load.ts', 'process-use.ts', 'pods.ts']);
const names = readdirSync(import.meta.dirname)
  .filter((file) => file.endsWith('.ts') && !notBenches.has(file))
  .map((file) => file.slice(0, -3));

const groups = new Map([['scheduler', ['decide', 'placing', 'neighbour', 'failover', 'holding']]]);

const wanted = process.argv.slice(2).flatMap((name) => groups.get(name) ?? [name]);
for (const name of wanted)
  if (!names.includes(name)) {
    process.stderr.write(`there is no bench "${name}"; there are ${[...names, ...groups.keys()].join(', ')}\n`);
    process.exit(2);
  }
let failed = 0;
for (const name of wanted.length > 0 ? wanted : names) {
  const { status } = spawnSync(process.execPath, [join(import.meta.dirname, `${name}.ts`)], { stdio: 'inherit' });
  if (status !== 0) failed = 1;
}
process.exit(failed);
