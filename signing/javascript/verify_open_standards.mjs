// Checks the vectors of RFC 9421 and Standard Webhooks with an implementation that shares nothing with the Python one.
// Usage: node verify_open_standards.mjs [vectors.json]; exits 1 when any vector disagrees.
import { createHash, createHmac, createPublicKey, constants, timingSafeEqual, verify } from "node:crypto";
import { readFileSync } from "node:fs";

class Refused extends Error {
  constructor(reason, detail = "") {
    super(`${reason}: ${detail}`);
    this.reason = reason;
  }
}

const malformed = (detail) => new Refused("malformed", detail);
const latin1 = (text) => Buffer.from(text, "latin1");

function fromBase64(text) {
  const bytes = Buffer.from(text, "base64");
  if (bytes.toString("base64") !== text) throw malformed("base64");
  return bytes;
}

// Structured fields (RFC 8941): the types that signatures use. Values: {kind, value}.
class Reader {
  constructor(text) {
    this.text = text;
    this.at = 0;
  }

  take(pattern, what) {
    pattern.lastIndex = this.at;
    const match = pattern.exec(this.text);
    if (!match) throw malformed(`${what} at ${this.at}`);
    this.at = pattern.lastIndex;
    return match;
  }

  takes(char) {
    if (this.text[this.at] !== char) return false;
    this.at += 1;
    return true;
  }

