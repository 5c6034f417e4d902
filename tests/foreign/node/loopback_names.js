// Makes the host names in LOOPBACK_NAMES (comma separated) mean this machine, without touching /etc/hosts.
//
// Loaded with `node --import`, before the libraries; they themselves stay unmodified.

import dns from 'node:dns';

const names = new Set((process.env.LOOPBACK_NAMES ?? '').split(',').filter(Boolean));
const realLookup = dns.lookup;

dns.lookup = function lookup(hostname, options, callback) {
  const [settings, done] = typeof options === 'function' ? [{}, options] : [options ?? {}, callback];
  if (!names.has(hostname)) return realLookup.call(dns, hostname, settings, done);
  const address = { address: '127.0.0.1', family: 4 };
  process.nextTick(() => (settings.all ? done(null, [address]) : done(null, address.address, address.family)));
  return {};
};
