import { expect, test } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';

const root = join(import.meta.dirname, '../..');

/** The packages that node has loaded once the command's room is. */
function packagesOf(command: string): string[] {
  const script = `
    import { registerHooks } from 'node:module';
    const found = new Set();
    registerHooks({
      load(url, context, next) {
        found.add(url.match(/node_modules\\/((@[^/]+\\/)?[^/]+)/)?.[1]);
        return next(url, context);
      },
    });
    const { components } = await import('./cli/components.ts');
    await components.find(({ name }) => name === '${command}').load();
    console.log(JSON.stringify([...found].filter(Boolean)));`;
  const args = ['--input-type=module', '--eval', script];
  return JSON.parse(execFileSync(process.execPath, args, { cwd: root, encoding: 'utf8' })) as string[];
}

test('an executor starts without what only some nodes need, and only later', () => {
  const loaded = packagesOf('executor');
  expect(loaded).toContain('undici');
  for (const later of ['dockerode', 'yaml', 'prom-client', 'ws', '@peculiar/x509', 'pprof-format'])
    expect(loaded).not.toContain(later);
});
