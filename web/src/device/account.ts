/** What this device has sent, kept for its owner's eyes alone: totals, and the last requests. */
import { type Store, jsonBytes } from "./store.ts";
import type { SentRequest, Transport } from "./transport.ts";

const KEPT_REQUESTS = 20;

export interface Totals {
  rounds: number;
  sentBytes: number;
  receivedBytes: number;
}

export async function totalsOf(store: Store): Promise<Totals> {
  return (await store.getJson<Totals>("totals")) ?? { rounds: 0, sentBytes: 0, receivedBytes: 0 };
}

/** The last requests, the oldest first. */
export async function lastRequests(store: Store): Promise<SentRequest[]> {
  return (await store.getJson<SentRequest[]>("sent")) ?? [];
}

/** Add what a transport has sent and received since the last time, and so many rounds. */
export async function account(store: Store, transport: Transport, rounds = 0): Promise<void> {
  const [totals, last] = [await totalsOf(store), await lastRequests(store)];
  const sum: Totals = {
    rounds: totals.rounds + rounds,
    sentBytes: totals.sentBytes + transport.sentBytes,
    receivedBytes: totals.receivedBytes + transport.receivedBytes,
  };
  const requests = [...last, ...transport.requests].slice(-KEPT_REQUESTS);
  transport.sentBytes = transport.receivedBytes = 0;
  transport.requests = [];
  await store.putAll([
    ["totals", jsonBytes(sum)],
    ["sent", jsonBytes(requests)],
  ]);
}
