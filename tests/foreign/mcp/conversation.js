// What a client has to know, one line in, JSON lines out: as in ../node.

import { createInterface } from 'node:readline';

export const config = JSON.parse(process.env.FOREIGN_CONFIG);

export function print(document) {
  process.stdout.write(`${JSON.stringify(document)}\n`);
}

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

/** Prints the authorization URL and waits for the URL that the browser was redirected to. */
export async function askBrowser(authorizationUrl) {
  print({ authorization_url: authorizationUrl.href });
  const { value, done } = await lines.next();
  if (done || !value) throw new Error('no callback URL was given');
  return new URL(value);
}
