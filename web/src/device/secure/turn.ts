/**
 * A device's turn in a group: keys, shares, the masked update, its word on who is left, the shares it reveals. What the
 * coordinator says is checked by `member.ts`: a lie throws GroupRefused, and nothing more is sent. Read `takePart` first.
 */
import { Refused } from "../../core/errors.ts";
import type { Task } from "../../core/task.ts";
import type { Assignment } from "../../core/wire.ts";
import { publicKeyOf } from "../../core/signing.ts";
import { type Member, agree, mask, offer, reveal, share } from "../../secure/member.ts";
import type { Agreements, Inbox, Roster, SecureStep, Survivors } from "../../secure/messages.ts";
import type { Terms } from "../../secure/roster.ts";
import type { Api } from "../api.ts";
import type { Identity } from "../identity.ts";
import type { Store } from "../store.ts";
import type { World } from "../work.ts";
import { drawnSecrets, keepMasked, keepSession, keptSession } from "./kept.ts";

const PAUSE_SECONDS = 1; // before new keys, and where the coordinator repeats itself
const LONGEST_PAUSE_SECONDS = 60; // between two questions, whatever the coordinator says
const GLANCE_SECONDS = 0.5; // how soon a wait notices that the owner stopped it
const OUT_OF_TURN = "out-of-turn"; // the group has gone on meanwhile; its next step says how

export interface Turn {
  api: Api;
  store: Store;
  identity: Identity;
  world: World;
  assignment: Assignment;
  task: Task;
}

export type Ending = { step: "done" | "closed"; reason: string };

/** Take part until the group's end; undefined where the owner stopped it, and the turn goes on later. Throws GroupRefused. */
export async function takePart(turn: Turn, vector: Int32Array): Promise<Ending | undefined> {
  let member = (await keptSession(turn.store)) ?? (await newSession(turn));
  if (!member.roster) await turn.api.secure(turn.assignment, "keys", member.keys);
  let answered = "";
  while (!turn.world.stopped()) {
    const step = await turn.api.secureStep(turn.assignment);
    if (step.step === "done" || step.step === "closed") return { step: step.step, reason: step.reason! };
    if (step.step === "again") {
      await paused(turn, PAUSE_SECONDS);
      member = await newSession(turn);
      await turn.api.secure(turn.assignment, "keys", member.keys);
    } else if (step.step === "wait" || JSON.stringify(step) === answered) {
      tell(turn, "grouping");
      await paused(turn, Math.min(step.retry_after_seconds ?? PAUSE_SECONDS, LONGEST_PAUSE_SECONDS));
      answered = "";
    } else {
      member = await answer(turn, member, step, vector);
      answered = JSON.stringify(step);
    }
  }
  return undefined;
}

/** New keys, for a group that is yet to come together. */
async function newSession(turn: Turn): Promise<Member> {
  const member = offer(termsOf(turn), drawnSecrets(), turn.identity.private_key);
  await keepSession(turn.store, member);
  tell(turn, "grouping");
  return member;
}

function termsOf({ assignment, identity, task }: Turn): Terms {
  const { assignment_id, task_sha256, manifest_sha256, checkpoint_sha256, round, clip_millionths } = assignment;
  return {
    assignmentId: assignment_id,
    work: { task_sha256, manifest_sha256, checkpoint_sha256, round, clip_millionths },
    population: identity.population,
    identityKey: publicKeyOf(identity.private_key),
    smallestGroup: task.privacy.group_minimum,
    ...(identity.fleet ? { fleet: identity.fleet } : {}),
  };
}

/** Check what the coordinator says, keep what follows from it, then send. */
async function answer(turn: Turn, member: Member, step: SecureStep, vector: Int32Array): Promise<Member> {
  try {
    if (step.roster) return await shareOut(turn, member, step.roster);
    if (step.inbox) return await sendMasked(turn, member, step.inbox, vector);
    if (step.survivors) return await signSurvivors(turn, member, step.survivors);
    return await revealShares(turn, member, step.agreements!);
  } catch (error) {
    if (!(error instanceof Refused && error.code === OUT_OF_TURN)) throw error;
    return (await keptSession(turn.store))!;
  }
}

async function shareOut({ api, store, assignment }: Turn, member: Member, roster: Roster): Promise<Member> {
  const next = share(member, roster);
  await keepSession(store, next.member);
  await api.secure(assignment, "shares", next.shares);
  return next.member;
}

async function sendMasked(turn: Turn, member: Member, inbox: Inbox, vector: Int32Array): Promise<Member> {
  const { api, store, assignment, identity } = turn;
  tell(turn, "uploading");
  const next = mask(member, inbox, vector, identity.private_key);
  if (!member.wordsSha) await keepMasked(store, next.member, assignment);
  await api.update(assignment, next.body);
  return next.member;
}

async function signSurvivors({ api, store, assignment, identity }: Turn, member: Member, survivors: Survivors): Promise<Member> {
  const next = agree(member, survivors, identity.private_key);
  await keepSession(store, next.member);
  await api.secure(assignment, "agreement", next.agreement);
  return next.member;
}

async function revealShares({ api, store, assignment }: Turn, member: Member, agreements: Agreements): Promise<Member> {
  const next = reveal(member, agreements);
  await keepSession(store, next.member);
  await api.secure(assignment, "reveal", next.revealed);
  return next.member;
}

function tell({ world, assignment, task }: Turn, kind: "grouping" | "uploading"): void {
  world.tell({ kind, round: assignment.round, rounds: task.rounds });
}

async function paused({ world }: Turn, seconds: number): Promise<void> {
  const until = Date.now() + 1000 * seconds;
  while (!world.stopped() && Date.now() < until)
    await new Promise((resolve) => setTimeout(resolve, Math.min(until - Date.now(), 1000 * GLANCE_SECONDS)));
}
