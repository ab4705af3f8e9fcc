import type { Environment } from '@marcbachmann/cel-js';
import { canonicalQuantity, isQuantity, parseNano } from '../../quantity.ts';
import { define, defineType } from './define.ts';

const type = 'kubernetes.Quantity';
const unit = 1_000_000_000n;

/** A quantity in billionths. */
class Quantity {
  readonly nano: bigint;
  constructor(nano: bigint) {
    this.nano = nano;
  }

  get isInteger(): boolean {
    return this.nano % unit === 0n && BigInt.asIntN(64, this.nano / unit) === this.nano / unit;
  }
}

/** https://kubernetes.io/docs/reference/using-api/cel/#kubernetes-quantity-library */
export function quantities(environment: Environment): void {
  defineType(environment, type, Quantity, (a, b) => a.nano === b.nano);
  define(environment, {
    'isQuantity(string): bool': (text: string) => isQuantity(text),
    [`quantity(string): ${type}`]: (text: string) => new Quantity(parseNano(canonicalQuantity(text))),
    [`${type}.isGreaterThan(${type}): bool`]: (a: Quantity, b: Quantity) => a.nano > b.nano,
    [`${type}.isLessThan(${type}): bool`]: (a: Quantity, b: Quantity) => a.nano < b.nano,
    [`${type}.compareTo(${type}): int`]: (a: Quantity, b: Quantity) => signOf(a.nano - b.nano),
    [`${type}.add(${type}): ${type}`]: (a: Quantity, b: Quantity) => new Quantity(a.nano + b.nano),
    [`${type}.add(int): ${type}`]: (a: Quantity, b: bigint) => new Quantity(a.nano + b * unit),
    [`${type}.sub(${type}): ${type}`]: (a: Quantity, b: Quantity) => new Quantity(a.nano - b.nano),
    [`${type}.sub(int): ${type}`]: (a: Quantity, b: bigint) => new Quantity(a.nano - b * unit),
    [`${type}.sign(): int`]: ({ nano }: Quantity) => signOf(nano),
    [`${type}.isInteger(): bool`]: ({ isInteger }: Quantity) => isInteger,
    [`${type}.asInteger(): int`]: ({ nano, isInteger }: Quantity) => {
      if (!isInteger) throw new Error('cannot convert value to integer');
      return nano / unit;
    },
    [`${type}.asApproximateFloat(): double`]: ({ nano }: Quantity) => Number(nano) / 1e9,
  });
}

const signOf = (nano: bigint): bigint => (nano < 0n ? -1n : nano > 0n ? 1n : 0n);
