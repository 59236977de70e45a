/**
 * What a member asks of a roster before it sends anything, and of the messages after it. Every fault throws GroupRefused: the
 * turn ends, nothing more is sent, and the owner is told why. See the Python `fedrela.core.secure.roster`.
 */
import { GroupRefused } from "../core/errors.ts";
import { fromHex, isSigned } from "../core/signing.ts";
import * as ciphers from "./ciphers.ts";
import { checkCertificate } from "./fleet.ts";
import type { MaskedProof, Roster, RosterMember, SecureKeys } from "./messages.ts";
import { type Work, keysStatement, maskedStatement, sendersHash, threshold } from "./statements.ts";

/** What a device knows of its turn before it meets others: from the signed assignment, the task and its own link. */
export interface Terms {
  assignmentId: string;
  work: Work;
  population: string;
  identityKey: string; // the device's own, public
  smallestGroup: number; // the signed task's
  fleet?: string; // the fingerprint of the fleet's key, if the link named one
}

/** The end of a turn. */
export function refused(problem: string): GroupRefused {
  return new GroupRefused(problem, "nothing more is sent in this session; ask the operator what happened");
}

/** The device's own index in a roster that it may work with. Throws GroupRefused. */
export function checkRoster(roster: Roster, terms: Terms, ownKeys: SecureKeys): number {
  const { members } = roster;
  const count = members.length;
  if (count < terms.smallestGroup) throw refused(`the group has ${count} members, fewer than the task's ${terms.smallestGroup}`);
  if (roster.threshold < threshold(count) || roster.threshold > count)
    throw refused(`${roster.threshold} of ${count} members would be enough to open a secret`);
  if (!members.every(({ index }, at) => index === at + 1)) throw refused("the roster's members aren't numbered from 1 on");
  checkDistinct(members);
  const own = members.find((member) => member.identity_key === terms.identityKey);
  if (!own) throw refused("the roster leaves this device out");
  if (!isSame(own.keys, ownKeys) || own.assignment_id !== terms.assignmentId)
    throw refused("the roster has other keys of this device than it sent");
  for (const member of members) checkMember(member, terms);
  return own.index;
}

function isSame(one: SecureKeys, other: SecureKeys): boolean {
  return one.mask_key === other.mask_key && one.seal_key === other.seal_key && one.signature === other.signature;
}

/** One key twice is one device twice, or one that somebody has copied. */
function checkDistinct(members: readonly RosterMember[]): void {
  const values: [string, string[]][] = [
    ["identity key", members.map((member) => member.identity_key)],
    ["assignment", members.map((member) => member.assignment_id)],
    ["key", members.flatMap(({ keys }) => [keys.mask_key, keys.seal_key])],
  ];
  for (const [name, all] of values) if (new Set(all).size !== all.length) throw refused(`the roster has one ${name} twice`);
}

/** Its signature over the device's own work: whoever was given another model has signed something else. */
function checkMember({ index, assignment_id, identity_key, keys, certificate }: RosterMember, terms: Terms): void {
  if (!isSigned(identity_key, keysStatement(terms.work, assignment_id, keys.mask_key, keys.seal_key), keys.signature))
    throw refused(`member ${index} has not signed its keys for this device's task and weights`);
  for (const key of [keys.mask_key, keys.seal_key]) ciphers.checkAgreementKey(fromHex(key));
  if (terms.fleet !== undefined) checkCertificate(certificate, identity_key, terms.population, terms.fleet);
}

/** Throws GroupRefused unless enough members have shared, this one among them, and no stranger. */
export function checkSenders(senders: readonly number[], index: number, roster: Roster): void {
  checkKnown(senders, roster, "have shared");
  if (!senders.includes(index)) throw refused("the inbox leaves this device out");
}

/** Throws GroupRefused unless enough senders survive, this device among them, all masked for the same senders. */
export function checkSurvivors(proofs: readonly MaskedProof[], index: number, senders: readonly number[], roster: Roster): void {
  const survivors = proofs.map((proof) => proof.index);
  checkKnown(survivors, roster, "survive");
  if (!survivors.every((survivor) => senders.includes(survivor))) throw refused("the survivors are not all among the senders");
  if (!survivors.includes(index)) throw refused("the survivors leave this device out");
  for (const proof of proofs) checkProof(proof, sendersHash(senders), roster);
}

/** Throws GroupRefused unless a member signed that it masked for exactly these senders. */
function checkProof({ index, session, senders_sha256, words_sha256, signature }: MaskedProof, sendersSha: string, roster: Roster): void {
  if (senders_sha256 !== sendersSha) throw refused(`member ${index} masked for other senders`);
  if (!isSigned(memberOf(roster, index).identity_key, maskedStatement(session, senders_sha256, words_sha256), signature))
    throw refused(`member ${index} has not signed what it masked`);
}

/** The member of a roster with that number, once the roster and the number are checked. */
export function memberOf(roster: Roster, index: number): RosterMember {
  return roster.members[index - 1]!;
}

function checkKnown(indices: readonly number[], roster: Roster, what: string): void {
  if (!indices.every((index) => index <= roster.members.length)) throw refused("a message names a stranger");
  if (indices.length < roster.threshold) throw refused(`only ${indices.length} members ${what}, and ${roster.threshold} are needed`);
}
