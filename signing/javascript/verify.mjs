// Checks the published vectors with an implementation that shares nothing with the Python one.
// Usage: node verify.mjs [vectors.json]; exits 1 when any vector disagrees.
import { createHash, createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import { readFileSync } from "node:fs";

const SCHEME = "CROUPIER1-HMAC-SHA256";
const NOBODY = randomBytes(32);

class Refused extends Error {
  constructor(reason) {
    super(reason);
    this.reason = reason;
  }
}

// Texts of bytes: every character is one byte (Latin-1), so comparing strings compares bytes.
function normalise(text) {
  if (/[^\x20-\x7e]/.test(text)) throw new Refused("malformed");
  let out = "";
  for (let at = 0; at < text.length; at += 1) {
    if (text[at] !== "%") {
      out += text[at];
      continue;
    }
    const digits = text.slice(at + 1, at + 3);
    if (!/^[0-9a-fA-F]{2}$/.test(digits)) throw new Refused("malformed");
    const char = String.fromCharCode(parseInt(digits, 16));
    out += /[A-Za-z0-9._~-]/.test(char) ? char : `%${digits.toUpperCase()}`;
    at += 2;
  }
  return out;
}

function compare(left, right) {
  if (left === right) return 0;
  return left < right ? -1 : 1;
}

function normaliseQuery(query) {
  const pairs = [];
  for (const part of query.split("&")) {
    if (part === "") continue;
    const cut = part.indexOf("=");
    const name = cut < 0 ? part : part.slice(0, cut);
    const value = cut < 0 ? "" : part.slice(cut + 1);
    pairs.push([normalise(name), normalise(value)]);
  }
  pairs.sort((a, b) => compare(a[0], b[0]) || compare(a[1], b[1]));
  return pairs.map(([name, value]) => `${name}=${value}`).join("&");
}

export function canonicalRequest({ method, path, query, ts, nonce, body }) {
  if (!/^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32}$/.test(method)) throw new Refused("malformed");
  const digest = createHash("sha256").update(body).digest("hex");
  const target = path === "" ? "/" : normalise(path);
  return [SCHEME, method.toUpperCase(), target, normaliseQuery(query), ts, nonce, digest].join("\n");
}

export function parseAuthorization(header) {
  if (header === null || header === "") throw new Refused("missing");
  if (header.length > 1024 || !header.startsWith(`${SCHEME} `)) throw new Refused("malformed");
  const forms = {
    key: /^[A-Za-z0-9._:-]{1,64}$/,
    ts: /^(0|[1-9][0-9]{0,11})$/,
    nonce: /^[A-Za-z0-9_-]{16,64}$/,
    sig: /^[A-Za-z0-9_-]{43}$/,
  };
  const claims = new Map();
  for (const part of header.slice(SCHEME.length + 1).split(",")) {
    const match = /^[ \t]*(key|ts|nonce|sig)="([^"]*)"[ \t]*$/.exec(part);
    if (!match || claims.has(match[1]) || !forms[match[1]].test(match[2])) throw new Refused("malformed");
    claims.set(match[1], match[2]);
  }
  if (claims.size !== 4) throw new Refused("malformed");
  return Object.fromEntries(claims);
}

export function signCanonical(secret, canonical) {
  return createHmac("sha256", secret).update(canonical, "latin1").digest("base64url");
}

export function verify(request, header, { secrets, now, window }) {
  const claims = parseAuthorization(header);
  const canonical = canonicalRequest({ ...request, ts: claims.ts, nonce: claims.nonce });
  const secret = secrets.get(claims.key);
  const expected = signCanonical(secret ?? NOBODY, canonical);
  const isGenuine = timingSafeEqual(Buffer.from(expected), Buffer.from(claims.sig));
  if (!isGenuine || secret === undefined) throw new Refused("mismatch");
  if (Math.abs(now - Number(claims.ts)) > window) throw new Refused("stale");
  return { claims, canonical };
}

function bodyOf({ text, base64, repeat, times }) {
  if (base64 !== undefined) return Buffer.from(base64, "base64");
  return Buffer.from(text ?? repeat.repeat(times), "utf8");
}

function outcomeOf(vector, setting) {
  const request = { ...vector.request, body: bodyOf(vector.request.body) };
  try {
    const { claims, canonical } = verify(request, vector.authorization, { ...setting, now: vector.now });
    return { expect: "accepted", canonical, claims: { ...claims, ts: Number(claims.ts) } };
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    return { expect: error.reason };
  }
}

function agrees(vector, outcome) {
  if (vector.expect !== outcome.expect) return false;
  if (vector.expect !== "accepted") return true;
  const names = ["key", "ts", "nonce", "sig"];
  return vector.canonical === outcome.canonical && names.every((name) => vector.claims[name] === outcome.claims[name]);
}

function main(file) {
  const document = JSON.parse(readFileSync(file, "utf8"));
  const entries = Object.entries(document.keys).map(([id, key]) => [id, Buffer.from(key.secret_hex, "hex")]);
  const setting = { secrets: new Map(entries), window: document.window_s };
  let passed = 0;
  let failed = 0;
  for (const vector of document.vectors) {
    const outcome = outcomeOf(vector, setting);
    if (agrees(vector, outcome)) {
      passed += 1;
    } else {
      failed += 1;
      console.error(`${vector.name}: expected ${vector.expect}, got ${outcome.expect}`);
    }
  }
  console.log(`${passed} passed, ${failed} failed`);
  process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
}

main(process.argv[2] ?? new URL("../vectors/native.json", import.meta.url));
