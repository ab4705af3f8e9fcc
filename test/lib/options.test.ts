import { describe, expect, test } from '@jest/globals';
import { describeOptions, duration, flag, list, number, oneOf, port, readOptions, text } from '../../lib/options.ts';

const rows = {
  listenPort: port('Port', 6443),
  storePath: text('Where', 'here', '<path>'),
  verbose: flag('More words'),
  offerTtl: duration('How long', 5000),
  roles: list('Roles', ['*']),
  mode: oneOf('How', ['fast', 'exact'], 'exact'),
  ratio: number('Share', 0.5, { max: 1 }),
} as const;

describe('options', () => {
  test('are the defaults when nothing is said', () => {
    expect(readOptions(rows, [])).toEqual({
      listenPort: 6443,
      storePath: 'here',
      verbose: false,
      offerTtl: 5000,
      roles: ['*'],
      mode: 'exact',
      ratio: 0.5,
    });
  });

  test('are read from flags in both forms, which rule over the environment', () => {
    const o = readOptions(
      rows,
      ['--listen-port', '1', '--store-path=/x', '--verbose', '--offer-ttl=1m30s', '--roles=a, b'],
      {
        KM_LISTEN_PORT: '2',
        KM_MODE: 'fast',
      },
    );
    expect(o).toMatchObject({
      listenPort: 1,
      storePath: '/x',
      verbose: true,
      offerTtl: 90_000,
      roles: ['a', 'b'],
      mode: 'fast',
    });
  });

  test.each([
    [['--nope'], 'unknown option --nope'],
    [['--listen-port', '70000'], '--listen-port: expected a number from 0 to 65535, got "70000"'],
    [['--listen-port'], '--listen-port needs a value'],
    [['--offer-ttl', 'soon'], 'expected a duration such as 500ms'],
    [['--mode=slow'], 'expected one of fast, exact'],
    [['stray'], 'unexpected argument "stray"'],
  ])('%j is refused in a sentence', (argv, words) => {
    expect(() => readOptions(rows, argv)).toThrow(words);
  });

  test('a bad variable is named', () => {
    expect(() => readOptions(rows, [], { KM_RATIO: '3' })).toThrow('KM_RATIO: expected a number from 0 to 1');
  });

  test('help has a line for each row', () => {
    expect(describeOptions(rows).split('\n')).toHaveLength(Object.keys(rows).length);
    expect(describeOptions(rows)).toContain('--listen-port <number>');
  });
});
