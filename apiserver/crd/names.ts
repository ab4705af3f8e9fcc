import type { CustomNames, CustomResourceDefinition } from '../../api/kinds/custom-resource-definition.ts';
import { timestamp, type Condition } from '../../api/meta.ts';

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
  const accepted: Partial<Condition> = conflict
    ? { status: 'False', ...conflict }
    : { status: 'True', reason: 'NoConflicts', message: 'no conflicts found' };
  const established: Partial<Condition> =
    !conflict || wasEstablished
      ? { status: 'True', reason: 'InitialNamesAccepted', message: 'the initial names have been accepted' }
      : { status: 'False', reason: 'NotAccepted', message: 'not all names are accepted' };
  const conditions = [...(crd.status?.conditions ?? [])];
  const changed = [
    set(conditions, { type: 'NamesAccepted', ...accepted } as Condition, now),
    set(conditions, { type: 'Established', ...established } as Condition, now),
  ].some(Boolean);
  const names = conflict ? (crd.status?.acceptedNames ?? { plural: '', kind: '' }) : crd.spec.names;
  const isKnown = JSON.stringify(names) === JSON.stringify(crd.status?.acceptedNames);
  return changed || !isKnown ? { conditions, acceptedNames: names } : undefined;
}

/** Sets a condition by its type; tells whether that changed anything. The time moves with the status only. */
export function set(conditions: Condition[], next: Condition, now: number): boolean {
  const at = conditions.findIndex(({ type }) => type === next.type);
  const before = conditions[at];
  if (before && before.status === next.status && before.reason === next.reason && before.message === next.message)
    return false;
  const isSame = before?.status === next.status;
  const dated = { ...next, lastTransitionTime: isSame ? (before.lastTransitionTime ?? null) : timestamp(now) };
  conditions.splice(at < 0 ? conditions.length : at, 1, dated);
  return true;
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
