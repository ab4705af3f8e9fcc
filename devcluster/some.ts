/** A list as a member of a message: an empty one is left out. */
export const some = <K extends string, T>(key: K, items: T[]): { [P in K]?: T[] } =>
  (items.length > 0 ? { [key]: items } : {}) as { [P in K]?: T[] };
