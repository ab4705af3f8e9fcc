/**
 * Mutations name types that our CEL does not know: `Object.spec{replicas: 3}`, `JSONPatch{op: "add"}`. They are records of what
 * they hold, so they are read as maps, `dyn({"replicas": 3})`: of one type, whatever they hold.
 * https://kubernetes.io/docs/reference/access-authn-authz/mutating-admission-policy/
 */
export function typesAsMaps(expression: string): string {
  let out = '';
  /** For each open bracket, whether it is a typed one whose next word is a field. */
  const open: ('field' | 'value' | undefined)[] = [];
  for (let at = 0; at < expression.length;) {
    const [token = ''] = tokens.exec(expression.slice(at)) ?? [];
    at += token.length;
    if (token === '{') {
      const typed = typeName.exec(out);
      if (typed) out = `${out.slice(0, -typed[1]!.length)}dyn(`;
      open.push(typed ? 'field' : undefined);
    } else if (token === '(' || token === '[') open.push(undefined);
    else if (token === '}' || token === ')' || token === ']') {
      out += open.pop() ? `${token})` : token;
      continue;
    } else if (token === ',' && open.at(-1)) open[open.length - 1] = 'field';
    else if (open.at(-1) === 'field' && word.test(token)) {
      open[open.length - 1] = 'value';
      out += JSON.stringify(token.replaceAll('`', ''));
      continue;
    }
    out += token;
  }
  return out;
}

/** Strings of every form, comments, words, and else one character. */
const tokens =
  /^(?:[rRbB]{0,2}(?:"""[\s\S]*?"""|'''[\s\S]*?'''|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')|\/\/[^\n]*|`[^`]*`|[A-Za-z_]\w*|[\s\S])/;
const word = /^(?:[A-Za-z_]\w*|`.*`)$/;
const typeName = /(?:^|[^\w.])((?:Object(?:\.\w+)*|JSONPatch)\s*)$/;

/** What an expression made, as JSON has it: whole numbers are numbers again, times, durations (`3600s`) and bytes are texts. */
export function fromCel(value: unknown): unknown {
  if (typeof value === 'bigint') return Number(value);
  if (value instanceof Date) return value.toISOString().replace(/\.000Z$/, 'Z');
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64');
  if (Array.isArray(value)) return value.map(fromCel);
  if (typeof value !== 'object' || value === null) return value;
  if (Object.getPrototypeOf(value) !== Object.prototype) return ofObject(value);
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, fromCel(member)]));
}

/** Numbers without a sign and durations are objects in our CEL; quantities and the like have no place in JSON. */
function ofObject(value: object): number | string {
  if ('seconds' in value && 'nanos' in value) return `${Number(value.seconds) + Number(value.nanos) / 1e9}s`;
  const number = Number(value.valueOf());
  if (Number.isNaN(number)) throw new Error(`a ${value.constructor.name} cannot be written into an object`);
  return number;
}
