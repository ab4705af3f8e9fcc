/** Which roles there may be, and Mesos' words against the others. */

/** What is wrong with the name of a role, or undefined. */
export function roleError(role: string): string | undefined {
  if (role === '*') return undefined;
  if (role === '') return 'Empty role name is invalid';
  if (role.startsWith('/')) return `Role '${role}' cannot start with a slash`;
  if (role.endsWith('/')) return `Role '${role}' cannot end with a slash`;
  if (role.includes('//')) return `Role '${role}' cannot contain two adjacent slashes`;
  for (const component of role.split('/')) {
    if (['.', '..', '*'].includes(component)) return `Role '${role}' cannot include '${component}' as a component`;
    if (component.startsWith('-')) return `Role component '${component}' is invalid because it starts with a dash`;
    if (/[\s\x08]/.test(component))
      return `Role component '${component}' is invalid because it contains backspace or whitespace`;
  }
  return undefined;
}

/** `eng/web` and what it is below of: `eng`. */
export function withAncestors(role: string): string[] {
  const parts = role.split('/');
  return parts.map((_, i) => parts.slice(0, i + 1).join('/'));
}

/** Whether a role is another, or below it. */
export const isWithin = (role: string, other: string): boolean => role === other || role.startsWith(`${other}/`);

/** What is wrong with an id that becomes part of a path, or undefined. */
export function idError(id: string): string | undefined {
  if (id === '') return 'ID must not be empty';
  if (id.length > 255) return 'ID must not be greater than 255 characters';
  if (id === '.' || id === '..') return `'${id}' is disallowed`;
  const isBad = [...id].some((c) => c === '/' || c === '\\' || c.charCodeAt(0) < 32 || c.charCodeAt(0) === 127);
  return isBad ? `'${id}' contains invalid characters` : undefined;
}

/** The 16 bytes of a UUID of RFC 4122 with a version of 1 to 5, or Mesos' words against it. */
export function uuidError(bytes: Uint8Array): string | undefined {
  const version = bytes.length === 16 ? bytes[6]! >> 4 : 0;
  return version >= 1 && version <= 5 ? undefined : 'Not a valid UUID';
}
