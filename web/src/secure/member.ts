/**
 * A device's side of a session: each step from the last one's state and a message to a new state and an answer. See the Python
 * `fedrela.core.secure.member`.
 *
 *     offer -> share(roster) -> mask(inbox, vector) -> agree(survivors) -> reveal(agreements)
 *
 * An answer depends on nothing but the state and the message, so a device that kept its state before it sent, and was killed,
 * sends the same bytes again; the same message may come twice, another one of its kind is refused. Refusals are GroupRefused:
 * the session is over, and its secrets are to be deleted. No clock, no storage, no randomness but `Secrets`.
 */
import { concatBytes, utf8ToBytes } from "@noble/hashes/utils.js";
import { fromHex, hex, isSigned, sign } from "../core/signing.ts";
import * as ciphers from "./ciphers.ts";
import { blankBody, complete, wordsHash } from "./masked-body.ts";
import type { Agreements, Inbox, MaskedProof, Roster, RosterMember, SecureAgreement, SecureKeys, SecureReveal, SecureShares, Survivors } from "./messages.ts";
import * as pads from "./pads.ts";
import { type Terms, checkRoster, checkSenders, checkSurvivors, memberOf, refused } from "./roster.ts";
import { type Shares, seal, unseal } from "./sealing.ts";
import { split } from "./shamir.ts";
import { commitment, keysStatement, maskedStatement, sendersHash, sessionName, survivorsStatement } from "./statements.ts";

/**
 * Four times 32 random bytes in hexadecimal, new for each session and never derived from another secret: X25519 private keys,
 * what makes the pad of this member alone, and what makes the coefficients of what is shared.
 */
export interface Secrets {
  mask_key: string;
  seal_key: string;
  own_seed: string;
  polynomials: string;
}

/** Where a device stands: what it was told, each message once. As JSON it is what a device keeps. */
export interface Member {
  terms: Terms;
  secrets: Secrets;
  keys: SecureKeys;
  roster?: Roster;
  inbox?: Inbox;
  wordsSha?: string; // of the masked vector: two vectors behind the same pads would show their difference
  survivors?: Survivors;
  agreements?: Agreements;
}

const AGREED = new WeakMap<Secrets, Map<string, Uint8Array>>(); // by the others' seal keys

/** The state to begin with; its `keys` are what is sent first. */
export function offer(terms: Terms, secrets: Secrets, identityPrivateKey: string): Member {
  const [mask_key, seal_key] = [secrets.mask_key, secrets.seal_key].map((key) => hex(ciphers.publicKey(fromHex(key)))) as [string, string];
  const statement = keysStatement(terms.work, terms.assignmentId, mask_key, seal_key);
  return { terms, secrets, keys: { mask_key, seal_key, signature: sign(identityPrivateKey, statement) } };
}

/** Check who the others are, and give each of them a share of this member's two secrets. */
export function share(member: Member, roster: Roster): { member: Member; shares: SecureShares } {
  once(member.roster, roster, "roster");
  const index = checkRoster(roster, member.terms, member.keys);
  const session = sessionName(roster, member.terms.work);
  const shares = dealt(member.secrets, session, roster);
  const sealed = roster.members
    .filter((other) => other.index !== index)
    .map((other) => {
      const address = { session, sender: index, receiver: other.index };
      return { index: other.index, box: hex(seal(agreedWith(other, member.secrets), address, shares[other.index - 1]!)) };
    });
  const message = { session: hex(session), commitment: commitment(session, fromHex(member.secrets.own_seed)), sealed };
  return { member: { ...member, roster }, shares: message };
}

/** Hide the vector (d,) behind this member's own pad and one for each other sender: the body, and its proof. */
export function mask(
  member: Member,
  inbox: Inbox,
  vector: Int32Array,
  identityPrivateKey: string,
): { member: Member; body: Uint8Array; proof: MaskedProof } {
  once(member.inbox, inbox, "inbox");
  const { roster, index, session, name } = sessionOf(member);
  const senders = sendersOf(inbox, index);
  checkSession(inbox.session, name);
  checkSenders(senders, index, roster);
  const others = new Map(senders.filter((sender) => sender !== index).map((sender) => [sender, fromHex(memberOf(roster, sender).keys.mask_key)]));
  const { own_seed, mask_key } = member.secrets;
  const { body, words } = blankBody(vector.length);
  words.set(vector);
  pads.mask(words, { ownSeed: fromHex(own_seed), maskKey: fromHex(mask_key), index, others, session });
  const wordsSha = wordsHash(words);
  if (wordsSha !== (member.wordsSha ?? wordsSha)) throw refused("a second vector was to be masked in one session");
  const senders_sha256 = sendersHash(senders);
  const signature = sign(identityPrivateKey, maskedStatement(name, senders_sha256, wordsSha));
  complete(body, words.length, { session: name, senders_sha256, signature });
  return {
    member: { ...member, inbox, wordsSha },
    body,
    proof: { index, session: name, senders_sha256, words_sha256: wordsSha, signature },
  };
}

