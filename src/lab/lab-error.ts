/** The lab cannot be as its manifests ask, or a probe cannot be made; says which object or address. */
export class LabError extends Error {
  readonly code = 'LAB';
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'LabError';
  }
}
