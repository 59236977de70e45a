/**
 * Requests that carry their sender's signature: RFC 9421 with Ed25519 over one fixed set of components, and Content-Digest
 * (RFC 9530). See the Python `fedrela.core.protocol.signed_requests`.
 */
import { sha256 } from "@noble/hashes/sha2.js";
import { fromHex, publicKeyOf, sign } from "./signing.ts";

/** The value of Content-Digest for a body. */
export function contentDigest(body: Uint8Array): string {
  return `sha-256=:${base64(sha256(body))}:`;
}

/** What is added to a request, so that its receiver knows who sent it. `path`: below the coordinator's address. */
export function signedHeaders(privateKey: string, method: string, path: string, body: Uint8Array = new Uint8Array()): Record<string, string> {
  const digest = ["POST", "PUT"].includes(method) ? contentDigest(body) : "";
  const components = digest ? '("@method" "@path" "content-digest")' : '("@method" "@path")';
  const parameters = `${components};keyid="${publicKeyOf(privateKey)}";alg="ed25519"`;
  const covered = [`"@method": ${method}`, `"@path": ${path}`, ...(digest ? [`"content-digest": ${digest}`] : [])];
  const base = new TextEncoder().encode([...covered, `"@signature-params": ${parameters}`].join("\n"));
  return {
    ...(digest ? { "Content-Digest": digest } : {}),
    "Signature-Input": `fedrela=${parameters}`,
    Signature: `fedrela=:${base64(fromHex(sign(privateKey, base)))}:`,
  };
}

function base64(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes));
}
