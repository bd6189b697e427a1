// Checks the published vectors of the signing profiles with an implementation that shares nothing with the Python one.
// Usage: node verify_profiles.mjs [profiles.json]; exits 1 when any vector disagrees.
import * as crypto from "node:crypto";
import { readFileSync } from "node:fs";

const { createHash, createHmac, createPrivateKey, createPublicKey, randomBytes, timingSafeEqual } = crypto;
const NOBODY = randomBytes(32);
const LIMITS = { bytes: 262144, pairs: 1000, queryBytes: 16384, queryPairs: 256, depth: 64, token: 1024 };

class Refused extends Error {
  constructor(reason) {
    super(reason);
    this.reason = reason;
  }
}

function require(condition) {
  if (!condition) throw new Refused("malformed");
}

// Form and query texts come as Latin-1, one character a byte; what they mean is UTF-8.
function decode(text) {
  const bytes = [];
  for (let at = 0; at < text.length; at += 1) {
    if (text[at] === "%") {
      const digits = text.slice(at + 1, at + 3);
      require(/^[0-9a-fA-F]{2}$/.test(digits));
      bytes.push(parseInt(digits, 16));
      at += 2;
    } else {
      bytes.push(text[at] === "+" ? 0x20 : text.charCodeAt(at));
    }
  }
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(Uint8Array.from(bytes));
  } catch {
    throw new Refused("malformed");
  }
}

function readPairs(text, mostBytes, mostPairs) {
  require(text.length <= mostBytes);
  const parts = text.split("&").filter((part) => part !== "");
  require(parts.length <= mostPairs);
  const pairs = parts.map((part) => {
    const cut = part.indexOf("=");
    return cut < 0 ? [decode(part), ""] : [decode(part.slice(0, cut)), decode(part.slice(cut + 1))];
  });
  requireDistinct(pairs);
  return pairs;
}

function requireDistinct(pairs) {
  const names = new Set(pairs.map(([name]) => name));
  require(names.size === pairs.length && !names.has(""));
}

function compareBytes(left, right) {
  return Buffer.compare(Buffer.from(left, "utf8"), Buffer.from(right, "utf8"));
}