/** Sign which survivors this member was told of, so that no two members can be told of different ones. */
export function agree(member: Member, survivors: Survivors, identityPrivateKey: string): { member: Member; agreement: SecureAgreement } {
  if (!member.inbox) throw refused("survivors came before the inbox");
  once(member.survivors, survivors, "list of survivors");
  const { roster, index, name } = sessionOf(member);
  const senders = sendersOf(member.inbox, index);
  for (const { session } of [survivors, ...survivors.proofs]) checkSession(session, name);
  checkSurvivors(survivors.proofs, index, senders, roster);
  const signature = sign(identityPrivateKey, survivorsStatement(name, indicesOf(survivors), sendersHash(senders)));
  return { member: { ...member, survivors }, agreement: { index, session: name, signature } };
}

/**
 * If enough members signed this member's own list: its shares of survivors' own seeds and of the others' mask keys. A box that
 * doesn't open is left out; the others hold shares enough.
 */
export function reveal(member: Member, told: Agreements): { member: Member; revealed: SecureReveal } {
  if (!member.inbox || !member.survivors) throw refused("agreements came before the survivors");
  const agreements = member.agreements ?? told; // more signatures may come the second time; the answer is the same
  const { roster, index, session, name } = sessionOf(member);
  checkSession(agreements.session, name);
  const senders = sendersOf(member.inbox, index);
  const survivors = indicesOf(member.survivors);
  const statement = survivorsStatement(name, survivors, sendersHash(senders));
  let signers = 0; // up to the threshold: the rest would change nothing
  for (const { index: by, signature } of agreements.agreements)
    if (signers < roster.threshold && survivors.includes(by) && isSigned(memberOf(roster, by).identity_key, statement, signature)) signers++;
  if (signers < roster.threshold) throw refused(`only ${signers} members agree on the survivors, and ${roster.threshold} are needed`);
  const held = heldShares(member.secrets, member.inbox, roster, index, session);
  const vanished = senders.filter((sender) => !survivors.includes(sender));
  const revealed = (indices: number[], secret: keyof Shares): { index: number; share: string }[] =>
    indices.flatMap((one) => (held.has(one) ? [{ index: one, share: hex(held.get(one)![secret]) }] : []));
  return { member: { ...member, agreements }, revealed: { session: name, own: revealed(survivors, "ownSeed"), pair: revealed(vanished, "maskKey") } };
}

/** Every member's shares, this one's among them. */
function dealt(secrets: Secrets, session: Uint8Array, roster: Roster): Shares[] {
  const size = ciphers.KEY_BYTES * (roster.threshold - 1);
  const key = ciphers.deriveKey(fromHex(secrets.polynomials), concatBytes(utf8ToBytes("coefficients"), session));
  const coefficients = concatBytes(...ciphers.keystream(key, 2 * size));
  const of = (secret: string, from: number): Uint8Array[] =>
    split(fromHex(secret), roster.threshold, roster.members.length, coefficients.subarray(from, from + size));
  const maskKeys = of(secrets.mask_key, size);
  return of(secrets.own_seed, 0).map((ownSeed, at) => ({ ownSeed, maskKey: maskKeys[at]! }));
}

/** The shares that this member holds, by whose secrets they are. */
function heldShares(secrets: Secrets, inbox: Inbox, roster: Roster, index: number, session: Uint8Array): Map<number, Shares> {
  const held = new Map([[index, dealt(secrets, session, roster)[index - 1]!]]);
  for (const { index: sender, box } of inbox.sealed) {
    const address = { session, sender, receiver: index };
    const shares = unseal(agreedWith(memberOf(roster, sender), secrets), address, fromHex(box));
    if (shares) held.set(sender, shares);
  }
  return held;
}

/** What this member's seal key and another's agree on: to seal, and later to open. Goes when the session's secrets go. */
function agreedWith({ keys }: RosterMember, secrets: Secrets): Uint8Array {
  const known = AGREED.get(secrets) ?? new Map<string, Uint8Array>();
  AGREED.set(secrets, known);
  const agreed = known.get(keys.seal_key) ?? ciphers.agree(fromHex(secrets.seal_key), fromHex(keys.seal_key));
  known.set(keys.seal_key, agreed);
  return agreed;
}

/** Who has shared, ascending. A box from oneself is no box: the coordinator says who else is there. */
function sendersOf(inbox: Inbox, index: number): number[] {
  const others = inbox.sealed.map((one) => one.index);
  if (others.includes(index)) throw refused("the inbox has a box from this device to itself");
  return [...others, index].sort((a, b) => a - b);
}

function indicesOf(survivors: Survivors): number[] {
  return survivors.proofs.map((proof) => proof.index);
}

/** The roster, the own index in it, and the session's name as bytes and as text. */
function sessionOf(member: Member): { roster: Roster; index: number; session: Uint8Array; name: string } {
  const { roster, terms } = member;
  if (!roster) throw refused("a message came before the roster");
  const { index } = roster.members.find((one) => one.identity_key === terms.identityKey)!;
  const session = sessionName(roster, terms.work);
  return { roster, index, session, name: hex(session) };
}

function checkSession(name: string, own: string): void {
  if (name !== own) throw refused("a message is of another session");
}

/** Messages come from one reader, so that equal ones are equal as JSON. */
function once(known: object | undefined, message: object, what: string): void {
  if (known && JSON.stringify(known) !== JSON.stringify(message)) throw refused(`a second ${what} came in one session`);
}
