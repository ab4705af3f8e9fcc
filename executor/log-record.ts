/** One record of a container's log: a line, or a part of one. */
export interface LogRecord {
  /** RFC 3339, as it was written. */
  time: string;
  stream: string;
  /** The line goes on in the next record of its stream. */
  isPart: boolean;
  /** Without the end of the line. */
  text: Buffer;
}

/**
 * Reads a line of a log file in either of the two forms that runtimes write; undefined when it is neither:
 *
 *   2026-11-21T04:25:40.863296225Z stdout F text                                     CRI
 *   {"log":"text\n","stream":"stdout","time":"2026-11-21T04:25:40.863296225Z"}        Docker's json-file
 */
export const recordOf = (line: Buffer): LogRecord | undefined => (line[0] === brace ? fromJson(line) : fromCri(line));

/** With the end of the line, if that is here. */
export const asWritten = ({ text, isPart }: LogRecord): Buffer =>
  isPart ? text : Buffer.concat([text, Buffer.from('\n')]);

const brace = '{'.charCodeAt(0);

function fromCri(line: Buffer): LogRecord | undefined {
  const a = line.indexOf(32);
  const b = line.indexOf(32, a + 1);
  const c = line.indexOf(32, b + 1);
  if (a < 0 || b < 0) return undefined;
  const tag = line.toString('latin1', b + 1, c < 0 ? line.length : c);
  return {
    time: line.toString('latin1', 0, a),
    stream: line.toString('latin1', a + 1, b),
    isPart: tag.split(':')[0] === 'P',
    text: c < 0 ? Buffer.alloc(0) : line.subarray(c + 1),
  };
}

function fromJson(line: Buffer): LogRecord | undefined {
  const record = parsed(line);
  if (!record) return undefined;
  const { log, stream = '', time = '' } = record;
  const isWhole = log.endsWith('\n');
  return { time, stream, isPart: !isWhole, text: Buffer.from(isWhole ? log.slice(0, -1) : log) };
}

function parsed(line: Buffer): { log: string; stream?: string; time?: string } | undefined {
  try {
    const value: unknown = JSON.parse(line.toString('utf8'));
    const isRecord = typeof value === 'object' && value !== null && 'log' in value && typeof value.log === 'string';
    return isRecord ? (value as { log: string }) : undefined;
  } catch {
    return undefined; // the machine went down while it was written
  }
}