// PHP's urlencode: letters, digits and - _ . stay, a space is a plus, every other byte is escaped, the tilde too.
function phpEncode(text) {
  let out = "";
  for (const byte of Buffer.from(text, "utf8")) {
    const char = String.fromCharCode(byte);
    if (/[A-Za-z0-9_.-]/.test(char)) out += char;
    else out += char === " " ? "+" : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return out;
}

function splitName(name) {
  const match = /^([^[\]]+)((?:\[[^[\]]+\])*)$/.exec(name);
  require(match !== null);
  const path = [match[1], ...match[2].split(/[[\]]+/).filter((part) => part !== "")];
  require(path.length <= LIMITS.depth);
  require(!/^[ \t\n\r\v\f]*[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?[ \t\n\r\v\f]*$/.test(path[0]));
  return path;
}

// Builds the array PHP would hold, level by level, and writes it as http_build_query does.
export function httpBuildQuery(pairs) {
  requireDistinct(pairs);
  const root = new Map();
  for (const [name, value] of pairs) {
    const path = splitName(name);
    let level = root;
    for (const step of path.slice(0, -1)) {
      if (!level.has(step)) level.set(step, new Map());
      level = level.get(step);
      require(level instanceof Map);
    }
    require(!level.has(path.at(-1)));
    level.set(path.at(-1), value);
  }
  const sorted = [...root].sort(([left], [right]) => compareBytes(left, right));
  const write = (prefix, value) => {
    if (!(value instanceof Map)) return [`${prefix}=${phpEncode(value)}`];
    return [...value].flatMap(([key, inner]) => write(`${prefix}%5B${phpEncode(key)}%5D`, inner));
  };
  return sorted.flatMap(([key, value]) => write(phpEncode(key), value)).join("&");
}

// RFC 8785 is written in terms of ECMAScript: its numbers, its texts and its order of texts are JavaScript's own.
export function canonicalise(value) {
  if (Array.isArray(value)) return `[${value.map(canonicalise).join(",")}]`;
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  const entries = value instanceof Map ? [...value] : Object.entries(value);
  entries.sort(([left], [right]) => (left < right ? -1 : 1));
  return `{${entries.map(([name, inner]) => `${JSON.stringify(name)}:${canonicalise(inner)}`).join(",")}}`;
}

function joinSortedValues(query, leaveOut, orderAs) {
  const pairs = readPairs(query, LIMITS.bytes, LIMITS.pairs).filter(([name]) => !leaveOut.includes(name));
  const renamed = pairs.map(([name, value]) => [Object.hasOwn(orderAs, name) ? orderAs[name] : name, value]);
  requireDistinct(renamed);
  return renamed.sort(([left], [right]) => compareBytes(left, right)).map(([, value]) => value).join("");
}

function bodyOf({ text, base64 }) {
  return base64 === undefined ? Buffer.from(text, "utf8") : Buffer.from(base64, "base64");
}

function hmacScheme(digest, encoding, message) {
  const write = (bytes) => {
    if (encoding === "base64") return bytes.toString("base64");
    return encoding === "HEX" ? bytes.toString("hex").toUpperCase() : bytes.toString("hex");
  };
  const sample = write(createHash(digest).digest());
  const letters = { hex: "[0-9a-f]", HEX: "[0-9A-F]", base64: "[A-Za-z0-9+/]" }[encoding];
  const bare = sample.replace(/=+$/, "").length;
  const shape = new RegExp(`^${letters}{${bare}}={${sample.length - bare}}$`);
  const sign = (secret) => write(createHmac(digest, secret).update(message()).digest());
  return { shape, message, sign };
}

function digestScheme({ digest, order }, body) {
  const shape = new RegExp(`^[0-9a-f]{${createHash(digest).digest("hex").length}}$`);
  const message = (secret) => Buffer.concat(order === "key_body" ? [secret, body] : [body, secret]);
  return { shape, message, sign: (secret) => createHash(digest).update(message(secret)).digest("hex") };
}

const SCHEMES = {
  raw_hmac: (request) => hmacScheme(request.digest, request.encoding, () => bodyOf(request.body)),
  canonical_body: (request) => hmacScheme("sha256", "hex", () => bodyOf(request.body)),
  canonical_query: ({ query }) =>
    hmacScheme("sha256", "hex", () =>
      Buffer.from(canonicalise(new Map(readPairs(query, LIMITS.queryBytes, LIMITS.queryPairs))), "utf8"),
    ),
  sorted_form: ({ form, headers }) =>
    hmacScheme("sha1", "hex", () =>
      Buffer.from(httpBuildQuery([...readPairs(form, LIMITS.bytes, LIMITS.pairs), ...Object.entries(headers)]), "utf8"),
    ),
  sorted_values: ({ query, leave_out, order_as }) =>
    hmacScheme("sha256", "hex", () => Buffer.from(joinSortedValues(query, leave_out, order_as), "utf8")),
  body_digest: (request) => digestScheme(request, bodyOf(request.body)),
};

function isEqual(left, right) {
  const [a, b] = [left, right].map((bytes) => createHash("sha256").update(bytes).digest());
  return timingSafeEqual(a, b);
}

// Every key is tried, and somebody's when there is none, so that the time taken says nothing.
function firstMatch(keys, nobody, isSigner) {
  const tried = keys.length > 0 ? keys : [["", nobody]];
  const matched = tried.filter(([, key]) => isSigner(key)).map(([id]) => id);
  if (keys.length === 0 || matched.length === 0) throw new Refused("mismatch");
  return matched[0];
}

function verifyRsa(request, signature, keys, nobody) {
  require(/^[A-Za-z0-9+/]+={0,2}$/.test(signature));
  const raw = Buffer.from(signature, "base64");
  require(raw.toString("base64") === signature && raw.length >= 256 && raw.length <= 1024);
  const body = bodyOf(request.body);
  return firstMatch(keys, nobody, (key) => crypto.verify("sha256", body, createPublicKey(key), raw));
}

export function verify({ profile, request, signature }, keys, nobody) {
  if (signature === null || signature === "") throw new Refused("missing");
  if (profile === "rsa_body") return verifyRsa(request, signature, keys, nobody);
  if (profile === "static_token") {
    require(signature.length <= LIMITS.token);
    return firstMatch(keys, NOBODY, (secret) => isEqual(secret, Buffer.from(signature, "latin1")));
  }
  const scheme = SCHEMES[profile](request);
  require(scheme.shape.test(signature));
  scheme.message(NOBODY);
  return firstMatch(keys, NOBODY, (secret) => isEqual(scheme.sign(secret), signature));
}

// The bytes that an accepted vector says were signed, and the signature that its key makes of them.
function reproduce({ profile, request }, key) {
  if (profile === "rsa_body") {
    const body = bodyOf(request.body);
    return { signed: body, signature: crypto.sign("sha256", body, key).toString("base64") };
  }
  const scheme = SCHEMES[profile](request);
  return { signed: scheme.message(key), signature: scheme.sign(key) };
}

function problemOf(vector, keys, nobody) {
  let outcome;
  try {
    outcome = verify(vector, vector.keys.map((id) => [id, keys.get(id)]), nobody);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    outcome = error.reason;
  }
  if (outcome !== vector.expect) return `expected ${vector.expect}, got ${outcome}`;
  if (vector.signed === undefined) return "";
  const made = reproduce(vector, keys.get(vector.expect));
  if (made.signed.toString("base64") !== vector.signed) return "other bytes were signed";
  return made.signature === vector.signature ? "" : "signing gives another signature";
}

function main(file) {
  const document = JSON.parse(readFileSync(file, "utf8"));
  const keys = new Map();
  for (const [id, key] of Object.entries(document.keys)) {
    const pem = key.test_private_key_pem;
    keys.set(id, pem === undefined ? Buffer.from(key.secret_hex, "hex") : createPrivateKey(pem));
  }
  const nobody = [...keys.values()].find((key) => !Buffer.isBuffer(key));
  const problems = new Map();
  for (const { name, json, canonical } of document.canonical_json) {
    problems.set(name, canonicalise(JSON.parse(json)) === canonical ? "" : "another canonical form");
  }
  for (const vector of document.vectors) problems.set(vector.name, problemOf(vector, keys, nobody));
  const failed = [...problems].filter(([, problem]) => problem !== "");
  for (const [name, problem] of failed) console.error(`${name}: ${problem}`);
  console.log(`${problems.size - failed.length} passed, ${failed.length} failed`);
  process.exitCode = failed.length === 0 && problems.size > 0 ? 0 : 1;
}

main(process.argv[2] ?? new URL("../vectors/profiles.json", import.meta.url));
