import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import nacl from 'tweetnacl';

/** One way to keep values: what it makes begins with its prefix, by which it is known again. */
export interface Transformer {
  prefix: string;
  /** `context` is the key under which the value lies: it cannot be moved to another. */
  seal: (value: Uint8Array, context: string) => Uint8Array;
  /** Throws an Error when the value was changed or another key is meant. */
  open: (sealed: Uint8Array, context: string) => Uint8Array;
}

const nonceBytes = 12;
const tagBytes = 16;

/** Values as they are. */
export const identity: Transformer = {
  prefix: '',
  seal: (value) => value,
  open: (value) => value,
};

/** AES-GCM: nonce, ciphertext, tag, as Kubernetes lays them out. `key` has 16, 24 or 32 bytes. */
export function aesgcm(name: string, key: Buffer): Transformer {
  const algorithm = `aes-${key.length * 8}-gcm` as 'aes-256-gcm';
  return {
    prefix: `k8s:enc:aesgcm:v1:${name}:`,
    seal: (value, context) => {
      const nonce = randomBytes(nonceBytes);
      const cipher = createCipheriv(algorithm, key, nonce).setAAD(Buffer.from(context));
      return Buffer.concat([nonce, cipher.update(value), cipher.final(), cipher.getAuthTag()]);
    },
    open: (sealed, context) => {
      const bytes = Buffer.from(sealed.buffer, sealed.byteOffset, sealed.byteLength);
      if (bytes.length < nonceBytes + tagBytes) throw new Error('the stored data was shorter than the required size');
      const decipher = createDecipheriv(algorithm, key, bytes.subarray(0, nonceBytes));
      decipher.setAAD(Buffer.from(context)).setAuthTag(bytes.subarray(bytes.length - tagBytes));
      return Buffer.concat([decipher.update(bytes.subarray(nonceBytes, bytes.length - tagBytes)), decipher.final()]);
    },
  };
}

/** XSalsa20 and Poly1305: nonce, box. `key` has 32 bytes. */
export function secretbox(name: string, key: Buffer): Transformer {
  return {
    prefix: `k8s:enc:secretbox:v1:${name}:`,
    seal: (value) => {
      const nonce = randomBytes(nacl.secretbox.nonceLength);
      return Buffer.concat([nonce, nacl.secretbox(value, nonce, key)]);
    },
    open: (sealed) => {
      const nonce = sealed.subarray(0, nacl.secretbox.nonceLength);
      const opened = nacl.secretbox.open(sealed.subarray(nacl.secretbox.nonceLength), nonce, key);
      if (!opened) throw new Error('the stored data does not open with this key');
      return opened;
    },
  };
}
