/**
 * What members of a group and the coordinator say to each other: see the Python `fedrela.core.secure.messages`. Bytes are
 * lower-case hexadecimal; lists are by index, ascending, each index once. Readers are for what a device is told.
 */
import { characters, id, limited, listOf, matching, publicKey, realFrom, sha256, signature, wholeFrom } from "../core/limits.ts";
import { type Read, type Typed, choice, nullable, object, read, withDefault } from "../core/shape.ts";
import { KEY_BYTES, TAG_BYTES } from "./ciphers.ts";

export const SMALLEST_GROUP = 5;
export const LARGEST_GROUP = 64;

const hexadecimal = (bytes: number, what: string): Read<string> =>
  matching(`[0-9a-f]{${2 * bytes}}`, `${what} of ${2 * bytes} lower-case hexadecimal digits`);
const index = wholeFrom(1, LARGEST_GROUP);
const agreementKey = hexadecimal(KEY_BYTES, "an X25519 key");
const box = hexadecimal(2 * KEY_BYTES + TAG_BYTES, "two sealed shares");

/** Items of different members, the lowest index first. */
function byIndex<T extends { index: number }>(item: Read<T>, least = 0): Read<T[]> {
  const ascending = (items: T[]): boolean => items.every((one, at) => at === 0 || items[at - 1]!.index < one.index);
  return limited(listOf(item, least, LARGEST_GROUP), ascending, "list each member once, the lowest first");
}

const certificate = object({ fleet_key: publicKey, token_key: publicKey, fleet_signature: signature, token_signature: signature });
const secureKeys = object({ mask_key: agreementKey, seal_key: agreementKey, signature });
const rosterMember = object({
  index,
  assignment_id: id,
  identity_key: publicKey,
  keys: secureKeys,
  certificate: withDefault(nullable(certificate), null),
});
const roster = object({ threshold: index, members: byIndex(rosterMember, 1) });
const sealedShares = object({ index, box });
const inbox = object({ session: sha256, sealed: byIndex(sealedShares) });
const maskedProof = object({ index, session: sha256, senders_sha256: sha256, words_sha256: sha256, signature });
const survivors = object({ session: sha256, proofs: byIndex(maskedProof) });
const secureAgreement = object({ index, session: sha256, signature });
const agreements = object({ session: sha256, agreements: byIndex(secureAgreement) });
const step = object({
  step: choice("wait", "share", "mask", "agree", "reveal", "done", "again", "closed"),
  retry_after_seconds: withDefault(nullable(realFrom(0, 1e9)), null),
  roster: withDefault(nullable(roster), null),
  inbox: withDefault(nullable(inbox), null),
  survivors: withDefault(nullable(survivors), null),
  agreements: withDefault(nullable(agreements), null),
  reason: withDefault(nullable(characters(1, 100)), null),
});

export type Certificate = Typed<typeof certificate>;
export type SecureKeys = Typed<typeof secureKeys>;
export type RosterMember = Typed<typeof rosterMember>;
export type Roster = Typed<typeof roster>;
export type SealedShares = Typed<typeof sealedShares>;
export type Inbox = Typed<typeof inbox>;
export type MaskedProof = Typed<typeof maskedProof>;
export type Survivors = Typed<typeof survivors>;
export type SecureAgreement = Typed<typeof secureAgreement>;
export type Agreements = Typed<typeof agreements>;
export type SecureStep = Typed<typeof step>;

/** One box for each other member, and what tells the member's own seed when it is rebuilt. */
export interface SecureShares {
  session: string;
  commitment: string;
  sealed: SealedShares[];
}

/** A share of a secret of member `index`. */
export interface RevealedShare {
  index: number;
  share: string;
}

/** Shares of survivors' own seeds, and of the mask keys of members that vanished. No member is in both. */
export interface SecureReveal {
  session: string;
  own: RevealedShare[];
  pair: RevealedShare[];
}

export type SecureMessage = SecureKeys | SecureShares | SecureAgreement | SecureReveal;

/** The body of a request. */
export const secureMessage = (message: SecureMessage): Uint8Array => new TextEncoder().encode(JSON.stringify(message));

/** What each step holds beside its name; the steps that end a session hold a reason. */
const CONTENTS = { wait: "retry_after_seconds", share: "roster", mask: "inbox", agree: "survivors", reveal: "agreements" } as const;
const ENDED = "reason";

const oneStep = limited(
  step,
  (value) => {
    const content = value.step in CONTENTS ? CONTENTS[value.step as keyof typeof CONTENTS] : ENDED;
    return [...Object.values(CONTENTS), ENDED].every((name) => (value[name as keyof SecureStep] !== null) === (name === content));
  },
  "let a step hold what it needs, alone",
);

type Body = Uint8Array | string;
export const parseStep = (body: Body): SecureStep => read(oneStep, body);
export const parseRoster = (body: Body): Roster => read(roster, body);
export const parseInbox = (body: Body): Inbox => read(inbox, body);
export const parseSurvivors = (body: Body): Survivors => read(survivors, body);
export const parseAgreements = (body: Body): Agreements => read(agreements, body);
