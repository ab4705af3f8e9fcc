/** Resources and attributes as text: in agents' flags, and in Mesos' messages. */
import type { Attribute, Range, ReservationInfo, Resource } from '../mesos/types.ts';

/** `cpus:4;mem(web):512;ports:[31000-31200];tokens:{a,b}`; throws an Error that says what would be right. */
export function parseResources(text: string): Resource[] {
  return parts(text).map((part) => {
    const match = /^([^:()\s]+)(?:\(([^)]+)\))?:(.+)$/.exec(part);
    if (!match) throw new Error(`expected resources such as cpus:4;mem:4096;ports:[31000-31200], got "${part}"`);
    const [name, role, value] = [match[1]!, match[2], match[3]!];
    const reserved = role === undefined || role === '*' ? {} : { reservations: [{ type: 'STATIC' as const, role }] };
    return { name, ...amount(value.trim()), ...reserved };
  });
}

/** `rack:r1;cores_ghz:2.75;ports_free:[1-5,7-9]`; a name may come twice. */
export function parseAttributes(text: string): Attribute[] {
  return parts(text).map((part) => {
    const at = part.indexOf(':');
    if (at <= 0) throw new Error(`expected attributes such as rack:r1;os:linux, got "${part}"`);
    const [name, value] = [part.slice(0, at), part.slice(at + 1).trim()];
    if (value.startsWith('{')) throw new Error(`the attribute "${name}" may not be a set`);
    if (value.startsWith('[') || isNumber(value)) return { name, ...amount(value) };
    return { name, type: 'TEXT', text: { value } };
  });
}

const parts = (text: string): string[] =>
  text
    .split(';')
    .map((part) => part.trim())
    .filter((part) => part !== '');

const isNumber = (text: string): boolean => text !== '' && Number.isFinite(Number(text));

function amount(value: string): Pick<Resource, 'type' | 'scalar' | 'ranges' | 'set'> {
  if (value.startsWith('[')) {
    const range = [...value.matchAll(/(\d+)\s*-\s*(\d+)/g)].map(([, b, e]) => ({ begin: BigInt(b!), end: BigInt(e!) }));
    if (range.length === 0) throw new Error(`expected ranges such as [31000-31200], got "${value}"`);
    return { type: 'RANGES', ranges: { range } };
  }
  if (value.startsWith('{')) {
    const item = value
      .slice(1, -1)
      .split(',')
      .map((one) => one.trim());
    return { type: 'SET', set: { item } };
  }
  if (!isNumber(value)) throw new Error(`expected a number, ranges or a set, got "${value}"`);
  return { type: 'SCALAR', scalar: { value: Number(value) } };
}

/** As Mesos prints them: `cpus(allocated: *):0.1; ports(allocated: *):[31000-31999]`. */
export const printResources = (resources: readonly Resource[]): string => resources.map(printResource).join('; ');

export function printResource(resource: Resource): string {
  const { name, reservations = [], allocation_info, disk, revocable } = resource;
  return [
    name,
    allocation_info ? `(allocated: ${allocation_info.role})` : '',
    reservations.length > 0 ? `(reservations: [${reservations.map(printReservation).join(',')}])` : '',
    disk?.persistence ? `[${disk.persistence.id}:${disk.volume?.container_path ?? ''}]` : '',
    revocable ? '{REV}' : '',
    ':',
    printAmount(resource),
  ].join('');
}

function printReservation({ type, role, principal, labels }: ReservationInfo): string {
  const pairs = (labels?.labels ?? []).map(({ key, value }) => (value === undefined ? key : `${key}: ${value}`));
  const parts = [type, role, principal, pairs.length > 0 ? `{${pairs.join(', ')}}` : undefined];
  return `(${parts.filter((part) => part !== undefined).join(',')})`;
}

function printAmount({ type, scalar, ranges, set }: Resource): string {
  if (type === 'SCALAR') return String(Math.round((scalar?.value ?? 0) * 1000) / 1000);
  if (type === 'RANGES') return `[${(ranges?.range ?? []).map(printRange).join(', ')}]`;
  return `{${(set?.item ?? []).join(', ')}}`;
}

const printRange = ({ begin, end }: Range): string => `${begin}-${end}`;

/** Mesos' durations: `5secs`, `15mins`, `1.5secs`. Milliseconds in. */
export function printDuration(ms: number): string {
  const units = [
    ['weeks', 604_800_000],
    ['days', 86_400_000],
    ['hrs', 3_600_000],
    ['mins', 60_000],
    ['secs', 1000],
  ] as const;
  const [unit, size] =
    units.find(([, length]) => ms >= length && ms % length === 0) ?? (ms >= 1000 ? units[4] : ['ms', 1]);
  return `${ms / size}${unit}`;
}
