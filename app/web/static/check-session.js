// OpenID Connect Session Management 1.0, 3.2: a client's page posts "client_id session_state" and is told whether
// that still holds. It learns nothing else: without a session_state of its own there is nothing to compare.
"use strict";

const cookieName = document.currentScript.dataset.cookie;

function readBrowserState() {
  const prefix = `${cookieName}=`;
  const found = document.cookie.split("; ").filter((cookie) => cookie.startsWith(prefix));
  return found.length === 1 ? found[0].slice(prefix.length) : "";
}

async function sha256(text) {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function compare(message, origin) {
  const space = typeof message === "string" ? message.lastIndexOf(" ") : -1;
  const clientId = space > 0 ? message.slice(0, space) : "";
  const [hash, salt, ...rest] = space > 0 ? message.slice(space + 1).split(".") : [];
  if (!clientId || !hash || !salt || rest.length > 0) {
    return "error";
  }
  const browserState = readBrowserState();
  if (!browserState && document.hasStorageAccess && !(await document.hasStorageAccess())) {
    // The browser keeps cookies from frames of other sites. "changed" would have the client ask again for ever.
    return "error";
  }
  return hash === (await sha256(`${clientId} ${origin} ${browserState} ${salt}`)) ? "unchanged" : "changed";
}

// Section 3.2: "The OP iframe MUST enforce that the caller has the same origin as its parent frame." The caller is that
// page itself, or a frame of its origin beside this one. Where a browser does not tell whose page it is, only the page.
function isFromParent(event) {
  if (event.origin === "null" || window.parent === window) {
    return false;
  }
  if (event.source === window.parent) {
    return true;
  }
  const parentOrigin = location.ancestorOrigins?.[0] ?? (document.referrer && new URL(document.referrer).origin);
  return event.source !== null && event.origin === parentOrigin;
}

window.addEventListener("message", async (event) => {
  if (!isFromParent(event)) {
    return;
  }
  const answer = await compare(event.data, event.origin).catch(() => "error");
  event.source.postMessage(answer, event.origin);
});
