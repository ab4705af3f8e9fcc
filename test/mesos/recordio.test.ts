import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { encodeRecord, RecordDecoder, RecordError } from '../../mesos/recordio.ts';

const all = (decoder: RecordDecoder, text: string) => [...decoder.push(Buffer.from(text))].map(String);

describe('RecordIO', () => {
  test('reads what was written, however the transport cuts it', () => {
    fc.assert(
      fc.property(
        fc.array(fc.string({ unit: 'grapheme' })),
        fc.array(fc.integer({ min: 1, max: 9 })),
        (texts, cuts) => {
          const whole = Buffer.concat(texts.map((text) => encodeRecord(Buffer.from(text))));
          const decoder = new RecordDecoder();
          const read: string[] = [];
          for (let at = 0, i = 0; at < whole.length; i++) {
            const to = at + (cuts[i % Math.max(1, cuts.length)] ?? 5);
            read.push(...[...decoder.push(whole.subarray(at, to))].map(String));
            at = to;
          }
          decoder.end();
          expect(read).toEqual(texts);
        },
      ),
    );
  });

  test('tolerates blank lines before a length', () => {
    expect(all(new RecordDecoder(), '\n\n2\nab\n1\nc')).toEqual(['ab', 'c']);
  });

  test('refuses what is no length, also when it comes byte by byte', () => {
    expect(() => all(new RecordDecoder(), 'x1\n')).toThrow(RecordError);
    expect(() => all(new RecordDecoder(), '-1\n')).toThrow('decimal digits, got "-1"');
    const decoder = new RecordDecoder();
    all(decoder, '1');
    expect(() => all(decoder, '<html>')).toThrow(RecordError);
    expect(() => all(new RecordDecoder(), '1'.repeat(1000))).toThrow('more than 20 digits');
  });

  test('gives the records before what is none', () => {
    const records = new RecordDecoder().push(Buffer.from('1\na2\nbcno'));
    expect([records.next().value, records.next().value].map(String)).toEqual(['a', 'bc']);
    expect(() => records.next()).toThrow(RecordError);
  });

  test('refuses a record over the limit before it comes', () => {
    expect(() => all(new RecordDecoder(10), '11\n')).toThrow('longer than the limit of 10');
    expect(() => all(new RecordDecoder(10), '99999999999999999999\n')).toThrow(RecordError);
  });

  test('says when the stream ends inside a record', () => {
    const decoder = new RecordDecoder();
    all(decoder, '5\nab');
    expect(() => decoder.end()).toThrow('ended 3 bytes before the end of a record');
  });
});
