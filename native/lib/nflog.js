// Packets that rules of netfilter copy to a group of NFLOG, woken by the kernel.
import { addon } from './addon.js';
import { checkFunction, checkInteger, checkOptions } from './check.js';
import { deliverEach } from './deliver.js';
import { Handle, native } from './handle.js';

export class NflogReader extends Handle {
  constructor(options) {
    checkOptions('options', options, ['group', 'onPacket', 'bytes', 'receiveBuffer']);
    const { onPacket, bytes = 128, receiveBuffer } = options;
    const group = checkInteger('group', options.group, 0, 0xffff);
    checkFunction('onPacket', onPacket);
    checkInteger('bytes', bytes, 1, 0xffff);
    const room = receiveBuffer === undefined ? 0 : checkInteger('receiveBuffer', receiveBuffer, 1, 0x3fffffff);
    const onPackets = (packets) => deliverEach(packets, onPacket, () => this.closed);
    super(new addon.NflogReader(group, bytes, room, onPackets), `reader of NFLOG group ${group}`);
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
