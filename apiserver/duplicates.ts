/** One quick pass over JSON text: how deep it nests and how many members its objects name. */
export function measure(text: string): { depth: number; members: number } {
  let depth = 0;
  let deepest = 0;
  let members = 0;
  for (let i = 0; i < text.length; i++) {
    switch (text.charCodeAt(i)) {
      case 0x22:
        i = endOfString(text, i);
        break;
      case 0x7b:
      case 0x5b:
        depth += 1;
        if (depth > deepest) deepest = depth;
        break;
      case 0x7d:
      case 0x5d:
        depth -= 1;
        break;
      case 0x3a:
        members += 1;
        break;
    }
  }
  return { depth: deepest, members };
}

/** Index of the quote that closes the string opened at `start`. */
function endOfString(text: string, start: number): number {
  let i = text.indexOf('"', start + 1);
  while (i > 0 && isEscaped(text, i)) i = text.indexOf('"', i + 1);
  return i < 0 ? text.length : i;
}

function isEscaped(text: string, at: number): boolean {
  let slashes = 0;
  while (text.charCodeAt(at - 1 - slashes) === 0x5c) slashes += 1;
  return slashes % 2 === 1;
}

/** Members of all objects in a parsed value; fewer than its text names means that some were named twice. */
export function countMembers(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  let count = 0;
  if (Array.isArray(value)) {
    for (const item of value) count += countMembers(item);
    return count;
  }
  for (const key in value) count += 1 + countMembers((value as Record<string, unknown>)[key]);
  return count;
}

interface Level {
  keys: Set<string> | undefined;
  path: string;
  index: number;
  key: string;
}

/** Paths of the fields that valid JSON text names more than once in one object. */
export function findDuplicates(text: string): string[] {
  const found: string[] = [];
  const stack: Level[] = [];
  const pathOf = (level: Level | undefined): string => {
    if (!level) return '';
    if (!level.keys) return `${level.path}[${level.index}]`;
    return level.path === '' ? level.key : `${level.path}.${level.key}`;
  };
  for (let i = 0; i < text.length; i++) {
    const top = stack.at(-1);
    const char = text[i]!;
    if (char === '"') {
      const end = endOfString(text, i);
      if (top?.keys && /^\s*:/.test(text.slice(end + 1, end + 64))) {
        top.key = JSON.parse(text.slice(i, end + 1)) as string;
        if (top.keys.has(top.key)) found.push(pathOf(top));
        top.keys.add(top.key);
      }
      i = end;
    } else if (char === '{') stack.push({ keys: new Set(), path: pathOf(top), index: 0, key: '' });
    else if (char === '[') stack.push({ keys: undefined, path: pathOf(top), index: 0, key: '' });
    else if (char === '}' || char === ']') stack.pop();
    else if (char === ',' && top && !top.keys) top.index += 1;
  }
  return found;
}
