// What all scripts share: the configuration, one line in, JSON lines out.

import { createInterface } from 'node:readline';

export const config = JSON.parse(process.env.FOREIGN_CONFIG);

// A server on http://127.0.0.1 is allowed only where the test asked for one by its issuer.
export const insecure = config.issuer.startsWith('http://');

export function print(document) {
  process.stdout.write(`${JSON.stringify(document)}\n`);
}

/** Prints the authorization URL and waits for the URL that the browser was redirected to. */
export async function askBrowser(authorizationUrl) {
  print({ authorization_url: authorizationUrl.href });
  const lines = createInterface({ input: process.stdin });
  const { value, done } = await lines[Symbol.asyncIterator]().next();
  lines.close();
  if (done || !value) throw new Error('no callback URL was given');
  return new URL(value);
}

/** Runs a script's body; whatever it throws becomes one JSON line and exit status 1. */
export async function run(body) {
  try {
    await body();
    process.exitCode = 0;
  } catch (error) {
    const cause = error.cause instanceof Error ? error.cause.message : error.cause;
    print({ error: error.code ?? error.name, message: error.message, oauth_error: error.error, cause });
    process.exitCode = 1;
  }
}
