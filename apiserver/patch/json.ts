import { applyPatch, type Operation } from 'rfc6902';
import { badRequest, StatusError } from '../../api/status.ts';

export type Json = Record<string, unknown>;

export const isRecord = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Sets a member whatever it is called; plain assignment would take `__proto__` for something else. */
export function setMember(object: Json, key: string, value: unknown): void {
  if (key === '__proto__')
    Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true });
  else object[key] = value;
}

const maxOperations = 10_000;

/** Applies a JSON patch (RFC 6902) in place. */
export function applyJsonPatch<T extends object>(object: T, patch: unknown): T {
  if (!Array.isArray(patch)) throw badRequest('json: cannot unmarshal object into Go value of type jsonpatch.Patch');
  if (patch.length > maxOperations)
    throw new StatusError(
      413,
      'RequestEntityTooLarge',
      `Request entity too large: The allowed maximum operations in a JSON patch is ${maxOperations}, got ${patch.length}`,
    );
  for (const operation of patch)
    if (!isRecord(operation) || typeof operation['op'] !== 'string' || typeof operation['path'] !== 'string')
      throw unprocessable();
  const failures = applyPatch(object, patch as Operation[]).filter((failure) => failure !== null);
  if (failures.length > 0) throw unprocessable();
  return object;
}

const unprocessable = (): StatusError =>
  new StatusError(422, 'Invalid', 'the server rejected our request due to an error in our request', {});

/** JSON merge patch (RFC 7386); returns a new object. */
export function mergePatch(target: unknown, patch: unknown): unknown {
  if (!isRecord(patch)) return patch;
  const out: Json = isRecord(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete out[key];
    else setMember(out, key, mergePatch(Object.hasOwn(out, key) ? out[key] : undefined, value));
  }
  return out;
}
