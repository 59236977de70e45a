/**
 * The fleet key: kept off the coordinator, so that whoever has the coordinator can't invent devices. See the Python
 * `fedrela.core.secure.fleet`: fleet key -> token key, whose seed travels in the link's fragment alone -> a device's identity key.
 */
import { GroupRefused, InvalidInput } from "../core/errors.ts";
import { FLEET } from "../core/links.ts";
import { fingerprint, isSigned, publicKeyOf, sign, verify } from "../core/signing.ts";
import type { Certificate } from "./messages.ts";
import { fleetDeviceStatement, fleetTokenStatement } from "./statements.ts";

/** That a token's devices belong to a fleet: `signature` is the fleet key's. */
export interface Endorsement {
  fleet_key: string;
  token_key: string;
  signature: string;
}

/** What a link says of a fleet: its word for the link's token, and the private key of that token, `tokenSeed`. */
export interface Membership {
  endorsed: Endorsement;
  tokenSeed: string;
  population: string;
}

/** What the part of a link holds. Throws InvalidInput for none, IntegrityError where the fleet hasn't signed it. */
export function readPart(part: string): Membership {
  const [, fleet_key, tokenSeed, signature, population] = new RegExp(`^${FLEET}$`).exec(part) ?? [];
  if (!fleet_key || !tokenSeed || !signature || !population)
    throw new InvalidInput("that is not what a link says of a fleet", "ask the operator for a new link");
  const token_key = publicKeyOf(tokenSeed);
  verify(fleet_key, fleetTokenStatement(population, token_key), signature);
  return { endorsed: { fleet_key, token_key, signature }, tokenSeed, population };
}

/** A device's certificate, which it makes itself with the token's private key. */
export function certify({ endorsed, tokenSeed, population }: Membership, identityKey: string): Certificate {
  const { fleet_key, token_key, signature: fleet_signature } = endorsed;
  return { fleet_key, token_key, fleet_signature, token_signature: sign(tokenSeed, fleetDeviceStatement(population, identityKey)) };
}

/** Throw GroupRefused unless the fleet of the fingerprint `pinned` vouches for that device in that population. */
export function checkCertificate(certificate: Certificate | null, identityKey: string, population: string, pinned: string): void {
  const isVouched =
    certificate !== null &&
    fingerprint(certificate.fleet_key) === pinned &&
    isSigned(certificate.fleet_key, fleetTokenStatement(population, certificate.token_key), certificate.fleet_signature) &&
    isSigned(certificate.token_key, fleetDeviceStatement(population, identityKey), certificate.token_signature);
  if (!isVouched)
    throw new GroupRefused("a member is not of this device's fleet", "nothing was sent; the coordinator may invent devices");
}
