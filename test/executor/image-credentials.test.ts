import { describe, expect, test } from '@jest/globals';
import type { Secret } from '../../api/kinds/secret.ts';
import { credentialsFor } from '../../executor/image-credentials.ts';
import { checkNonRoot } from '../../executor/pull-image.ts';
import { aPod } from './pods-for-tests.ts';

const secret = (file: object, type = 'kubernetes.io/dockerconfigjson'): Secret => ({
  metadata: {},
  type,
  data: {
    [type.endsWith('json') ? '.dockerconfigjson' : '.dockercfg']: Buffer.from(JSON.stringify(file)).toString('base64'),
  },
});
const auths = (registries: string[]): Secret =>
  secret({ auths: Object.fromEntries(registries.map((r) => [r, { username: r, password: 'p' }])) });

describe('the credentials for an image', () => {
  const cases: [string, string[], string[]][] = [
    ['nginx', ['https://index.docker.io/v1/'], ['https://index.docker.io/v1/']],
    ['docker.io/library/nginx:1', ['docker.io'], ['docker.io']],
    ['quay.io/a/b:1', ['index.docker.io', 'quay.io'], ['quay.io']],
    ['quay.io/a/b', ['quay.io', 'quay.io/a', 'quay.io/ab', 'quay.io/c'], ['quay.io/a', 'quay.io']],
    ['quay.io/a/b@sha256:1', ['https://quay.io/v2/'], ['https://quay.io/v2/']],
    ['localhost:5000/b', ['localhost:5000', 'localhost:5001', 'localhost'], ['localhost:5000']],
    ['one.example.com/x', ['*.example.com', '*.*.example.com', 'example.com'], ['*.example.com']],
    ['evilexample.com/x', ['*.example.com', 'e?ample.com'], []],
  ];
  test.each(cases)('%s of %j', (image, registries, expected) => {
    expect(credentialsFor(image, [auths(registries)]).map(({ username }) => username)).toEqual(expected);
  });

  test('are read from both kinds of file, and from the joined form', () => {
    const auth = Buffer.from('me:a:b').toString('base64');
    const old = secret({ 'quay.io': { auth } }, 'kubernetes.io/dockercfg');
    expect(credentialsFor('quay.io/x', [old])).toEqual([{ username: 'me', password: 'a:b' }]);
  });

  test('are none where a secret cannot be read', () => {
    const broken: Secret = {
      metadata: {},
      type: 'kubernetes.io/dockerconfigjson',
      data: { '.dockerconfigjson': 'eA==' },
    };
    const odd = secret({ auths: { 'quay.io': { auth: '!' } } });
    expect(credentialsFor('quay.io/x', [broken, odd, { metadata: {} }])).toEqual([]);
  });
});

describe('runAsNonRoot', () => {
  const judge = (own: object, shared: object, user: number | string) => () =>
    checkNonRoot(
      aPod({ securityContext: own }, { securityContext: shared }),
      { name: 'c', securityContext: own },
      { id: '', pulled: false, user },
    );
  const cases: [string, object, object, number | string, string | undefined][] = [
    ['is not asked for', {}, {}, 0, undefined],
    ['and an image of root', { runAsNonRoot: true }, {}, 0, 'image will run as root'],
    ['and an image of a named user', {}, { runAsNonRoot: true }, 'www', 'non-numeric user (www)'],
    ['and an image of a number', {}, { runAsNonRoot: true }, 33, undefined],
    ['and a user of the pod', { runAsNonRoot: true }, { runAsUser: 5 }, 0, undefined],
    [
      'and root by name of the container',
      { runAsNonRoot: true, runAsUser: 0 },
      { runAsUser: 5 },
      5,
      'breaks non-root policy',
    ],
    ['switched off by the container', { runAsNonRoot: false }, { runAsNonRoot: true }, 0, undefined],
  ];
  test.each(cases)('%s', (_words, own, shared, user, refusal) => {
    if (refusal === undefined) expect(judge(own, shared, user)).not.toThrow();
    else expect(judge(own, shared, user)).toThrow(refusal);
  });
});
