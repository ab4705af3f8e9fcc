import { constants } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';

/** open(2): a handle on the name itself, which opens nothing. */
export const O_PATH = 0o10000000;
/** The same, of a link itself where there is one. */
export const named = O_PATH | constants.O_NOFOLLOW;

/** What was opened, whatever its name leads to meanwhile. */
export const pathOf = ({ fd }: FileHandle): string => `/proc/self/fd/${fd}`;
