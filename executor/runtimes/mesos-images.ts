import {
  type Credential,
  ImageError,
  type Images,
  type PullPolicy,
  type PulledImage,
  type RuntimeImage,
} from '../runtime.ts';

/** The agent's provisioner has the images: it pulls when a container is launched, and says nothing of what it keeps. */
export class MesosImages implements Images {
  readonly mounts = 'none';
  /** Text of a Docker config.json, by image. */
  readonly #credentials = new Map<string, string>();

  pull(image: string, policy: PullPolicy, credentials: readonly Credential[] = []): Promise<PulledImage> {
    if (policy === 'Never')
      return Promise.reject(
        new ImageError('ErrImageNeverPull', `the Mesos agent cannot be told not to pull ${image}: use IfNotPresent`),
      );
    const [first] = credentials;
    if (first) this.#credentials.set(image, configOf(image, first));
    return Promise.resolve({ id: image, pulled: false, user: 0 });
  }

  credentials(image: string): string | undefined {
    return this.#credentials.get(image);
  }

  list(): Promise<RuntimeImage[]> {
    return Promise.resolve([]);
  }

  directory(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  /** The agent prunes them (PRUNE_IMAGES, or its flag --image_gc_config). */
  remove(): Promise<void> {
    return Promise.resolve();
  }
}

function configOf(image: string, { username, password }: Credential): string {
  const [first = ''] = image.split('/');
  const host = image.includes('/') && /[.:]|^localhost$/.test(first) ? first : 'https://index.docker.io/v1/';
  const auth = Buffer.from(`${username}:${password}`).toString('base64');
  return JSON.stringify({ auths: { [host]: { auth } } });
}
