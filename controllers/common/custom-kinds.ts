import { type Kind, kind } from '../../api/kind.ts';
import type { CustomResourceDefinition } from '../../api/kinds/custom-resource-definition.ts';
import type { KubeObject } from '../../api/meta.ts';

/** The kind that a definition adds, once it is served: enough of it to list, patch and delete. */
export function customKind({ metadata, spec, status }: Readonly<CustomResourceDefinition>): Kind | undefined {
  const established = status?.conditions?.some(({ type, status: is }) => type === 'Established' && is === 'True');
  const served = spec.versions.filter((version) => version.served);
  const version = served.find(({ storage }) => storage) ?? served[0];
  if (!established || !version || metadata.deletionTimestamp) return undefined;
  const { group, names, scope } = spec;
  const { kind: name, plural } = names;
  const made = kind<KubeObject>({
    group,
    version: version.name,
    kind: name,
    plural,
    namespaced: scope === 'Namespaced',
  });
  return made as Kind;
}
