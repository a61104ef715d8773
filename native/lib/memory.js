// malloc_trim(3), which node:v8 does not have: V8 gives its own pages back, the C library keeps what was freed.
import { addon } from './addon.js';

export function trimMemory() {
  return addon.trimMemory();
}
