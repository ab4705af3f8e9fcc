import { describe, expect, test } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ownTitles, sameTitles } from './conformance-names.ts';

/*
 * The conformance tests of Kubernetes 1.23 that concern a node, and the spec of ours with the same promise. Almost all of them
 * have the same title; %s in a title stands for anything.
 */

const root = join(import.meta.dirname, '../..');
const textOf = (file: string) => readFileSync(join(root, file), 'utf8');

/** Every string in a file that could be a title: long ones. */
const titlesIn = (text: string): RegExp[] =>
  [...text.matchAll(/'((?:[^'\\\n]|\\.){15,})'|"((?:[^"\\\n]|\\.){15,})"/g)].map(([, single, double]) => {
    const words = (single ?? double!).split('%s').map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
    return new RegExp(`^${words.join('.+')}$`);
  });

describe('each conformance test of a node has a spec', () => {
  test('and none is named twice', () => {
    const names = [...Object.values(sameTitles).flat(), ...Object.keys(ownTitles)];
    expect(names).toHaveLength(159);
    expect(new Set(names).size).toBe(names.length);
  });

  test.each(Object.entries(sameTitles))('of the same title in %s', (file, names) => {
    const titles = titlesIn(textOf(file));
    expect(names.filter((name) => !titles.some((title) => title.test(name)))).toEqual([]);
  });

  test.each(Object.entries(ownTitles))('for %s', (_name, [file, title]) => {
    expect(textOf(file)).toContain(`test('${title}'`);
  });
});
