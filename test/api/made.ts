import { describe as words } from '../../api/field-error.ts';
import type { FieldError, Kind } from '../../api/kind.ts';
import { builtinKinds } from '../../api/kinds/index.ts';
import type { KubeObject } from '../../api/meta.ts';
import { mergePatch } from '../../apiserver/patch/json.ts';
import { minimalObjects, objectNames } from '../apiserver/minimal-objects.ts';

/** By `group/version/kind`. */
export const kindOf = (id: string): Kind => builtinKinds.find((kind) => `${kind.apiVersion}/${kind.kind}` === id)!;

/** A valid object of a kind with a merge patch laid over it, defaulted as a create would. */
export function made(id: string, patch: object = {}): KubeObject {
  const kind = kindOf(id);
  const base = structuredClone({
    metadata: { name: objectNames[id] ?? 'x', namespace: 'default', uid: 'u' },
    ...minimalObjects[id],
  });
  const object: KubeObject = JSON.parse(JSON.stringify(mergePatch(base, structuredClone(patch))));
  kind.defaults?.(object);
  kind.prepareCreate?.(object);
  return object;
}

/** As users read them. */
export const lines = (errors: FieldError[] | undefined) =>
  (errors ?? []).map((error) => `${error.field}: ${words(error)}`);
