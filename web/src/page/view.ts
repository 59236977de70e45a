/** What is seen of the device's work: the status, the one alert, progress and figures. */
import type { Totals } from "../device/account.ts";
import { byId, bytes, make } from "./dom.ts";

/** What the page as a whole is about to do, or asks for. */
export function say(text: string): void {
  byId("status").textContent = text;
}

/** What went wrong, read out at once by screen readers and brought into view; empty: nothing. */
export function alert(text: string): void {
  const box = byId("alert");
  const isNew = text !== box.textContent;
  box.hidden = !text;
  box.textContent = text;
  if (text && isNew) box.scrollIntoView({ block: "nearest" });
}

/** What the training is doing, and how much of it is done; null where that can't be told. */
export function doing(text: string, share: number | null = null): void {
  byId("doing").textContent = text;
  const bar = byId<HTMLProgressElement>("progress");
  bar.hidden = share === null;
  bar.value = share ?? 0;
}

export function figures(totals: Totals): void {
  const rows = { "Rounds taken part in": String(totals.rounds), Sent: bytes(totals.sentBytes), "Received, without this page": bytes(totals.receivedBytes) };
  byId("figures").replaceChildren(...Object.entries(rows).flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]));
}

/** The one button of the training; `over`: there is nothing to train now, so it asks for nothing either. */
export function trainButton(text: "Pause" | "Continue" | "Start", disabled: boolean, over: boolean): void {
  const button = byId<HTMLButtonElement>("pause");
  button.textContent = text;
  button.disabled = disabled;
  button.classList.toggle("main", !over);
}
