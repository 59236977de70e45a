/** What is asked of a device that has joined, and its examples: looked up, shown, and where no task is open looked up again. */
import { FedRelaError } from "../core/errors.ts";
import { loadIdentity } from "../device/identity.ts";
import { type Fault, faultOf } from "../device/protocol.ts";
import type { Store } from "../device/store.ts";
import { describe, pageSizes } from "./consent.ts";
import { byId } from "./dom.ts";
import { Gallery } from "./gallery.ts";
import { type Offer, fetchOffers, obstacle } from "./offer.ts";

export const RETRY_OFFER_SECONDS = 10;

/** What the page as a whole does with it. */
interface Listener {
  isRunning: () => boolean;
  counted: () => void; // the examples that can be trained on
  failed: (fault: Fault) => void;
  reached: () => unknown; // the server has answered
}

export class Asked {
  open = false; // a task is, that this page can take part in
  private told = false; // the server has said which tasks are open
  private over = false;
  private gallery: Gallery | undefined;
  private looking: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly store: Store,
    private readonly page: Listener,
  ) {}

  /** How many examples can be trained on. */
  get examples(): number {
    return this.gallery?.count ?? 0;
  }

  async renderExamples(): Promise<void> {
    await this.gallery?.render();
  }

  /** Look what is asked now; `again`: what is shown changes only where there is something new. */
  async look(again = false): Promise<void> {
    clearTimeout(this.looking);
    const identity = await loadIdentity(this.store);
    const offers = identity && (await this.offers(identity));
    if (this.over || !identity) return;
    const possible = offers?.find((offer) => !obstacle(offer));
    if (!possible) this.later();
    if (again && !possible && Boolean(offers) === this.told) return;
    this.told = Boolean(offers);
    this.open = possible !== undefined;
    byId("consent-again").replaceChildren(describe(offers, await pageSizes(), { inFleet: Boolean(identity.fleet), joined: true }));
    byId("share-totals-choice").hidden = !offers?.some((offer) => offer.task.local_evaluation);
    this.gallery = new Gallery(this.store, possible?.manifest, this.page.counted, (error) => this.page.failed(faultOf(error)));
    await this.gallery.render();
  }

  /** Look no more: the device is leaving. */
  end(): void {
    this.over = true;
    clearTimeout(this.looking);
  }

  /** A device at work hears of a new task by being given it, and needs not ask. */
  private later(): void {
    this.looking = setTimeout(() => void (this.page.isRunning() ? this.later() : this.look(true)), 1000 * RETRY_OFFER_SECONDS);
  }

  /** The open tasks; undefined where the server does not tell them. */
  private async offers(identity: Parameters<typeof fetchOffers>[0]): Promise<Offer[] | undefined> {
    try {
      const offers = await fetchOffers(identity);
      this.page.reached();
      return offers;
    } catch (error) {
      if (!(error instanceof FedRelaError)) throw error;
      if (!this.over) this.page.failed(faultOf(error));
      return undefined;
    }
  }
}
