/** Whether two JSON values say the same: the order of fields does not matter, a field that is undefined is absent. */
export function equal(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Array.isArray(a) || Array.isArray(b))
    return Array.isArray(a) && Array.isArray(b) && a.length === b.length && a.every((item, i) => equal(item, b[i]));
  return covers(a, b) && covers(b, a, true);
}

/** Every field of `a` is in `b`, and (unless only its presence counts) says the same there. */
function covers(a: object, b: object, presence = false): boolean {
  for (const field of Object.keys(a)) {
    const value = (a as Record<string, unknown>)[field];
    if (value === undefined) continue;
    const other = Object.hasOwn(b, field) ? (b as Record<string, unknown>)[field] : undefined;
    if (presence ? other === undefined : !equal(value, other)) return false;
  }
  return true;
}
