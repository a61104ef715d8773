/** A run of a load tells nothing: nobody answered, a flood arrived, a program is missing; says which and why. */
export class LoadError extends Error {
  readonly code = 'LOAD';
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'LoadError';
  }
}
