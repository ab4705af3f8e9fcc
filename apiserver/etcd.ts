import type { Logger } from '../lib/log.ts';
import type { Store } from './store.ts';
export interface EtcdOptions {
  endpoints: readonly string[];
  ca: Buffer | undefined;
  cert: Buffer | undefined;
  key: Buffer | undefined;
  user: string;
  password: string;
  log: Logger;
}
export function openEtcd(_: EtcdOptions): Store {
  throw new Error('later');
}
