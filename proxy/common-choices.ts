/** One of so many endpoints, for every Service that asks for nothing more than that. */
export interface CommonChoice {
  /** Of the chain and of the map that it asks. */
  name: string;
  protocol: string;
  count: number;
}

/**
 * Services with equally many endpoints choose by one rule: the address that was asked for and a number thrown for are the key
 * under which a map has the endpoint. So such a Service is elements alone. Each map is asked by one rule only, since the kernel looks
 * at each of its elements for each; and chains are few, since nft reads them all before any change.
 */
export class CommonChoices {
  readonly #all = new Map<string, CommonChoice>();

  /** All there have to be; they stay. */
  get all(): readonly CommonChoice[] {
    return [...this.#all.values()];
  }

  /** Answers its name. */
  of(protocol: string, count: number): string {
    const name = `one-of-${count}-${protocol}`;
    if (!this.#all.has(name)) this.#all.set(name, { name, protocol, count });
    return name;
  }
}
