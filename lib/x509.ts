import { createRequire } from 'node:module';
import type * as X509 from '@peculiar/x509';

const require = createRequire(import.meta.url);
let loaded: typeof X509 | undefined;

/** @peculiar/x509, loaded when a certificate is first made or a request read: it is 250 modules, 0.3 s of every server's start. */
export function loadX509(): typeof X509 {
  if (!loaded) {
    require('reflect-metadata');
    loaded = load();
  }
  return loaded;
}

const load = (): typeof X509 => require('@peculiar/x509');
