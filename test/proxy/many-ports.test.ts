import { execFileSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { iptablesWriter } from '../../proxy/iptables.ts';
import { nftablesWriter } from '../../proxy/nftables.ts';
import { runner } from '../../proxy/writer.ts';
import { servicePort, writerOptions } from './plans.ts';

// A Service with thousands of ports is written, followed and taken away like any other.

const name = `kmmany${process.pid}`;
const run = runner(['nsenter', `--net=/run/netns/${name}`]);
const many = 3000;
const ports = Array.from({ length: many }, (_, i) =>
  servicePort({
    key: `default/wide:p${i}/TCP`,
    service: 'default/wide',
    port: 10_000 + i,
    cluster: [{ address: '10.99.0.11', port: 20_000 + i }],
  }),
);
const [first] = ports;
const countOf = (text: string, pattern: RegExp): number => text.match(pattern)?.length ?? 0;

const describeHere = process.getuid?.() === 0 ? describe : describe.skip;

describeHere(`a Service with ${many} ports`, () => {
  beforeAll(() => void execFileSync('ip', ['netns', 'add', name]));
  afterAll(() => void execFileSync('ip', ['netns', 'del', name]));

  test.each([
    ['nftables', nftablesWriter, ['nft', 'list', 'ruleset'], /: 10\.99\.0\.11 \. 2\d{4}/g],
    ['iptables', iptablesWriter, ['iptables-save'], /--to-destination 10\.99\.0\.11:2\d{4}/g],
  ] as const)(
    '%s',
    async (_, makeWriter, [list, ...args], leads) => {
      const writer = makeWriter(writerOptions, run);
      expect(await writer.apply(new Map(ports.map((port) => [port.key, port])))).toEqual([]);
      const written = await run(list, args);
      expect(countOf(written, leads)).toBe(many);
      // nft reads the names of all chains before any change: what asks for nothing special needs none of its own.
      if (list === 'nft') expect(countOf(written, /^\tchain /gm)).toBeLessThan(20);
      const moved = { ...first!, cluster: [{ ...first!.cluster![0]!, address: '10.99.0.12' }] };
      await writer.apply(new Map([[moved.key, moved]]));
      const rules = await run(list, args);
      expect([countOf(rules, leads), countOf(rules, /10\.99\.0\.12(:| \. )20000/g)]).toEqual([many - 1, 1]);
      await writer.apply(new Map(ports.map((port) => [port.key, undefined])));
      expect(await run(list, args)).not.toContain('10.99.0.1');
      await writer.cleanup();
    },
    60_000,
  );
});
