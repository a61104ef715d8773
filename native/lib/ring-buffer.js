// Records of a ring buffer map as they come, woken by the kernel.
import { addon } from './addon.js';
import { BpfMap } from './bpf-map.js';
import { checkFunction, checkInstance } from './check.js';
import { deliverEach } from './deliver.js';
import { Handle, native } from './handle.js';

export class RingBuffer extends Handle {
  constructor(map, onRecord) {
    const ring = native(checkInstance('map', map, BpfMap));
    checkFunction('onRecord', onRecord);
    const onRecords = (records) => deliverEach(records, onRecord, () => this.closed);
    super(new addon.RingBuffer(ring, onRecords), `ring buffer of map ${map.name}`, map);
  }

  consume() {
    return native(this).consume();
  }

  ref() {
    native(this).ref();
    return this;
  }

  unref() {
    native(this).unref();
    return this;
  }
}
