/** All warnings of an answer together, in characters; when there are more, each is cut. */
const maxTogether = 4096;
const maxEach = 256;

/**
 * The `Warning` headers of an answer: each sentence once, long ones cut and the last ones left out where they are too many.
 * https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#response
 */
export function warningHeaders(warnings: readonly string[]): Record<string, string[]> {
  if (warnings.length === 0) return {};
  return { warning: bounded([...new Set(warnings)]).map((text) => `299 - ${quoted(text)}`) };
}

function bounded(sentences: readonly string[]): readonly string[] {
  const length = sentences.reduce((total, text) => total + text.length, 0);
  if (length <= maxTogether) return sentences;
  let left = maxTogether;
  return sentences.map((text) => text.slice(0, maxEach)).filter((text) => (left -= text.length) >= 0);
}

const quoted = (text: string): string => JSON.stringify(text.replace(/[^\x20-\x7e]/g, '?'));
