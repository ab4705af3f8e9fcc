import { createDeflate, createInflate, constants, type Deflate, type Inflate } from 'node:zlib';
import { type Headers, decodeHeaders, encodeHeaders, words } from './spdy-frames.ts';

// The preset dictionary of SPDY/3, section 2.6.10.1 of its draft: words with their lengths, then a text.
const dictionaryWords =
  'options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age allow ' +
  'authorization cache-control connection content-base content-encoding content-language content-length ' +
  'content-location content-md5 content-range content-type date etag expect expires from host if-match ' +
  'if-modified-since if-none-match if-range if-unmodified-since last-modified location max-forwards pragma ' +
  'proxy-authenticate proxy-authorization range referer retry-after server te trailer transfer-encoding upgrade ' +
  'user-agent vary via warning www-authenticate method get status';
const dictionaryText =
  '100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505203 Non-Authoritative ' +
  'Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden404 Not Found500 Internal ' +
  'Server Error501 Not Implemented503 Service UnavailableJan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, ' +
  'Tue, Wed, Thu, Fri, Sat, Sun, GMTchunked,text/html,image/png,image/jpg,image/gif,application/xml,' +
  'application/xhtml+xml,text/plain,text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=' +
  'iso-8859-1,utf-,*,enq=0.';

const entries = [
  ...dictionaryWords.split(' '),
  '200 OK',
  'version',
  'HTTP/1.1',
  'url',
  'public',
  'set-cookie',
  'keep-alive',
  'origin',
];
export const dictionary: Buffer = Buffer.concat([
  ...entries.flatMap((word) => [words(word.length), Buffer.from(word)]),
  Buffer.from(dictionaryText),
]);

/** A header block that unpacks to more than this ends the connection. Bytes. */
const longestBlock = 64 * 1024;

/** Both directions of a connection's header compression; each is one stream of zlib, so blocks go through it in order. */
export class HeaderCodec {
  readonly #deflate = createDeflate({ dictionary, flush: constants.Z_SYNC_FLUSH });
  readonly #inflate = createInflate({ dictionary, flush: constants.Z_SYNC_FLUSH });

  encode(headers: Headers): Promise<Buffer> {
    return through(this.#deflate, encodeHeaders(headers));
  }

  async decode(block: Buffer): Promise<Headers> {
    return decodeHeaders(await through(this.#inflate, block));
  }

  close(): void {
    this.#deflate.close();
    this.#inflate.close();
  }
}

function through(stream: Deflate | Inflate, input: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const out: Buffer[] = [];
    let size = 0;
    const take = (chunk: Buffer) => {
      size += chunk.length;
      if (size <= longestBlock) out.push(chunk);
    };
    const done = (error?: Error | null) => {
      stream.off('data', take).off('error', done);
      if (error) reject(error);
      else if (size > longestBlock) reject(new Error('a SPDY header block is too long'));
      else resolve(Buffer.concat(out));
    };
    stream.on('data', take).on('error', done);
    stream.write(input, (error) => {
      if (error) done(error);
      else stream.flush(constants.Z_SYNC_FLUSH, () => done());
    });
  });
}
