import { expect, test } from '@jest/globals';
import { containerConfig, mountedImagesAnnotation } from '../../executor/runtimes/cri-config.ts';
import { imagesOf, mountsOf } from '../../executor/runtimes/cri-images.ts';
import { imageMounts } from '../../executor/volumes.ts';
import { aPod, containerFor, sandboxFor } from './pods-for-tests.ts';

/** conformance-volumes runs such pods on containerd. */
test('an image is mounted where its container wants it, as its runtime is told', () => {
  const pod = aPod(
    {
      volumeMounts: [
        { name: 'i', mountPath: '/all/' },
        { name: 'i', mountPath: '/part', subPathExpr: 'of/$(IT)' },
        { name: 'other', mountPath: '/other' },
      ],
    },
    { volumes: [{ name: 'i', image: { reference: 'i:1', pullPolicy: 'Never' } }, { name: 'other' }] },
  );
  const container = pod.spec.containers[0]!;
  const mounts = imageMounts(pod, container, new Map([['IT', 'it']]));
  expect(mounts).toEqual([
    { reference: 'i:1', policy: 'Never', containerPath: '/all', subPath: '' },
    { reference: 'i:1', policy: 'Never', containerPath: '/part', subPath: 'of/it' },
  ]);
  const images = mounts.map(({ containerPath, subPath }) => ({ id: 'sha256:1', containerPath, subPath }));
  const config = containerConfig({ ...containerFor(pod, 's', sandboxFor(pod, '/tmp'), {}), images }, 'o');
  expect(config).toMatchObject({
    mounts: [
      { container_path: '/all', image: { image: 'sha256:1' }, image_sub_path: '', readonly: true },
      { container_path: '/part', image: { image: 'sha256:1' }, image_sub_path: 'of/it', readonly: true },
    ],
    annotations: { [mountedImagesAnnotation]: 'sha256:1,sha256:1' },
  });
});

test('an image that is mounted is in use, and not removed for want of room', () => {
  const annotations = { [mountedImagesAnnotation]: 'sha256:1,sha256:2' };
  expect(imagesOf({ image: { image: 'a' }, image_ref: 'b', annotations })).toEqual(['a', 'b', 'sha256:1', 'sha256:2']);
  expect(imagesOf({ image: { image: 'a' }, image_ref: 'b', annotations: {} })).toEqual(['a', 'b']);
});

test.each([
  ['containerd', '1.6.20~ds1', 'none'],
  ['containerd', 'v2.0.5', 'none'],
  ['containerd', '2.1.9+unknown', 'whole'],
  ['containerd', 'v2.2.0', 'parts'],
  ['containerd', '2.10.1', 'parts'],
  ['cri-o', '1.30.4', 'none'],
  ['cri-o', '1.31.0', 'whole'],
  ['cri-o', '1.34.1', 'parts'],
  ['somebody', '9.9.9', 'none'],
])('%s %s mounts of images: %s', (runtime, version, mounts) => expect(mountsOf(runtime, version)).toBe(mounts));
