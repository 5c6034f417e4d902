// An in-memory adapter without the bookkeeping that the library's own one does for every member of a grant.
//
// The library's development adapter walks all living members of a grant at each write, so one browser that authorizes
// again and again, which is what the benchmark does, gets slower with every code. A real adapter has an index
// instead. This one keeps a Map per model and a Set per grant: constant time per write, and what has expired is
// dropped in the order of writing.

const LARGEST = 200_000;
const GRANTABLE = new Set(['AccessToken', 'AuthorizationCode', 'RefreshToken', 'DeviceCode']);
const membersOfGrant = new Map();

export default class MapAdapter {
  #entries = new Map();

  #sessionIdByUid = new Map();

  constructor(model) {
    this.model = model;
  }

  async upsert(id, payload, expiresIn) {
    const expiresAt = expiresIn ? Date.now() + expiresIn * 1000 : Infinity;
    this.#entries.delete(id);
    this.#entries.set(id, { payload, expiresAt });
    if (payload.uid) this.#sessionIdByUid.set(payload.uid, id);
    if (payload.grantId && GRANTABLE.has(this.model)) {
      const members = membersOfGrant.get(payload.grantId) ?? new Set();
      members.add(this.#entries);
      membersOfGrant.set(payload.grantId, members);
    }
    this.#dropOldest();
  }

  async find(id) {
    const entry = this.#entries.get(id);
    return entry && entry.expiresAt > Date.now() ? entry.payload : undefined;
  }

  async findByUid(uid) {
    return this.find(this.#sessionIdByUid.get(uid));
  }

  async findByUserCode() {
    return undefined;
  }

  async consume(id) {
    this.#entries.get(id).payload.consumed = Math.floor(Date.now() / 1000);
  }

  async destroy(id) {
    const uid = this.#entries.get(id)?.payload.uid;
    if (uid && this.#sessionIdByUid.get(uid) === id) this.#sessionIdByUid.delete(uid);
    this.#entries.delete(id);
  }

  async revokeByGrantId(grantId) {
    for (const entries of membersOfGrant.get(grantId) ?? []) {
      for (const [id, { payload }] of entries) {
        if (payload.grantId === grantId) entries.delete(id);
      }
    }
    membersOfGrant.delete(grantId);
  }

  #dropOldest() {
    const now = Date.now();
    for (const [id, { expiresAt }] of this.#entries) {
      if (expiresAt > now && this.#entries.size <= LARGEST) return;
      this.#entries.delete(id);
    }
  }
}
