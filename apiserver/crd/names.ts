import type { CustomNames, CustomResourceDefinition } from '../../api/kinds/custom-resource-definition.ts';
import type { Condition } from '../../api/meta.ts';
import { withCondition } from '../conditions.ts';

type Crd = Readonly<CustomResourceDefinition>;

export const conditionOf = (crd: Crd, type: string): Condition | undefined =>
  crd.status?.conditions?.find((condition) => condition.type === type);

export const isEstablished = (crd: Crd): boolean => conditionOf(crd, 'Established')?.status === 'True';

interface Verdict {
  conditions: Condition[];
  acceptedNames: CustomNames;
}

/**
 * Whether a definition may have its names beside the others of its group, as conditions NamesAccepted and Established;
 * undefined when its status already says so. Names that were accepted once stay with whoever has them.
 */
export function judgeNames(crd: Crd, others: readonly Crd[], now: number): Verdict | undefined {
  const conflict = conflictOf(crd, others);
  const wasEstablished = isEstablished(crd);
  const accepted: Condition = conflict
    ? { type: 'NamesAccepted', status: 'False', ...conflict }
    : { type: 'NamesAccepted', status: 'True', reason: 'NoConflicts', message: 'no conflicts found' };
  const established: Condition =
    !conflict || wasEstablished
      ? {
          type: 'Established',
          status: 'True',
          reason: 'InitialNamesAccepted',
          message: 'the initial names have been accepted',
        }
      : { type: 'Established', status: 'False', reason: 'NotAccepted', message: 'not all names are accepted' };
  const conditions = withCondition(withCondition(crd.status?.conditions, accepted, now), established, now);
  const names = conflict ? (crd.status?.acceptedNames ?? { plural: '', kind: '' }) : crd.spec.names;
  const isKnown = JSON.stringify(names) === JSON.stringify(crd.status?.acceptedNames);
  return conditions !== crd.status?.conditions || !isKnown ? { conditions, acceptedNames: names } : undefined;
}

function conflictOf(crd: Crd, others: readonly Crd[]): { reason: string; message: string } | undefined {
  const { names, group } = crd.spec;
  const taken = others
    .filter((other) => other.spec.group === group && other.metadata.uid !== crd.metadata.uid)
    .map((other) => other.status?.acceptedNames)
    .filter((other) => other !== undefined);
  const resources = new Set(
    taken.flatMap(({ plural, singular = '', shortNames = [] }) => [plural, singular, ...shortNames]),
  );
  const kinds = new Set(taken.flatMap(({ kind, listKind = '' }) => [kind, listKind]));
  const asked: [reason: string, name: string | undefined, among: Set<string>][] = [
    ['PluralConflict', names.plural, resources],
    ['SingularConflict', names.singular, resources],
    ...(names.shortNames ?? []).map((name): [string, string, Set<string>] => ['ShortNamesConflict', name, resources]),
    ['KindConflict', names.kind, kinds],
    ['ListKindConflict', names.listKind, kinds],
  ];
  const found = asked.find(([, name, among]) => name && among.has(name));
  return found && { reason: found[0], message: `"${found[1]}" is already in use` };
}
