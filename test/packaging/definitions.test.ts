import { execFileSync } from 'node:child_process';
import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { parseEnv } from 'node:util';
import { expect, test } from '@jest/globals';
import { components } from '../../cli/components.ts';
import { onPath } from '../../cli/on-path.ts';
import { envName, readOptions } from '../../lib/options.ts';

/** Rejects where a variable is none of the command's, or its value cannot be read. */
async function readAs(command: string, env: Record<string, string | undefined>): Promise<void> {
  const component = components.find(({ name }) => name === command);
  expect([command, component?.name]).toEqual([command, command]);
  const { options } = await component!.load();
  const known = Object.keys(options).map(envName);
  expect(Object.keys(env).filter((name) => !known.includes(name))).toEqual([]);
  readOptions(options, [], env);
}

const services = globSync('packaging/systemd/*.service');

test.each(services)('%s starts a command of km with variables that it knows', async (file) => {
  const command = basename(file, '.service').replace(/^km-/, '');
  const unit = readFileSync(file, 'utf8');
  expect(unit).toContain(`\nExecStart=/usr/local/bin/km ${command}\n`);
  expect(unit).toContain(`\nEnvironmentFile=/etc/km/${command}.env\n`);
  const env = parseEnv(readFileSync(`packaging/systemd/${command}.env`, 'utf8'));
  await readAs(command, env);
  // Where its health is told; km proxy has that without being told.
  const { KM_PORT, KM_HEALTH_BIND_ADDRESS } = env;
  const told = { proxy: 'by itself', dns: KM_HEALTH_BIND_ADDRESS }[command] ?? KM_PORT;
  expect([command, told]).toEqual([command, expect.stringMatching(/[^0]/)]);
});

(onPath('systemd-analyze') ? test : test.skip)('systemd takes the units', () => {
  const folder = mkdtempSync(join(tmpdir(), 'km-units-'));
  for (const file of services) {
    // What it starts has to be there, and be known users'.
    const unit = readFileSync(file, 'utf8')
      .replace('/usr/local/bin/km', process.execPath)
      .replace('User=km', 'User=root');
    writeFileSync(join(folder, basename(file)), unit);
  }
  const units = services.map((file) => join(folder, basename(file)));
  expect(execFileSync('systemd-analyze', ['verify', ...units], { encoding: 'utf8', stdio: 'pipe' })).toBe('');
  rmSync(folder, { recursive: true });
});

interface App {
  id: string;
  cmd: string;
  fetch: { uri: string }[];
  env: Record<string, string>;
  requirePorts: boolean;
  portDefinitions: { port: number }[];
  healthChecks: { portIndex: number; path: string; protocol: string }[];
}

test.each(globSync('packaging/marathon/*.json'))('%s starts a command of the archive it fetches', async (file) => {
  const app = JSON.parse(readFileSync(file, 'utf8')) as App;
  const [, folder, command] = /^exec \.\/(\S+)\/bin\/km (\S+)$/.exec(app.cmd) ?? [];
  expect(app.id).toBe(`/km/${command}`);
  expect(app.fetch.map(({ uri }) => basename(uri))).toEqual([`${folder}.tar.gz`]);
  await readAs(command!, app.env);
  expect(app).toMatchObject({
    requirePorts: true,
    portDefinitions: [{ port: Number(app.env['KM_PORT']) }],
    healthChecks: [{ protocol: 'MESOS_HTTPS', path: '/livez', portIndex: 0 }],
  });
});
