import type Docker from 'dockerode';
import {
  type Credential,
  ImageError,
  type Images,
  type PullPolicy,
  type PulledImage,
  type RuntimeImage,
} from '../runtime.ts';
import { isMissing, orGone, wordsOf } from './docker-client.ts';
import { neverPulled, withEach } from './pulls.ts';

/** The images of a Docker. */
export class DockerImages implements Images {
  readonly mounts = 'none';
  readonly #docker: Docker;
  readonly #pauseImage: string;
  /** An image never changes, but its names may: asked once an id. */
  readonly #references = new Map<string, Promise<string>>();

  constructor(docker: Docker, pauseImage: string) {
    this.#docker = docker;
    this.#pauseImage = pauseImage;
  }

  async pull(
    image: string,
    policy: PullPolicy,
    credentials: readonly Credential[] = [],
    signal?: AbortSignal,
  ): Promise<PulledImage> {
    checkName(image);
    const present = policy === 'Always' ? undefined : await this.#find(image);
    if (present) return { id: present.Id, pulled: false, user: userOf(present) };
    if (policy === 'Never') throw neverPulled(image);
    await this.#pull(image, credentials, signal);
    const pulled = await this.#find(image);
    if (!pulled) throw new ImageError('ErrImagePull', `image "${image}" is gone again right after it was pulled`);
    return { id: pulled.Id, pulled: true, user: userOf(pulled) };
  }

  /** That of sandboxes is pinned: a node without pods needs it too. */
  async list(): Promise<RuntimeImage[]> {
    const [images, containers] = await Promise.all([
      this.#docker.listImages({ all: false }),
      this.#docker.listContainers({ all: true }),
    ]);
    const used = new Set(containers.map(({ ImageID }) => ImageID));
    const pause = withTag(this.#pauseImage);
    return images.map(({ Id: id, RepoTags, RepoDigests, Size: bytes }) => {
      const names = [...(RepoDigests ?? []), ...(RepoTags ?? [])].filter((name) => !name.includes('<none>'));
      return { id, names, bytes, pinned: [id, ...names].includes(pause), inUse: used.has(id) };
    });
  }

  async directory(): Promise<string> {
    const info: { DockerRootDir: string } = await this.#docker.info();
    return info.DockerRootDir;
  }

  /** With all its names, as long as no container is made of it. */
  async remove(id: string): Promise<void> {
    const found = await this.#find(id);
    for (const name of found?.RepoTags?.length ? found.RepoTags : [id])
      await orGone(this.#docker.getImage(name).remove({ force: false }));
  }

  /** `registry/name@sha256:…` where it came from a registry, else its id: what pod status shows. */
  reference(id: string): Promise<string> {
    const known = this.#references.get(id);
    if (known) return known;
    const asked = this.#find(id).then((found) => found?.RepoDigests?.[0] ?? id);
    this.#references.set(id, asked);
    asked.catch(() => this.#references.delete(id));
    return asked;
  }

  #pull(image: string, credentials: readonly Credential[], signal: AbortSignal | undefined): Promise<void> {
    const pull = async (authconfig: Credential | undefined) => {
      const options = { ...(authconfig ? { authconfig } : {}), ...(signal ? { abortSignal: signal } : {}) };
      return this.#follow(await this.#docker.pull(withTag(image), options));
    };
    return withEach(credentials, pull, wordsOf, signal);
  }

  /** Docker answers 200 and tells in the stream what went wrong. */
  #follow(progress: NodeJS.ReadableStream): Promise<void> {
    return new Promise((resolve, reject) =>
      this.#docker.modem.followProgress(progress, (error: Error | null) => (error ? reject(error) : resolve())),
    );
  }

  async #find(image: string): Promise<Docker.ImageInspectInfo | undefined> {
    try {
      return await this.#docker.getImage(withTag(image)).inspect();
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw new Error(wordsOf(error), { cause: error });
    }
  }
}

/** https://pkg.go.dev/github.com/distribution/reference */
const wellFormed =
  /^([a-zA-Z0-9.-]+(:\d+)?\/)?[a-z0-9]+([._-]+[a-z0-9]+)*(\/[a-z0-9]+([._-]+[a-z0-9]+)*)*(:\w[\w.-]{0,127})?(@[\w+.-]+:[0-9a-fA-F]{32,})?$/;

function checkName(image: string): void {
  if (!wellFormed.test(image) && !/^(sha256:)?[0-9a-f]+$/.test(image))
    throw new ImageError(
      'InvalidImageName',
      `Failed to apply default image tag "${image}": couldn't parse image name "${image}": invalid reference format`,
    );
}

/** Without a tag Docker would pull every one there is. */
const withTag = (image: string): string =>
  image.includes('@') || /:[^/]*$/.test(image) || image.startsWith('sha256:') ? image : `${image}:latest`;

/** `uid`, `uid:gid`, or a name that only the image can resolve; one that says nothing runs as root. */
function userOf({ Config }: Docker.ImageInspectInfo): number | string {
  const [user = ''] = (Config.User ?? '').split(':');
  return /^\d+$/.test(user) ? Number(user) : user || 0;
}
