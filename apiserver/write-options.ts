import type { FieldError } from '../api/kind.ts';
import { bad, forbiddenField, invalid, notSupported, required, tooLong } from '../api/field-error.ts';
import type { Call, WriteOptions } from './call.ts';

const kinds: Readonly<Record<string, string>> = {
  POST: 'CreateOptions',
  PUT: 'UpdateOptions',
  PATCH: 'PatchOptions',
  DELETE: 'DeleteOptions',
};

export const applyType = 'application/apply-patch+yaml';

/** What a body is, without its parameters. */
export const mediaType = ({ contentType }: Call): string => contentType.split(';')[0]!.trim().toLowerCase();

/** Reads the options of a write from its query. Throws 422 in the name of the options' kind, with every fault. */
export function writeOptions(call: Call): WriteOptions {
  const fieldManager = call.query.get('fieldManager') ?? '';
  const dryRun = call.query.getAll('dryRun').filter((value) => value !== '');
  const faults = [
    ...checkDryRun(dryRun),
    ...(call.method === 'DELETE' ? [] : [...checkManager(fieldManager), ...checkFieldValidation(call.query)]),
    ...(call.method === 'PATCH' ? checkPatch(call, fieldManager) : []),
  ];
  if (faults.length > 0) throw badOptions(kinds[call.method] ?? 'CreateOptions', faults);
  return {
    dryRun: dryRun.length > 0,
    user: call.user,
    fieldManager: fieldManager || programOf(call.userAgent),
    subresource: call.subresource,
    warn: (sentence) => void call.warnings.push(sentence),
    annotate: call.annotate,
  };
}

/** The `dryRun` of a DeleteOptions body. Throws 422. */
export function readDryRun(values: readonly string[]): boolean {
  const faults = checkDryRun(values);
  if (faults.length > 0) throw badOptions('DeleteOptions', faults);
  return values.length > 0;
}

/** The 422 of options that do not belong to an object. */
export const badOptions = (kind: string, faults: readonly FieldError[]): Error =>
  invalid({ group: 'meta.k8s.io', kind }, '', faults);

const checkDryRun = (values: readonly string[]): FieldError[] =>
  values.every((value) => value === 'All') ? [] : [notSupported('dryRun', values, ['All'])];

/** Control characters and the like; spaces are printable. */
const unprintable = /[\p{C}\u2028\u2029]|(?! )\p{Z}/u;

function checkManager(name: string): FieldError[] {
  const long = Buffer.byteLength(name) > 128 ? [tooLong('fieldManager', 128)] : [];
  const found = unprintable.exec(name);
  if (!found) return long;
  const code = found[0].codePointAt(0)!.toString(16).toUpperCase().padStart(4, '0');
  const at = Buffer.byteLength(name.slice(0, found.index));
  return [...long, bad('fieldManager', name, `invalid character U+${code} (at position ${at})`)];
}

function checkFieldValidation(query: URLSearchParams): FieldError[] {
  const mode = query.get('fieldValidation') ?? '';
  const modes = ['Ignore', 'Strict', 'Warn'];
  return mode === '' || modes.includes(mode) ? [] : [notSupported('fieldValidation', mode, modes)];
}

function checkPatch(call: Call, fieldManager: string): FieldError[] {
  if (mediaType(call) === applyType)
    return fieldManager === '' ? [required('fieldManager', 'is required for apply patch')] : [];
  return call.query.has('force') ? [forbiddenField('force', 'may not be specified for non-apply patch')] : [];
}

/** The program behind a User-Agent such as `kubectl/v1.36.0 (linux/amd64)`. */
const programOf = (userAgent: string): string =>
  userAgent
    .split('/')[0]!
    .replace(/[^\x20-\x7e]/g, '')
    .slice(0, 128);
