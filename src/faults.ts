/** What goes wrong at an agent, by what it is about, until it is well again -> a line each. */

export type SourceName = 'links' | 'objects';

export class Faults {
  readonly #sources = new Map<SourceName, string>();
  /** By ifindex. */
  readonly #links = new Map<number, string>();
  #step: string | undefined;

  source(name: SourceName, error: unknown): void {
    this.#sources.set(name, messageOf(error));
  }

  link(ifindex: number, error: unknown): void {
    this.#links.set(ifindex, messageOf(error));
  }

  step(error: unknown): void {
    this.#step = messageOf(error);
  }

  sourceIsWell(name: SourceName): void {
    this.#sources.delete(name);
  }

  linkIsWell(ifindex: number): void {
    this.#links.delete(ifindex);
  }

  /** A state is in force, on all interfaces but those that are named anew. */
  stepIsWell(): void {
    this.#step = undefined;
    this.#links.clear();
  }

  lines(): string[] {
    return [
      ...[...this.#sources].map(([what, message]) => `${what} are not followed: ${message}`),
      ...[...this.#links].map(([ifindex, message]) => `interface ${ifindex} is not protected: ${message}`),
      ...(this.#step === undefined ? [] : [`the last state is not in force: ${this.#step}`]),
    ];
  }
}

/** Its first line: behind it a verifier may have said much more. */
function messageOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.split('\n', 1)[0] ?? '';
}