  bare() {
    const char = this.text[this.at] ?? "";
    if (char === '"') {
      const match = this.take(/"((?:[ !#-[\]-~]|\\["\\])*)"/y, "string");
      return { kind: "string", value: match[1].replace(/\\(["\\])/g, "$1") };
    }
    if (char === ":") return { kind: "bytes", value: fromBase64(this.take(/:([A-Za-z0-9+/=]*):/y, "bytes")[1]) };
    if (char === "?") return { kind: "boolean", value: this.take(/\?([01])/y, "boolean")[1] === "1" };
    if (/[-0-9]/.test(char)) {
      return { kind: "integer", value: Number(this.take(/-?[0-9]{1,15}(?![0-9.])/y, "integer")[0]) };
    }
    return { kind: "token", value: this.take(/[A-Za-z*][!#$%&'*+\-.^_`|~:/0-9A-Za-z]*/y, "token")[0] };
  }

  parameters() {
    const found = new Map();
    while (this.takes(";")) {
      this.take(/ */y, "spaces");
      const name = this.take(/[a-z*][a-z0-9_\-.*]{0,63}/y, "parameter")[0];
      if (found.has(name)) throw malformed(`${name} twice`);
      found.set(name, this.takes("=") ? this.bare() : { kind: "boolean", value: true });
    }
    return found;
  }

  member() {
    if (!this.takes("(")) return { ...this.bare(), parameters: this.parameters() };
    const items = [];
    for (let spaced = true; ; spaced = false) {
      spaced = this.take(/ */y, "spaces")[0] !== "" || spaced;
      if (this.takes(")")) return { kind: "list", items, parameters: this.parameters() };
      if (!spaced || items.length === 32) throw malformed("list");
      items.push({ ...this.bare(), parameters: this.parameters() });
    }
  }
}

function parseDictionary(field) {
  if (field.length > 8192) throw malformed("too long");
  const reader = new Reader(field.replace(/^ +| +$/g, ""));
  const found = new Map();
  for (;;) {
    const key = reader.take(/[a-z*][a-z0-9_\-.*]{0,63}/y, "key")[0];
    if (found.has(key) || found.size === 8) throw malformed(`${key} twice, or too many`);
    const flag = () => ({ kind: "boolean", value: true, parameters: reader.parameters() });
    found.set(key, reader.takes("=") ? reader.member() : flag());
    reader.take(/[ \t]*/y, "spaces");
    if (reader.at === reader.text.length) return found;
    if (!reader.takes(",")) throw malformed("comma");
    reader.take(/[ \t]*/y, "spaces");
  }
}

function renderBare({ kind, value }) {
  switch (kind) {
    case "string":
      return `"${value.replace(/(["\\])/g, "\\$1")}"`;
    case "bytes":
      return `:${value.toString("base64")}:`;
    case "boolean":
      return value ? "?1" : "?0";
    default:
      return String(value);
  }
}

function renderParameters(parameters) {
  const write = ([name, one]) => (one.kind === "boolean" && one.value ? `;${name}` : `;${name}=${renderBare(one)}`);
  return [...parameters].map(write).join("");
}

const renderItem = (item) => renderBare(item) + renderParameters(item.parameters);
const renderList = (list) => `(${list.items.map(renderItem).join(" ")})${renderParameters(list.parameters)}`;

function fieldOf(request, name) {
  const lines = request.headers.filter(([known]) => known === name).map(([, value]) => value);
  return lines.length === 0 ? null : lines.map((line) => line.replace(/^[ \t]+|[ \t]+$/g, "")).join(", ");
}

// Text of bytes in, ASCII out: %XX and + decoded, then the form's percent-encode set applied (RFC 9421, 2.2.8).
function formEncoded(text) {
  const decoded = text.replace(/\+/g, " ").replace(/%([0-9A-Fa-f]{2})/g, (_, hex) => String.fromCharCode(parseInt(hex, 16)));
  const encode = (char) => `%${char.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`;
  return decoded.replace(/[^A-Za-z0-9*\-._]/g, encode);
}

function queryParameter(request, component) {
  const wanted = component.parameters.get("name");
  if (component.parameters.size !== 1 || wanted?.kind !== "string") throw malformed("@query-param");
  const pairs = request.query.split("&").filter(Boolean).map((part) => {
    const cut = part.indexOf("=");
    return cut < 0 ? [part, ""] : [part.slice(0, cut), part.slice(cut + 1)];
  });
  const values = pairs.filter(([name]) => formEncoded(name) === wanted.value).map(([, value]) => value);
  if (values.length === 0) throw new Refused("mismatch", "no such query parameter");
  if (values.length > 1) throw malformed("query parameter twice");
  return formEncoded(values[0]);
}

function valueOf(request, component) {
  if (component.kind !== "string") throw malformed("component");
  const name = component.value;
  if (name === "@query-param") return queryParameter(request, component);
  if (component.parameters.size > 0) throw malformed(`${name} with parameters`);
  if (!name.startsWith("@")) {
    if (!/^[!#$%&'*+.^_`|~0-9a-z-]{1,128}$/.test(name)) throw malformed(name);
    const value = fieldOf(request, name);
    if (value === null) throw new Refused("mismatch", `${name} is not there`);
    return value;
  }
  const path = request.path || "/";
  const target = request.query ? `${path}?${request.query}` : path;
  const defaultPort = request.scheme === "https" ? /:443$/ : /:80$/;
  const derived = {
    "@method": request.method,
    "@scheme": request.scheme,
    "@authority": request.authority.toLowerCase().replace(defaultPort, ""),
    "@target-uri": `${request.scheme}://${request.authority}${target}`,
    "@request-target": target,
    "@path": path,
    "@query": `?${request.query}`,
  };
  if (!Object.hasOwn(derived, name)) throw malformed(name);
  return derived[name];
}

export function signatureBase(request, list) {
  const identities = list.items.map(renderItem);
  if (new Set(identities).size !== identities.length) throw malformed("component twice");
  const lines = list.items.map((item) => `${renderItem(item)}: ${valueOf(request, item)}`);
  return [...lines, `"@signature-params": ${renderList(list)}`].join("\n");
}

function readTime(parameters, name) {
  const found = parameters.get(name);
  if (found === undefined) return null;
  if (found.kind !== "integer" || found.value < 0 || found.value > 999999999999) throw malformed(name);
  return found.value;
}

function readText(parameters, name) {
  const found = parameters.get(name);
  if (found === undefined) return null;
  if (found.kind !== "string" || found.value.length < 1 || found.value.length > 256) throw malformed(name);
  return found.value;
}

const WITHIN = { "@path": ["@target-uri", "@request-target"], "@query": ["@target-uri", "@request-target"] };

function checkCoverage(request, covered, policy) {
  for (const name of policy.required) {
    if (name === "@query" && request.query === "") continue;
    if (name === "content-digest" && request.body.length === 0) continue;
    if (![name, ...(WITHIN[name] ?? [])].some((one) => covered.includes(one))) throw malformed(`${name} not covered`);
  }
}

function same(left, right) {
  return left.length === right.length && timingSafeEqual(left, right);
}

const PSS = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 64 };
const CHECKS = {
  "hmac-sha256": (key, data, given) => same(createHmac("sha256", key.secret).update(data).digest(), given),
  ed25519: (key, data, given) => verify(null, data, key.public, given),
  "ecdsa-p256-sha256": (key, data, given) =>
    given.length === 64 && verify("sha256", data, { key: key.public, dsaEncoding: "ieee-p1363" }, given),
  "rsa-pss-sha512": (key, data, given) => verify("sha512", data, { key: key.public, ...PSS }, given),
  "rsa-v1_5-sha256": (key, data, given) => verify("sha256", data, key.public, given),
};

// The key's kind decides; what the message names may only choose among the key's own.
function algorithmsOf(key) {
  if (key.secret) return ["hmac-sha256"];
  const kinds = { ed25519: ["ed25519"], ec: ["ecdsa-p256-sha256"], rsa: ["rsa-pss-sha512", "rsa-v1_5-sha256"] };
  return kinds[key.public.asymmetricKeyType];
}

function digestFits(request) {
  const known = [...parseDictionary(fieldOf(request, "content-digest"))].filter(([name]) => /^sha-(256|512)$/.test(name));
  if (known.length === 0 || known.some(([, one]) => one.kind !== "bytes")) throw malformed("content-digest");
  return known.every(([name, { value }]) => same(createHash(name.replace("-", "")).update(request.body).digest(), value));
}

export function verifyMessage(request, { keys, policy, now }) {
  const inputs = fieldOf(request, "signature-input");
  const signatures = fieldOf(request, "signature");
  if (!inputs || !signatures) throw new Refused("missing");
  const lists = parseDictionary(inputs);
  const values = parseDictionary(signatures);
  const labels = [...lists.keys()];
  if (labels.length !== values.size || labels.some((label) => !values.has(label))) throw malformed("labels");
  // The vectors have one label each; a port for production reads them all and takes the first that fits.
  const [label] = labels;
  const [list, given] = [lists.get(label), values.get(label)];
  if (list.kind !== "list" || given.kind !== "bytes") throw malformed(label);
  const created = readTime(list.parameters, "created");
  const expires = readTime(list.parameters, "expires");
  const [keyId, algorithm, nonce, tag] = ["keyid", "alg", "nonce", "tag"].map((name) => readText(list.parameters, name));
  if (created === null || keyId === null) throw malformed("created and keyid");
  const base = signatureBase(request, list);
  const covered = list.items.map((item) => (item.parameters.size > 0 ? renderItem(item) : item.value));
  checkCoverage(request, covered, policy);
  const key = keys.get(keyId);
  if (key === undefined) throw new Refused("mismatch", "unknown key");
  const possible = algorithmsOf(key).filter((one) => policy.algorithms.includes(one) && (algorithm ?? one) === one);
  if (possible.length === 0 || !CHECKS[possible[0]](key, latin1(base), given.value)) throw new Refused("mismatch");
  if (covered.includes("content-digest") && !digestFits(request)) throw new Refused("mismatch", "body");
  if (Math.abs(now - created) > policy.window_s || (expires !== null && now > expires)) throw new Refused("stale");
  return { base, verified: { label, key: keyId, algorithm: possible[0], created, expires, nonce, tag, covered } };
}

export function verifyWebhook({ webhook_id: id, timestamp, signature, body, now, window_s: window }, keys) {
  if (!id || !timestamp || !signature) throw new Refused("missing");
  if (!/^[!-\-/-~]{1,256}$/.test(id) || !/^(0|[1-9][0-9]{0,11})$/.test(timestamp)) throw malformed("id or timestamp");
  const parts = signature.split(" ").map((part) => /^(v[0-9]{1,3}[a-z]{0,8}),([A-Za-z0-9+/=]{1,1024})$/.exec(part));
  if (signature.length > 4096 || parts.length > 16 || parts.includes(null)) throw malformed("signature");
  const given = parts.filter(([, version]) => /^v1a?$/.test(version)).map(([, version, text]) => [version, fromBase64(text)]);
  const message = Buffer.from(`${id}.${timestamp}.${body}`, "utf8");
  const signer = keys.find((key) => {
    const [version, check] = key.secret ? ["v1", CHECKS["hmac-sha256"]] : ["v1a", CHECKS.ed25519];
    return given.some(([found, value]) => found === version && check(key, message, value));
  });
  if (signer === undefined) throw new Refused("mismatch");
  if (Math.abs(now - Number(timestamp)) > window) throw new Refused("stale");
  return signer.id;
}

function outcomeOf(judge) {
  try {
    return { expect: "accepted", ...judge() };
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    return { expect: error.reason };
  }
}

function judgeMessage(vector, setting) {
  const request = { ...vector.request, body: Buffer.from(vector.request.body, "utf8") };
  return outcomeOf(() => verifyMessage(request, { ...setting, now: vector.now }));
}

function judgeWebhook(vector, { keys }) {
  return outcomeOf(() => ({ key: verifyWebhook(vector, vector.keys.map((id) => keys.get(id))) }));
}

function agrees(vector, outcome) {
  const told = ["expect", "base", "key"].every((name) => vector[name] === outcome[name]);
  const names = Object.keys(vector.verified ?? {});
  const written = (value) => JSON.stringify(value);
  return told && names.every((name) => written(vector.verified[name]) === written(outcome.verified[name]));
}

function readKey([id, key]) {
  if (key.secret_hex) return [id, { id, secret: Buffer.from(key.secret_hex, "hex") }];
  return [id, { id, public: createPublicKey(key.public_pem) }];
}

function main(file) {
  const document = JSON.parse(readFileSync(file, "utf8"));
  const setting = { keys: new Map(Object.entries(document.test_keys).map(readKey)), policy: document.policy };
  const judged = [
    ...document.messages.map((vector) => [vector, judgeMessage(vector, setting)]),
    ...document.webhooks.map((vector) => [vector, judgeWebhook(vector, setting)]),
  ];
  const wrong = judged.filter(([vector, outcome]) => !agrees(vector, outcome));
  for (const [vector, outcome] of wrong) {
    console.error(`${vector.name}: expected ${vector.expect}, got ${outcome.expect}`);
  }
  console.log(`${judged.length - wrong.length} passed, ${wrong.length} failed`);
  process.exitCode = wrong.length === 0 && judged.length > 0 ? 0 : 1;
}

main(process.argv[2] ?? new URL("../vectors/open_standards.json", import.meta.url));
