/** Something open in the kernel. Closing is idempotent and closes first what was opened from it. */
export abstract class Handle implements Disposable {
  readonly closed: boolean;
  close(): void;
  [Symbol.dispose](): void;
}
