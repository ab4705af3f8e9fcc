import type { Kind } from '../api/kind.ts';
import { betaKinds } from '../api/kinds/index.ts';

/**
 * The kinds that --runtime-config asks for, in the form of kube-apiserver's flag: `group/version=true`, where `=true` may be
 * missing and `=false` leaves out. Throws an Error that says what there is.
 */
export function chosenBetaKinds(wishes: readonly string[]): Kind[] {
  const versions = new Map<string, boolean>();
  for (const wish of wishes) {
    const [version = '', value = 'true'] = wish.split('=');
    const known = [...new Set(betaKinds.map(({ apiVersion }) => apiVersion))];
    if (!known.includes(version) || !['true', 'false'].includes(value))
      throw new Error(`--runtime-config: "${wish}" is not one of ${known.map((one) => `${one}=true`).join(', ')}`);
    versions.set(version, value === 'true');
  }
  return betaKinds.filter(({ apiVersion }) => versions.get(apiVersion));
}
