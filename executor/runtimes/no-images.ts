import type { Images } from '../runtime.ts';

/** Containers run the machine's own files, as the user that this process is. */
export const noImages: Images = {
  mounts: 'none',
  pull: (id) => Promise.resolve({ id, pulled: false, user: process.getuid?.() ?? 0 }),
  list: () => Promise.resolve([]),
  directory: () => Promise.resolve(undefined),
  remove: () => Promise.resolve(),
};
