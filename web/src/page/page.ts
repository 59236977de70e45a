/**
 * The page's states and the owner's wishes. It asks, shows, and passes wishes to the worker.
 *
 *     no link and not enrolled -> "open your link"        link, not enrolled -> consent
 *     enrolled, no examples    -> add examples            enrolled, examples -> training, or paused
 */
import { FedRelaError, InvalidInput, Refused } from "../core/errors.ts";
import { parseFragment } from "../core/links.ts";
import { type Totals, totalsOf } from "../device/account.ts";
import type { Outcome } from "../device/client.ts";
import { loadIdentity } from "../device/identity.ts";
import { type Command, type Fault, type Report, faultOf } from "../device/protocol.ts";
import type { Store } from "../device/store.ts";
import type { Progress } from "../device/work.ts";
import { Asked, RETRY_OFFER_SECONDS } from "./asked.ts";
import { Choices } from "./choices.ts";
import { describe, pageSizes } from "./consent.ts";
import { byId, show } from "./dom.ts";
import { forgetPage, keepPage } from "./leaving.ts";
import { fetchOffers, obstacle } from "./offer.ts";
import { WakeLock, watchConditions } from "./sensors.ts";
import { showSent } from "./sent.ts";
import { alert, doing, figures, say, trainButton } from "./view.ts";
import { droppedSentence, goneSentence, processorSentence, progressSentence, sentence, standingSentence, waitSentence } from "./words.ts";

export class Page {
  private readonly wakeLock = new WakeLock();
  private readonly choices: Choices;
  private readonly asked: Asked;
  private running = false;
  private began = false;
  private finished = false;
  private ofChoices = false; // the notice that is shown
  private declined = false;
  private over = false;
  private unreached = false; // so says the notice that is shown

  constructor(
    private readonly store: Store,
    private readonly send: (command: Command) => void,
    private link: string,
  ) {
    this.choices = new Choices(store, send, () => this.ofChoices && this.notice(""));
    this.asked = new Asked(store, {
      isRunning: () => this.running,
      counted: () => this.counted(),
      failed: (fault) => this.notice(sentence(fault), { unreached: fault.kind === "Unavailable" }),
      reached: () => this.unreached && this.notice(""),
    });
  }

  /** Begin: the worker has the device's lock. */
  async start(): Promise<void> {
    say("");
    await this.choices.load();
    this.wire();
    await watchConditions((conditions) => this.choices.see(conditions));
    if (await loadIdentity(this.store)) await this.enrolled();
    else if (this.link) await this.welcome();
    else say("Open the link, or scan the code, that the operator gave you.");
  }

  async heard(report: Report): Promise<void> {
    if (this.over) return;
    if (report.kind === "ready") await this.start();
    else if (report.kind === "locked") say("This page is open in another tab, which does the work. Close one of the two.");
    else if (report.kind === "enrolled") await this.joined();
    else if (report.kind === "progress") this.progress(report.progress);
    else if (report.kind === "fault") this.fault(report.fault, report.during);
    else if (report.kind === "paused") this.stopped();
    else if (report.kind === "processor") byId("processor").textContent = processorSentence(report.choice, report.threads);
    else if (report.kind === "left") await this.gone(report.toldCoordinator);
    else await this.ended(report.outcome, report.totals);
  }

  /** Something failed: say it, and offer what can be tried again. */
  fault(fault: Fault, during: Command["do"]): void {
    byId<HTMLButtonElement>("join").disabled = false;
    if (during === "run" && fault.kind !== "Unavailable") this.running = false;
    this.button();
    say("");
    this.notice(sentence(fault), { unreached: fault.kind === "Unavailable" });
    doing(this.running ? "Waiting for the connection…" : this.standing());
  }

  private async welcome(): Promise<void> {
    say("Looking up what you are asked to do…");
    try {
      const link = parseFragment(this.link);
      const offers = await fetchOffers(link);
      byId("offer").replaceChildren(describe(offers, await pageSizes(), { inFleet: Boolean(link.fleet), joined: false }));
      const possible = !offers.length || offers.some((offer) => !obstacle(offer));
      for (const answer of ["join", "decline"]) byId(answer).hidden = !possible;
      say(possible ? "" : "This page can't take part here, so there is nothing to join. Nothing was sent from this device.");
      this.notice("");
      show("welcome");
    } catch (error) {
      if (!(error instanceof FedRelaError)) throw error;
      this.fault(faultOf(error), "enroll");
      if (!(error instanceof Refused || error instanceof InvalidInput)) setTimeout(() => void this.welcome(), 1000 * RETRY_OFFER_SECONDS);
    }
  }

