/** The command was asked for what cannot be: it ends with code 2, without a hint at `--help`, which would not tell more. */
export class UsageError extends Error {
  readonly code = 'USAGE';
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'UsageError';
  }
}
