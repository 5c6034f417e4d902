// Signing in with a passkey, and making one. What is asked of the authenticator stands in the page, and what it answers
// is posted by the page's own form: this talks to the browser and to nobody else.

const toBase64url = (buffer) =>
  btoa(Array.from(new Uint8Array(buffer), (byte) => String.fromCharCode(byte)).join(""))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replaceAll("=", "");

const fromBase64url = (text) =>
  Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (character) => character.charCodeAt(0));

const readOptions = (text) => {
  const options = JSON.parse(text);
  options.challenge = fromBase64url(options.challenge);
  if (options.user) options.user.id = fromBase64url(options.user.id);
  for (const list of [options.allowCredentials, options.excludeCredentials]) {
    for (const key of list ?? []) key.id = fromBase64url(key.id);
  }
  return options;
};

const NAMES = ["clientDataJSON", "authenticatorData", "signature", "userHandle", "attestationObject"];

const writeAnswer = ({ id, type, response }) => {
  const members = NAMES.filter((name) => response[name]).map((name) => [name, toBase64url(response[name])]);
  const answer = Object.fromEntries(members);
  if (response.getTransports) answer.transports = response.getTransports();
  return JSON.stringify({ id, rawId: id, type, response: answer, clientExtensionResults: {} });
};

const send = (form, credential) => {
  form.elements.credential.value = credential ? writeAnswer(credential) : "";
  HTMLFormElement.prototype.submit.call(form);
};

// Which of the sentences in the form tells what went wrong; "failed" where it is nothing that a person could mend.
const show = (form, name) => {
  const problems = [...form.querySelectorAll("[data-problem]")];
  const told = problems.find((each) => each.dataset.problem === name) ?? problems.at(-1);
  for (const each of problems) each.hidden = each !== told || name === null;
};

const prepare = (form) => {
  const isNew = form.dataset.passkey === "create";
  const endsAt = performance.now() + Number(form.dataset.lifetime);
  let waiting = null;

  const ask = (more) => {
    const publicKey = readOptions(form.dataset.options);
    return isNew ? navigator.credentials.create({ publicKey, ...more }) : navigator.credentials.get({ publicKey, ...more });
  };

  // Offers passkeys among what the browser fills into the field for the name, for as long as nothing else is chosen.
  const offer = async () => {
    if (!("autofill" in form.dataset) || !(await PublicKeyCredential.isConditionalMediationAvailable?.())) return;
    waiting = new AbortController();
    try {
      send(form, await ask({ mediation: "conditional", signal: waiting.signal }));
    } catch {
      // Nobody chose one, or the button was pressed, which says what went wrong.
    }
  };

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    // Without options, or when they are too old to be answered, the server has the next word.
    if (!form.dataset.options || performance.now() > endsAt) return send(form, null);
    waiting?.abort();
    show(form, null);
    const button = form.querySelector("button");
    button.disabled = true;
    try {
      send(form, await ask({}));
    } catch (error) {
      button.disabled = false;
      show(form, error.name);
      await offer();
    }
  });

  form.hidden = false;
  offer();
};

for (const form of document.querySelectorAll("form[data-passkey]")) {
  if (window.PublicKeyCredential) prepare(form);
  else document.querySelector("[data-no-passkeys]")?.removeAttribute("hidden");
}
