import { apiOf } from './recording.ts';

/** Recorded text → what it is here. */
export type Learnt = Readonly<Record<string, string>>;

/** Ids, uuids and addresses of a recording, and what stands for them here: learnt where they first appear. */
export class Names {
  #ours: readonly (readonly [theirs: string, ours: string])[] = [];

  learn(theirs: string | undefined, ours: string | undefined): void {
    if (theirs === undefined || ours === undefined || theirs === ours) return;
    const others = this.#ours.filter(([known]) => known !== theirs);
    // Longer ones first: one may be the beginning of another.
    this.#ours = [...others, [theirs, ours] as const].sort(([a], [b]) => b.length - a.length);
  }

  learnAll(learnt: Learnt): void {
    for (const [theirs, ours] of Object.entries(learnt)) this.learn(theirs, ours);
  }

  mapped(text: string): string {
    return this.#ours.reduce((mapped, [theirs, ours]) => mapped.replaceAll(theirs, ours), text);
  }

  /** A call in protobuf says what it says in JSON; what is no call at all goes as it is. */
  mappedCall(bytes: Buffer, path: string): Buffer {
    try {
      return apiOf(path).mapped(bytes, (text) => this.mapped(text));
    } catch {
      return bytes;
    }
  }
}
