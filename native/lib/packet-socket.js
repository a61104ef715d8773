// Frames as they are on one interface (AF_PACKET).
import { addon } from './addon.js';
import { checkBoolean, checkBytes, checkFunction, checkIfindex, checkInteger, checkOptions } from './check.js';
import { deliverEach } from './deliver.js';
import { Handle, native } from './handle.js';

const ALL_PROTOCOLS = 0x0003; // ETH_P_ALL
const BOOLEANS = ['promiscuous', 'vnetHeader', 'bypassQdisc'];

export class PacketSocket extends Handle {
  constructor(options) {
    checkOptions('options', options, ['ifindex', 'onFrame', 'protocol', ...BOOLEANS]);
    const { ifindex, onFrame, protocol = ALL_PROTOCOLS, ...flags } = options;
    checkIfindex(ifindex);
    checkInteger('protocol', protocol, 1, 0xffff);
    for (const name of Object.keys(flags)) checkBoolean(name, flags[name]);
    if (onFrame !== undefined) checkFunction('onFrame', onFrame);
    const onFrames = onFrame && ((frames) => deliverEach(frames, onFrame, () => this.closed));
    super(new addon.PacketSocket(ifindex, protocol, flags, onFrames), `packet socket of interface ${ifindex}`);
  }

  send(frame) {
    native(this).send(checkBytes('frame', frame));
  }

  receive(timeoutMs) {
    return native(this).receive(checkInteger('timeoutMs', timeoutMs, 0, 0x7fffffff));
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
