import { randomUUID } from 'node:crypto';

/** A new UUID of version 4 as the 16 bytes that Mesos takes: others it refuses. */
export const newUuid = (): Uint8Array => Buffer.from(randomUUID().replaceAll('-', ''), 'hex');
