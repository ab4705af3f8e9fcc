import type { ObjectMeta } from '../../api/meta.ts';
import { isRecord, type Json } from '../patch/json.ts';
import { FieldSet, fromFieldsV1, toFieldsV1, union } from './field-set.ts';

/** One row of metadata.managedFields, as it lies on the wire. */
export interface ManagedFieldsEntry {
  manager?: string;
  operation: 'Apply' | 'Update';
  apiVersion: string;
  time?: string;
  fieldsType: 'FieldsV1';
  fieldsV1: Json;
  subresource?: string;
}

/** Who owns which fields, and since when. */
export interface Manager {
  manager: string;
  operation: 'Apply' | 'Update';
  apiVersion: string;
  subresource: string;
  time: string | undefined;
  fields: FieldSet;
}

/** Updates are told apart by version too; an applier stays the same whatever version it uses. */
export const isSameManager = (a: Manager, b: Omit<Manager, 'fields' | 'time'>): boolean =>
  a.manager === b.manager &&
  a.operation === b.operation &&
  a.subresource === b.subresource &&
  (a.operation === 'Apply' || a.apiVersion === b.apiVersion);

/** Undefined when the rows are not what managedFields must be. */
export function readManagers(rows: unknown): Manager[] | undefined {
  if (rows === undefined) return [];
  if (!Array.isArray(rows)) return undefined;
  const managers: Manager[] = [];
  for (const row of rows) {
    const manager = readManager(row);
    if (!manager) return undefined;
    managers.push(manager);
  }
  return managers;
}

function readManager(row: unknown): Manager | undefined {
  if (!isRecord(row)) return undefined;
  const { manager = '', operation, apiVersion, subresource = '', time, fieldsType, fieldsV1 = {} } = row;
  const fields = fromFieldsV1(fieldsV1);
  if (operation !== 'Apply' && operation !== 'Update') return undefined;
  if (typeof apiVersion !== 'string' || fieldsType !== 'FieldsV1' || !fields) return undefined;
  return {
    manager: String(manager),
    operation,
    apiVersion,
    subresource: String(subresource),
    time: time === undefined ? undefined : String(time),
    fields,
  };
}

/** `managedFields: [{}]` asks for forgetting who owns what. */
export const isReset = (rows: ObjectMeta['managedFields']): boolean =>
  rows?.length === 1 && isRecord(rows[0]) && Object.keys(rows[0]).length === 0;

/** Appliers first, then by age and name; managers that own nothing are left out. */
export function writeManagers(managers: readonly Manager[]): ManagedFieldsEntry[] {
  const order = ({ operation, time = '', manager, subresource }: Manager) =>
    `${operation}\0${time}\0${manager}\0${subresource}`;
  return capped(managers.filter(({ fields }) => !fields.isEmpty))
    .sort((a, b) => (order(a) < order(b) ? -1 : 1))
    .map(({ manager, operation, apiVersion, time, fields, subresource }) => ({
      ...(manager ? { manager } : {}),
      operation,
      apiVersion,
      ...(time ? { time } : {}),
      fieldsType: 'FieldsV1',
      fieldsV1: toFieldsV1(fields),
      ...(subresource ? { subresource } : {}),
    }));
}

const maxUpdaters = 10;
const ancient = 'ancient-changes';

/** Of many updaters the oldest become one, so that an object's history is bounded. */
function capped(managers: Manager[]): Manager[] {
  const updaters = managers.filter(({ operation }) => operation === 'Update');
  if (updaters.length <= maxUpdaters) return managers;
  const oldest = updaters
    .sort((a, b) => ((a.time ?? '') < (b.time ?? '') ? -1 : 1))
    .slice(0, updaters.length - maxUpdaters + 1);
  const merged = new Map<string, Manager>();
  for (const one of oldest) {
    const known = merged.get(one.apiVersion);
    merged.set(one.apiVersion, {
      ...one,
      manager: ancient,
      subresource: '',
      fields: known ? union(known.fields, one.fields) : one.fields,
    });
  }
  return [...managers.filter((manager) => !oldest.includes(manager)), ...merged.values()];
}
