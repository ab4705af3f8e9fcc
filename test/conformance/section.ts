/**
 * Some conformance tests of Kubernetes 1.23, and the spec of ours that promises the same: `[file, title]`, or only the file
 * where our test has the very name (without the words in brackets). Files are named from `test/`; a title is the one in the
 * source, so a row of `test.each` goes by its pattern.
 */
export interface Section {
  /** Which names are all here. */
  covers: RegExp;
  specs: Record<string, string | [file: string, title: string]>;
  /** What Mesos does not let us promise, in a sentence of docs/compatibility.md. */
  limits?: Record<string, string>;
}

/** `[sig-apps] Job should delete a job [Conformance]` → `Job should delete a job`. */
export const shortName = (name: string): string =>
  name
    .replaceAll(/\[[^\]]*\]/g, ' ')
    .replaceAll(/\s+/g, ' ')
    .trim();

/** Where our tests have the very names: file → titles, turned round. */
export const byTitle = (titles: Readonly<Record<string, readonly string[]>>): Section['specs'] =>
  Object.fromEntries(Object.entries(titles).flatMap(([file, names]) => names.map((name) => [name, file])));
