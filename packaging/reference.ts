/** `npm run reference`: writes docs/reference.md from the option rows of every command. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Component, components } from '../cli/components.ts';
import { defaultText, envName, flagName } from '../lib/options.ts';

/** The text of docs/reference.md. */
export async function reference(): Promise<string> {
  const sections = await Promise.all(components.map(section));
  return `${intro}\n${sections.join('\n')}`;
}

const intro = `# Every option of km

Written by \`npm run reference\` from the rows that km itself reads. A flag counts before its variable, the variable before the default.
Durations read \`500ms\`, \`5s\`, \`1m30s\`, \`7d\`; lists are separated by commas. Every command has \`--log-level\`
(\`trace\` to \`silent\`, \`info\` unless told) and \`--log-pretty\` besides.
`;

async function section({ name, summary, load }: Component): Promise<string> {
  const { options } = await load();
  const rows = Object.entries(options).map(([key, option]) => {
    const fallback = defaultText(option);
    const cells = [
      `\`${`${flagName(key)} ${option.value}`.trim()}\``,
      `\`${envName(key)}\``,
      fallback && `\`${fallback}\``,
      option.help,
    ];
    return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  });
  return [
    `## km ${name}`,
    '',
    `${summary}.`,
    '',
    '| flag | variable | default | meaning |',
    '|---|---|---|---|',
    ...rows,
    '',
  ].join('\n');
}

if (import.meta.main) writeFileSync(join(import.meta.dirname, '../docs/reference.md'), await reference());
