// Verifies one access token again and again with npm's jose and prints microseconds of CPU per check.
//
// PEER_CONFIG: {"access_token", "jwks", "issuer", "audience", "alg", "batches", "checks_per_batch"}. CPU time of all the
// process's threads is counted, since WebCrypto works in Node's thread pool; the best batch is the answer.

import { createLocalJWKSet, jwtVerify } from 'jose';

const settings = JSON.parse(process.env.PEER_CONFIG);
const keys = createLocalJWKSet(settings.jwks);
const options = {
  issuer: settings.issuer,
  audience: settings.audience,
  typ: 'at+jwt',
  algorithms: [settings.alg],
  requiredClaims: ['sub', 'client_id', 'iat', 'exp', 'jti'],
};

async function batch() {
  const before = process.cpuUsage();
  for (let done = 0; done < settings.checks_per_batch; done += 1) {
    await jwtVerify(settings.access_token, keys, options);
  }
  const spent = process.cpuUsage(before);
  return (spent.user + spent.system) / settings.checks_per_batch;
}

await batch(); // the compiler warms up
const results = [];
for (let done = 0; done < settings.batches; done += 1) results.push(await batch());
process.stdout.write(`${JSON.stringify({ us_per_check: Math.min(...results) })}\n`);
