/**
 * Quantities: `250m`, `1.5`, `1Gi`, `12e6`. Exact on BigInt, counted in nano units (10⁻⁹), as Kubernetes keeps them.
 * https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
 */
const nano = 1_000_000_000n;

const decimal: Record<string, number> = { n: -9, u: -6, m: -3, '': 0, k: 3, M: 6, G: 9, T: 12, P: 15, E: 18 };
const binary: Record<string, bigint> = { Ki: 10n, Mi: 20n, Gi: 30n, Ti: 40n, Pi: 50n, Ei: 60n };
const pattern = /^([+-]?)(\d+(?:\.\d*)?|\.\d+)(?:([eE][+-]?\d+)|(n|u|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei))?$/;

export const quantityError =
  "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";

/** What nothing is larger than. */
const largest = 10n ** 60n * nano;

/** The amount in nano units, rounded up, and no more than 10⁶⁰ units; throws an Error in Kubernetes' words when the text is no quantity. */
export function parseNano(quantity: string | number): bigint {
  const match = pattern.exec(String(quantity));
  if (!match) throw new Error(quantityError);
  const [, sign, digits, exponent, suffix = ''] = match;
  const [whole = '', fraction = ''] = digits!.split('.');
  const mantissa = BigInt(`${whole}${fraction}` || '0');
  const power = exponent ? Number(exponent.slice(1)) : (decimal[suffix] ?? 0);
  if (mantissa === 0n) return 0n;
  const negative = sign === '-';
  // Beyond these the outcome is known, and working it out could take for ever.
  if (whole.length + power > 60 && power > -60) return negative ? -largest : largest;
  if (whole.length + power < -60) return negative ? 0n : 1n;
  const shift = power - fraction.length + 9;
  const scaled = (mantissa << (binary[suffix] ?? 0n)) * (shift > 0 ? 10n ** BigInt(shift) : 1n);
  const divisor = shift < 0 ? 10n ** BigInt(-shift) : 1n;
  const value = (scaled + divisor - 1n) / divisor;
  const bounded = value > largest ? largest : value;
  return negative ? -bounded : bounded;
}

export const isQuantity = (text: unknown): boolean => {
  if (typeof text === 'number') return Number.isFinite(text);
  return typeof text === 'string' && pattern.test(text);
};

/** As a plain number of units: cores, bytes. Exact up to 2^53. */
export const quantity = (text: string | number): number => Number(parseNano(text)) / Number(nano);

/** Whole thousandths, rounded up: what cpu is counted in. */
export function milli(text: string | number): number {
  const unit = nano / 1000n;
  const n = parseNano(text);
  return Number(n >= 0n ? (n + unit - 1n) / unit : n / unit);
}

export function compareQuantities(a: string | number, b: string | number): number {
  const left = parseNano(a);
  const right = parseNano(b);
  return left < right ? -1 : left > right ? 1 : 0;
}

/** Thousandths as Kubernetes writes cpu: 1500 → `1500m`, 2000 → `2`. */
export const formatMilli = (thousandths: number): string =>
  thousandths % 1000 === 0 ? String(thousandths / 1000) : `${Math.ceil(thousandths)}m`;

/** Bytes as Kubernetes writes memory: the largest binary suffix that divides them. */
export function formatBytes(bytes: number): string {
  if (bytes === 0) return '0';
  const suffixes = ['', 'Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei'];
  let power = 0;
  let n = Math.ceil(bytes);
  while (n % 1024 === 0 && power < suffixes.length - 1) {
    n /= 1024;
    power += 1;
  }
  return `${n}${suffixes[power]}`;
}

/** Shortest exact decimal text of an amount in nano units. */
export function formatNano(value: bigint): string {
  if (value % nano === 0n) return String(value / nano);
  if (value % (nano / 1000n) === 0n) return `${value / (nano / 1000n)}m`;
  if (value % 1000n === 0n) return `${value / 1000n}u`;
  return `${value}n`;
}

const alreadyCanonical = /^(0|[1-9]\d{0,2}(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?)$/;

/** The one text Kubernetes writes for an amount: `0.5` → `500m`, `1024Mi` → `1Gi`, `1000` → `1k`. */
export function canonicalQuantity(given: string | number): string {
  const quantityText = String(given);
  if (alreadyCanonical.test(quantityText)) return quantityText;
  const value = parseNano(quantityText);
  if (value === 0n) return '0';
  if (/[KMGTPE]i$/.test(quantityText)) {
    const whole = (value + nano - 1n) / nano;
    if (whole > -1024n && whole < 1024n) return canonicalDecimal(value);
    return withSuffix(whole, 1024n, ['', 'Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei']);
  }
  if (/\d[eE][+-]?\d+$/.test(quantityText)) {
    const [digits, power] = stripThousands(value, -9);
    return power === 0 ? String(digits) : `${digits}e${power}`;
  }
  return canonicalDecimal(value);
}

function stripThousands(value: bigint, from: number): [digits: bigint, power: number] {
  let digits = value;
  let power = from;
  while (digits % 1000n === 0n && power < 18) {
    digits /= 1000n;
    power += 3;
  }
  return [digits, power];
}

function canonicalDecimal(value: bigint): string {
  const [digits, power] = stripThousands(value, -9);
  return `${digits}${['n', 'u', 'm', '', 'k', 'M', 'G', 'T', 'P', 'E'][(power + 9) / 3]}`;
}

function withSuffix(value: bigint, base: bigint, suffixes: readonly string[]): string {
  let digits = value;
  let step = 0;
  while (digits % base === 0n && step < suffixes.length - 1) {
    digits /= base;
    step += 1;
  }
  return `${digits}${suffixes[step]}`;
}

/** `a + b`, or `a - b` with a sign of -1n: exact, written as the two were. */
export function addQuantities(a: string | number, b: string | number, sign: 1n | -1n = 1n): string {
  const value = parseNano(a) + sign * parseNano(b);
  const isBinary = [a, b].some((text) => /[KMGTPE]i$/.test(String(text)));
  if (isBinary && value % (1024n * nano) === 0n) return canonicalQuantity(`${value / (1024n * nano)}Ki`);
  return canonicalQuantity(formatNano(value));
}
