import type { Environment } from '@marcbachmann/cel-js';
import { equal } from '../../../lib/equal.ts';
import { define, defineNamespace } from './define.ts';

/** https://kubernetes.io/docs/reference/using-api/cel/#kubernetes-list-library */
export function lists(environment: Environment): void {
  define(environment, {
    'list.isSorted(): bool': (list: unknown[]) => list.every((item, i) => i === 0 || !less(item, list[i - 1])),
    'list.sum(): dyn': sum,
    'list.min(): dyn': (list: unknown[]) => extreme(list, less),
    'list.max(): dyn': (list: unknown[]) => extreme(list, (a, b) => less(b, a)),
    'list.indexOf(dyn): int': (list: unknown[], item: unknown) => BigInt(list.findIndex((one) => equal(one, item))),
    'list.lastIndexOf(dyn): int': (list: unknown[], item: unknown) =>
      BigInt(list.findLastIndex((one) => equal(one, item))),
  });
}

const less = (a: unknown, b: unknown): boolean => (a as number) < (b as number);

type Number = number & bigint;
/** What a duration knows of adding. */
interface Summable {
  addDuration: (other: Summable) => Summable;
}

function sum(list: unknown[]): unknown {
  if (list.length === 0) return 0n;
  return list.reduce((a, b) => {
    if (typeof a === 'object') return (a as Summable).addDuration(b as Summable);
    return (a as Number) + (b as Number);
  });
}

function extreme(list: unknown[], before: (a: unknown, b: unknown) => boolean): unknown {
  if (list.length === 0) throw new Error('min and max of an empty list are not defined');
  return list.reduce((best, item) => (before(item, best) ? item : best));
}

/** https://pkg.go.dev/github.com/google/cel-go/ext#Sets */
export function sets(environment: Environment): void {
  const has = (list: unknown[], item: unknown) => list.some((one) => equal(one, item));
  const contains = (a: unknown[], b: unknown[]) => b.every((item) => has(a, item));
  defineNamespace(environment, 'sets', {
    'contains(list, list): bool': contains,
    'equivalent(list, list): bool': (a: unknown[], b: unknown[]) => contains(a, b) && contains(b, a),
    'intersects(list, list): bool': (a: unknown[], b: unknown[]) => b.some((item) => has(a, item)),
  });
}
