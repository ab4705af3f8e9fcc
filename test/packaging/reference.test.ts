import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { components } from '../../cli/components.ts';
import { defaultText } from '../../lib/options.ts';
import { reference } from '../../packaging/reference.ts';

test('docs/reference.md is what the option rows say: npm run reference writes it anew', async () => {
  expect(readFileSync('docs/reference.md', 'utf8')).toBe(await reference());
});

test('every default, as it is shown, is read as the default', async () => {
  for (const { name, load } of components)
    for (const [key, option] of Object.entries((await load()).options)) {
      const shown = defaultText(option);
      if (shown !== '') expect([name, key, option.parse(shown)]).toEqual([name, key, option.default]);
    }
});
