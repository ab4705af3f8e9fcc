import { type Credential, ImageError } from '../runtime.ts';

export const neverPulled = (image: string): ImageError =>
  new ImageError('ErrImageNeverPull', `Container image "${image}" is not present with pull policy of Never`);

/** Pulls with one credential after the other, or with none; the last refusal is what the user reads, in the runtime's `words`. */
export async function withEach<T>(
  credentials: readonly Credential[],
  pull: (credential: Credential | undefined) => Promise<T>,
  words: (error: unknown) => string,
  signal: AbortSignal | undefined,
): Promise<T> {
  let refusal: unknown;
  for (const credential of credentials.length > 0 ? credentials : [undefined])
    try {
      return await pull(credential);
    } catch (error) {
      signal?.throwIfAborted();
      refusal = error;
    }
  throw new ImageError('ErrImagePull', words(refusal), { cause: refusal });
}
