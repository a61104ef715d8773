/** A pod's uid -> a number of 32 bits that tells it from a pod of the same name before it: of 100,000 pods this is kept. */
export function instanceOf(uid: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < uid.length; i++) hash = Math.imul(hash ^ uid.charCodeAt(i), 0x01000193);
  return hash | 0;
}
