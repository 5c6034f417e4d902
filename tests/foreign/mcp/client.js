// The official TypeScript SDK's client, as its documentation shows a client that logs a person in.

import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { UnauthorizedError } from '@modelcontextprotocol/sdk/client/auth.js';

import { askBrowser, config, print } from './conversation.js';

const kept = {};
const provider = {
  clientMetadataUrl: config.client_metadata_url,
  get redirectUrl() {
    return config.redirect_uri;
  },
  get clientMetadata() {
    return {
      client_name: 'Agent (TypeScript)',
      redirect_uris: [config.redirect_uri],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: 'none',
      application_type: 'native',
    };
  },
  state: () => (kept.state = crypto.randomUUID()),
  clientInformation: () => kept.client,
  saveClientInformation: (client) => (kept.client = client),
  tokens: () => kept.tokens,
  saveTokens: (tokens) => (kept.tokens = tokens),
  saveCodeVerifier: (codeVerifier) => (kept.codeVerifier = codeVerifier),
  codeVerifier: () => kept.codeVerifier,
  async redirectToAuthorization(url) {
    kept.callback = await askBrowser(url);
  },
};

const client = new Client({ name: 'agent', version: '1.0.0' });
let transport;

/** What the documentation says to do: try, and where a person had to be asked, finish and try again. */
async function withPerson(attempt) {
  try {
    return await attempt();
  } catch (error) {
    if (!(error instanceof UnauthorizedError)) throw error;
    if (kept.callback.searchParams.get('state') !== kept.state) throw new Error('another state came back');
    await transport.finishAuth(kept.callback.searchParams.get('code'));
    return attempt();
  }
}

try {
  await withPerson(() => {
    transport = new StreamableHTTPClientTransport(new URL(config.server), { authProvider: provider });
    return client.connect(transport);
  });
  const scopes = [kept.tokens.scope];
  const before = await client.callTool({ name: 'list_notes', arguments: {} });
  let added = { content: [] };
  if (config.writes) {
    // Told that it needs more, this SDK would refresh, as long as it can, and get no more than before.
    kept.tokens = { ...kept.tokens, refresh_token: undefined };
    added = await withPerson(() => client.callTool({ name: 'add_note', arguments: { text: 'milk' } }));
    scopes.push(kept.tokens.scope);
  }
  const first = kept.tokens.refresh_token;
  // What the SDK does when a token has ended: it refreshes, and nobody is asked.
  kept.tokens = { ...kept.tokens, access_token: 'ended' };
  const after = await client.callTool({ name: 'list_notes', arguments: {} });
  const texts = (answer) => answer.content.map((part) => part.text);
  print({
    client_id: kept.client.client_id,
    scopes,
    notes: [texts(before), texts(added), texts(after)],
    refreshed: kept.tokens.refresh_token !== first,
  });
  await client.close();
  process.exit(0);
} catch (error) {
  print({ error: error.name, message: error.message, oauth_error: error.code });
  process.exit(1);
}
