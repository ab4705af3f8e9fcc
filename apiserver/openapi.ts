import type { Incoming } from './dispatch.ts';
import { unknownPath } from './dispatch.ts';
import type { KindTable } from './kinds.ts';
import type { RawRequest, RawResponse } from './respond.ts';

export class OpenApi {
  readonly #kinds: KindTable;

  constructor(kinds: KindTable) {
    this.#kinds = kinds;
  }

  serve(_path: string, _incoming: Incoming, _request: RawRequest, _response: RawResponse): Promise<void> {
    void this.#kinds;
    return Promise.reject(unknownPath());
  }
}
