// Links and addresses of network namespaces, and their changes as events.
import { addon } from './addon.js';
import { checkBoolean, checkFunction, checkInteger, checkOptions } from './check.js';
import { deliverEach } from './deliver.js';
import { Handle, internal, native, requireInternal } from './handle.js';
import { pathOf } from './netns.js';

export function links(options = {}) {
  return addon.links(queriedId(options));
}

export function addresses(options = {}) {
  return addon.addresses(queriedId(options));
}

function queriedId(options) {
  checkOptions('options', options, ['netnsId']);
  return options.netnsId === undefined ? undefined : checkInteger('netnsId', options.netnsId, 0, 0x7fffffff);
}

export class NetlinkWatch extends Handle {
  constructor(token, onEvent, allNetns, receiveBuffer) {
    requireInternal(token, 'NetlinkWatch');
    const onEvents = (events) => deliverEach(events, onEvent, () => this.closed);
    super(new addon.NetlinkWatch(onEvents, allNetns, receiveBuffer), 'netlink watch');
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

export function watch(onEvent, options = {}) {
  checkFunction('onEvent', onEvent);
  checkOptions('options', options, ['allNetns', 'receiveBuffer']);
  const { allNetns = false, receiveBuffer } = options;
  checkBoolean('allNetns', allNetns);
  const bytes = receiveBuffer === undefined ? 0 : checkInteger('receiveBuffer', receiveBuffer, 1, 0x3fffffff);
  return new NetlinkWatch(internal, onEvent, allNetns, bytes);
}

export function netnsId(nameOrPath, options = {}) {
  checkOptions('options', options, ['assign']);
  return addon.netnsId(
    pathOf(nameOrPath),
    options.assign === undefined ? false : checkBoolean('assign', options.assign),
  );
}
