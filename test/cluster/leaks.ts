import { readFileSync } from 'node:fs';

/** Which of the secrets, by their names, stand in which of the files, in whatever clothes. */
export function leaksIn(files: readonly string[], secrets: Readonly<Record<string, string>>): string[] {
  const sought = Object.entries(secrets).map(([name, secret]) => ({ name, forms: partsOf(secret).flatMap(formsOf) }));
  return files.flatMap((file) => {
    const text = readFileSync(file, 'latin1');
    const standard = text.replaceAll('-', '+').replaceAll('_', '/');
    return sought
      .filter(({ forms }) => forms.some((form) => text.includes(form) || standard.includes(form)))
      .map(({ name }) => `${file}: ${name}`);
  });
}

/** What alone would be of use to a thief: a token's signature, the lines of a key. */
function partsOf(secret: string): string[] {
  if (/^[\w-]+\.[\w-]+\.[\w-]+$/.test(secret)) return [secret.slice(secret.lastIndexOf('.') + 1)];
  return secret.split('\n').filter((line) => line.length > 8 && !line.startsWith('-----'));
}

/** As it is, as part of a URL, as the bytes that JSON makes of a buffer, and in base64, with one, two or no bytes before it. */
function formsOf(text: string): string[] {
  const bytes = Buffer.from(text);
  const base64 = [0, 1, 2].map((before) =>
    Buffer.concat([Buffer.alloc(before), bytes])
      .toString('base64')
      .slice(Math.ceil((before * 8) / 6), Math.floor(((before + bytes.length) * 8) / 6)),
  );
  return [text, encodeURIComponent(text), bytes.join(','), ...base64];
}
