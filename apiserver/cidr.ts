/** IPv4 ranges such as `10.96.0.0/12`. */
export interface Range {
  first: number;
  size: number;
}

export function parseCidr(cidr: string): Range {
  const match = /^(\d+)\.(\d+)\.(\d+)\.(\d+)\/(\d+)$/.exec(cidr);
  const parts = match?.slice(1).map(Number) ?? [];
  if (!match || parts.slice(0, 4).some((part) => part > 255) || parts[4]! < 8 || parts[4]! > 30)
    throw new Error(`expected an IPv4 range such as 10.96.0.0/12, got "${cidr}"`);
  const size = 2 ** (32 - parts[4]!);
  const address = parts.slice(0, 4).reduce((sum, part) => sum * 256 + part, 0);
  return { first: address - (address % size), size };
}

export const formatAddress = (address: number): string =>
  [24, 16, 8, 0].map((shift) => Math.floor(address / 2 ** shift) % 256).join('.');

export function parseAddress(text: string): number | undefined {
  const parts = text.split('.').map(Number);
  if (!/^\d+\.\d+\.\d+\.\d+$/.test(text) || parts.some((part) => part > 255)) return undefined;
  return parts.reduce((sum, part) => sum * 256 + part, 0);
}

/** The address of the service `kubernetes`: the first one that a range has to give. */
export const firstAddress = (cidr: string): string => formatAddress(parseCidr(cidr).first + 1);

export const contains = ({ first, size }: Range, address: number): boolean =>
  address > first && address < first + size - 1;
