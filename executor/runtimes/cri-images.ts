import {
  type Credential,
  ImageError,
  type Images,
  type PullPolicy,
  type PulledImage,
  type RuntimeImage,
} from '../runtime.ts';
import { isMissing, wordsOf } from '../grpc.ts';
import type { CriClient } from './cri-client.ts';
import { mountedImagesAnnotation } from './cri-config.ts';
import { neverPulled, withEach } from './pulls.ts';

interface Image {
  id: string;
  repo_tags: string[];
  repo_digests: string[];
  size: number;
  uid: { value: number } | null;
  username: string;
  pinned: boolean;
}

/** A container, as one of those who use images. */
interface User {
  image: { image: string };
  image_ref: string;
  annotations: Record<string, string>;
}

export const imagesOf = ({ image, image_ref, annotations }: User): string[] => [
  ...[image.image, image_ref],
  ...(annotations[mountedImagesAnnotation]?.split(',') ?? []),
];

const pullTimeout = 30 * 60_000;

/**
 * The first versions that mount images, and that mount a directory of one; before, it was left out without a word:
 * https://kubernetes.io/docs/concepts/storage/volumes/#image
 */
const mountsSince: Readonly<Record<string, { whole: string; parts: string }>> = {
  containerd: { whole: '2.1', parts: '2.2' },
  'cri-o': { whole: '1.31', parts: '1.33' },
};

export function mountsOf(runtime: string, version: string): Images['mounts'] {
  const since = mountsSince[runtime];
  const isSince = (least: string) => version.replace(/^v/, '').localeCompare(least, 'en', { numeric: true }) >= 0;
  if (!since || !isSince(since.whole)) return 'none';
  return isSince(since.parts) ? 'parts' : 'whole';
}

/** The images of a runtime that speaks CRI. */
export class CriImages implements Images {
  readonly mounts: Images['mounts'];
  readonly #cri: CriClient;

  constructor(cri: CriClient, runtime: string, version: string) {
    this.#cri = cri;
    this.mounts = mountsOf(runtime, version);
  }

  async pull(
    image: string,
    policy: PullPolicy,
    credentials: readonly Credential[] = [],
    signal?: AbortSignal,
  ): Promise<PulledImage> {
    if (image === '' || /\s/.test(image))
      throw new ImageError(
        'InvalidImageName',
        `Failed to apply default image tag "${image}": invalid reference format`,
      );
    const present = policy === 'Always' ? undefined : await this.#find(image);
    if (present) return { id: present.id, pulled: false, user: userOf(present) };
    if (policy === 'Never') throw neverPulled(image);
    const id = await this.#pull(image, credentials, signal);
    const pulled = (await this.#find(id)) ?? (await this.#find(image));
    return { id, pulled: true, user: pulled ? userOf(pulled) : 0 };
  }

  /** The image of sandboxes is pinned, whether the runtime says so or not: no container lists it. */
  async list(): Promise<RuntimeImage[]> {
    const [{ images }, { containers }, { info }] = await Promise.all([
      this.#cri.image<{ images: Image[] }>('ListImages', {}),
      this.#cri.runtime<{ containers: User[] }>('ListContainers', {}),
      this.#cri.runtime<{ info: Record<string, string> }>('Status', { verbose: true }),
    ]);
    const used = new Set(containers.flatMap(imagesOf));
    const sandboxImage = sandboxImageIn(info);
    return images.map(({ id, repo_tags, repo_digests, size, pinned }) => {
      const names = [...repo_digests, ...repo_tags];
      return {
        id,
        names,
        bytes: size,
        pinned: pinned || (sandboxImage !== undefined && [id, ...names].includes(sandboxImage)),
        inUse: [id, ...names].some((name) => used.has(name)),
      };
    });
  }

  async directory(): Promise<string | undefined> {
    return (await this.#storage())?.fs_id?.mountpoint;
  }

  async usedBytes(): Promise<number | undefined> {
    return (await this.#storage())?.used_bytes?.value;
  }

  async #storage() {
    const { image_filesystems: found } = await this.#cri.image<{
      image_filesystems: { fs_id: { mountpoint: string } | null; used_bytes: { value: number } | null }[];
    }>('ImageFsInfo', {});
    return found[0];
  }

  async remove(id: string): Promise<void> {
    await this.#cri.image('RemoveImage', { image: { image: id } }).catch((error: unknown) => {
      if (!isMissing(error)) throw new Error(wordsOf(error), { cause: error });
    });
  }

  #pull(image: string, credentials: readonly Credential[], signal: AbortSignal | undefined): Promise<string> {
    const options = { timeoutMs: pullTimeout, ...(signal ? { signal } : {}) };
    const pull = async (auth: Credential | undefined) => {
      const request = { image: { image }, ...(auth ? { auth } : {}) };
      return (await this.#cri.image<{ image_ref: string }>('PullImage', request, options)).image_ref;
    };
    return withEach(credentials, pull, wordsOf, signal);
  }

  async #find(image: string): Promise<Image | undefined> {
    const { image: found } = await this.#cri.image<{ image?: Image | null }>('ImageStatus', { image: { image } });
    return found ?? undefined;
  }
}

function sandboxImageIn({ config }: Record<string, string>): string | undefined {
  try {
    return (JSON.parse(config ?? '{}') as { sandboxImage?: string }).sandboxImage;
  } catch {
    return undefined; // another runtime's own words
  }
}

/** An image that says nothing runs as root. */
const userOf = ({ uid, username }: Image): number | string => uid?.value ?? (username || 0);
