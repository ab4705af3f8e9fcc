/**
 * Repeats until the expectation holds; throws its last failure after `ms` milliseconds. Between two tries it waits as long
 * as one takes, half a second at most: a kubectl right after the other would keep a core from the servers that are waited for.
 */
export async function eventually<T>(expectation: () => T | Promise<T>, ms = 10_000): Promise<T> {
  const deadline = Date.now() + ms;
  for (;;) {
    const tried = Date.now();
    try {
      return await expectation();
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, Math.min(Math.max(20, Date.now() - tried), 500)));
    }
  }
}
