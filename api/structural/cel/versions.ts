import type { Environment } from '@marcbachmann/cel-js';
// Its index brings ranges and all: every server reads this file as it starts.
import SemVer from 'semver/classes/semver.js';
import parse from 'semver/functions/parse.js';
import { define, defineType } from './define.ts';

const type = 'kubernetes.Semver';

/** https://kubernetes.io/docs/reference/using-api/cel/#kubernetes-semver-library */
export function versions(environment: Environment): void {
  defineType(environment, type, SemVer, (a, b) => a.compare(b) === 0);
  define(environment, {
    'isSemver(string): bool': (text: string) => read(text) !== null,
    'isSemver(string, bool): bool': (text: string, isLoose: boolean) =>
      read(isLoose ? normalized(text) : text) !== null,
    [`semver(string): ${type}`]: versionOf,
    [`semver(string, bool): ${type}`]: (text: string, isLoose: boolean) => versionOf(isLoose ? normalized(text) : text),
    [`${type}.isGreaterThan(${type}): bool`]: (a: SemVer, b: SemVer) => a.compare(b) > 0,
    [`${type}.isLessThan(${type}): bool`]: (a: SemVer, b: SemVer) => a.compare(b) < 0,
    [`${type}.compareTo(${type}): int`]: (a: SemVer, b: SemVer) => BigInt(a.compare(b)),
    [`${type}.major(): int`]: ({ major }: SemVer) => BigInt(major),
    [`${type}.minor(): int`]: ({ minor }: SemVer) => BigInt(minor),
    [`${type}.patch(): int`]: ({ patch }: SemVer) => BigInt(patch),
  });
}

/** The library lets a `v` and white space pass, which are no part of a semantic version. */
const read = (text: string): SemVer | null => (/^\d\S*$/.test(text) ? parse(text) : null);

function versionOf(text: string): SemVer {
  const version = read(text);
  if (version) return version;
  throw new Error(`${JSON.stringify(text)} is no semantic version`);
}

/** Without a `v` and leading zeros, and with minor and patch; a short version that says more than numbers stays broken. */
function normalized(text: string): string {
  const [, major, minor, patch, rest = ''] = /^v?(\d+)(?:\.(\d+))?(?:\.(\d+))?(.*)$/s.exec(text) ?? [];
  if (major === undefined || (patch === undefined && rest !== '')) return '';
  return [major, minor ?? '0', patch ?? '0'].map((part) => part.replace(/^0+(?=\d)/, '')).join('.') + rest;
}
