/** Neighbouring numbers of a map that lead to the endpoints of one choice. */
export interface Numbers {
  map: string;
  first: number;
}

interface Place extends Numbers {
  room: number;
  shelf: Shelf;
}

interface Shelf {
  map: string;
  protocol: string;
  holds: number;
  /** Numbers from here on were never given away; of 2^32, more than a proxy can use up. */
  next: number;
}

/**
 * The kernel looks at each element of a map once for each rule that asks the map: with one map for all Services that is their
 * square, and with a map for each every map is compared by name with all others.
 */
const choicesOfOneMap = 64;
const leastRoom = 16;

/** Which numbers of which map lead to whose endpoints: a rule throws for one of its numbers. */
export class Shelves {
  readonly #places = new Map<string, Place>();
  readonly #shelves = new Map<string, Shelf[]>();

  /** All maps there have to be. */
  get maps(): readonly { map: string; protocol: string }[] {
    return [...this.#shelves.values()].flat();
  }

  /** Where so many endpoints of an owner stand: where they stood, unless there is no more room. */
  place(owner: string, protocol: string, count: number): Numbers {
    const old = this.#places.get(owner);
    if (old && old.room >= count) return old;
    this.forget(owner);
    const shelf = this.#withRoom(protocol);
    const place = { map: shelf.map, first: shelf.next, room: Math.max(leastRoom, count * 2), shelf };
    shelf.next += place.room;
    shelf.holds += 1;
    this.#places.set(owner, place);
    return place;
  }

  forget(owner: string): void {
    const place = this.#places.get(owner);
    if (!place) return;
    place.shelf.holds -= 1;
    this.#places.delete(owner);
  }

  #withRoom(protocol: string): Shelf {
    const shelves = this.#shelves.get(protocol) ?? [];
    this.#shelves.set(protocol, shelves);
    const found = shelves.find(({ holds }) => holds < choicesOfOneMap);
    if (found) return found;
    const made = { map: `${protocol}-endpoints-${shelves.length}`, protocol, holds: 0, next: 0 };
    shelves.push(made);
    return made;
  }
}