  private async joined(): Promise<void> {
    say("");
    this.link = "";
    void navigator.storage?.persist?.(); // a browser may ask its owner, who need not answer
    await this.enrolled();
  }

  private async enrolled(): Promise<void> {
    history.replaceState(null, "", location.pathname); // the secret has done its work
    keepPage();
    figures(await totalsOf(this.store));
    await showSent(this.store);
    show("training", "data", "choices", "leaving", "details");
    await this.asked.look();
    if (!this.choices.paused && this.asked.examples) await this.run();
  }

  private wire(): void {
    byId("join").onclick = () => {
      byId<HTMLButtonElement>("join").disabled = true;
      say("Joining…");
      this.send({ do: "enroll", link: this.link });
    };
    byId("decline").onclick = () => {
      this.link = "";
      this.declined = true;
      history.replaceState(null, "", location.pathname); // with its secret
      show();
      this.send({ do: "leave" });
    };
    byId("pause").onclick = () => void (this.running ? this.pause() : this.run());
    byId("leave").onclick = () => {
      if (confirm("Delete all your examples and keys from this browser, and leave?")) this.send({ do: "leave" });
    };
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "hidden") this.send({ do: "save" });
    });
  }

  private async run(): Promise<void> {
    this.running = this.began = true;
    this.notice("");
    say("");
    this.send({ do: "run" });
    this.button();
    doing("Asking for work…");
    await this.choices.pause(false);
    this.button();
  }

  private async pause(): Promise<void> {
    this.send({ do: "pause" });
    doing("Pausing after this step…");
    await this.choices.pause(true);
  }

  private stopped(): void {
    this.running = false;
    this.wakeLock.want(false);
    this.button();
    doing(this.standing());
  }

  private async ended(outcome: Outcome, totals: Totals): Promise<void> {
    figures(totals);
    const before = this.finished;
    this.finished = outcome.kind === "waiting" && outcome.reason === "finished";
    this.button();
    this.wakeLock.want(this.running && outcome.kind !== "waiting");
    if (outcome.kind === "waiting") {
      doing(waitSentence(outcome));
      if (this.finished && !before) await this.asked.look();
    } else if (outcome.kind === "uploaded") {
      this.notice("");
      doing(`Round ${outcome.round} is done: your change was sent.`, 1);
    } else if (outcome.kind === "summed") {
      this.notice("");
      doing(`Round ${outcome.round} is done: your change is in the sum of its group.`, 1);
    } else if (outcome.kind === "dropped") {
      this.notice(droppedSentence(outcome), { ofChoices: ["choice", "conditions"].includes(outcome.code) });
      doing("The page asks for work again by itself.");
      if (outcome.code === "not-eligible") await this.asked.renderExamples();
    }
    await showSent(this.store); // last: what is reported meanwhile is newer than this
  }

  private progress(progress: Progress): void {
    if (progress.kind !== "held") this.wakeLock.want(progress.kind !== "checking-in");
    if (progress.kind === "preparing" && !this.asked.open) void this.asked.look();
    doing(progressSentence(progress), progress.kind === "step" ? progress.step / progress.steps : null);
  }

  private async gone(toldCoordinator: boolean): Promise<void> {
    this.over = true;
    this.asked.end();
    this.wakeLock.want(false);
    show();
    this.notice("");
    say("Deleting…");
    say(goneSentence(this.declined, toldCoordinator, await forgetPage(this.store)));
  }

  /** What went wrong, empty: nothing; and what ends it: that the owner chooses anew, or that the server answers. */
  private notice(text: string, { ofChoices = false, unreached = false } = {}): void {
    this.ofChoices = ofChoices;
    this.unreached = unreached;
    alert(text);
  }

  private counted(): void {
    this.button();
    if (!this.running) doing(this.standing());
  }

  private standing(): string {
    const { open, examples } = this.asked;
    return standingSentence({ examples, open, paused: this.choices.paused, began: this.began });
  }

  private button(): void {
    const text = this.running ? "Pause" : this.choices.paused ? "Continue" : "Start";
    trainButton(text, !this.running && !this.asked.examples, this.running && this.finished);
  }
}
