/**
 * The owner's examples: one entry per class of the open task, with buttons to add from the gallery or the camera, and to
 * remove. What no open task takes is shown all the same, by what its owner has said of it: it is kept, so it can be removed.
 */
import { FedRelaError } from "../core/errors.ts";
import type { Manifest } from "../core/manifest.ts";
import { asClass, classifier, saidOf } from "../samples/classes.ts";
import { sortOut } from "../samples/duplicates.ts";
import { formOf } from "../device/examples.ts";
import type { Sample, Store } from "../device/store.ts";
import { DEMO_SHARDS, demoFits, demoShard } from "./demo.ts";
import { byId, make } from "./dom.ts";
import { type Loaded, fromFiles, pictureLayout, previewOf } from "./pictures.ts";
import { alert, say } from "./view.ts";
import { addedSentence, refusedSentence } from "./words.ts";

const SHOWN = 10; // thumbnails per class

export class Gallery {
  count = 0;

  constructor(
    private readonly store: Store,
    private readonly manifest: Manifest | undefined, // of the open task
    private readonly changed: () => void,
    private readonly failed: (error: FedRelaError) => void,
  ) {}

  /** Draw the classes with what is kept, and put the focus on the first of some selectors that is there. */
  async render(...focus: string[]): Promise<void> {
    const samples = await this.store.allSamples();
    const form = this.manifest && formOf(this.manifest);
    const others = samples.filter((sample) => sample.form !== form);
    byId("data-note").textContent = noteOf(this.manifest, samples.length);
    this.count = this.manifest ? await this.sorted(this.manifest, samples.filter((sample) => sample.form === form)) : samples.length;
    byId("kept").replaceChildren(...(await this.others(others)));
    this.changed();
    const target = focus.map((selector) => document.querySelector<HTMLElement>(selector)).find(Boolean);
    target?.focus({ preventScroll: true });
  }

  /** Draw what the open task takes; how many of these are of its classes. */
  private async sorted(manifest: Manifest, samples: Sample[]): Promise<number> {
    const byClass = grouped(samples, classifier(manifest));
    const unsorted = byClass.get(undefined) ?? [];
    const entries = Array.from({ length: manifest.classes }, (_, label) => this.entry(manifest, label, byClass.get(label) ?? []));
    byId("classes").replaceChildren(...(await Promise.all(entries)));
    const questions = [...grouped(unsorted, saidOf)].map(([said, group]) => this.question(manifest, said, group));
    byId("unsorted").replaceChildren(...(await Promise.all(questions)));
    byId("demo").replaceChildren(...(demoFits(manifest) ? this.demoControls(manifest) : []));
    return samples.length - unsorted.length;
  }

  /** What no open task takes, by what was said of it. */
  private async others(samples: Sample[]): Promise<HTMLElement[]> {
    if (!this.manifest) for (const part of ["classes", "unsorted", "demo"]) byId(part).replaceChildren();
    const groups = [...grouped(samples, saidOf)].map(async ([said, group], at) => {
      const own = `#kept > div:nth-of-type(${at + 1})`;
      const removal = make("button", { type: "button" }, "Remove all of these");
      removal.setAttribute("aria-label", `Remove all examples of ${said}`);
      removal.onclick = () => confirm(`Remove all ${group.length} examples of ${said}?`) && void this.remove(group, said, own, "#kept button");
      return make("div", { className: "question" }, make("h3", {}, `${said}: ${group.length}`), await this.pictures(group, said, own), removal);
    });
    const boxes = await Promise.all(groups);
    return this.manifest && boxes.length ? [make("p", {}, "Kept from other tasks. The model of this one can't take them:"), ...boxes] : boxes;
  }

  /** A group's first pictures; one that is pressed goes. `own`: where the group is on the page. */
  private async pictures(samples: Sample[], name: string, own: string): Promise<HTMLElement> {
    const pictures = make("div", { className: "pictures" });
    for (const [place, sample] of samples.slice(0, SHOWN).entries()) pictures.append(await this.thumbnail(sample, place, name, own));
    if (samples.length > SHOWN) pictures.append(make("span", {}, `and ${samples.length - SHOWN} more`));
    return pictures;
  }

  private async entry(manifest: Manifest, label: number, samples: Sample[]): Promise<HTMLLIElement> {
    const name = nameOf(manifest, label);
    const item = make("li", {}, make("h3", {}, `${name}: ${samples.length}`));
    if (samples.length) item.append(await this.pictures(samples, name, entryOf(label)));
    if (pictureLayout(manifest)) item.append(this.adder(manifest, label, "Add pictures", false), this.adder(manifest, label, "Take a photo", true));
    return item;
  }

  /** Examples that were sorted for another task: which class are they here? Until that is said they are not trained on. */
  private async question(manifest: Manifest, said: string, samples: Sample[]): Promise<HTMLElement> {
    const title = make("h3", {}, `${said}: ${samples.length}`);
    const text = make("p", {}, "This task has no such class, so these examples are left out. Which class are they here?");
    const select = make("select", {});
    select.setAttribute("aria-label", `Class of ${said}`);
    for (let label = 0; label < manifest.classes; label++) select.append(make("option", { value: String(label) }, nameOf(manifest, label)));
    const button = make("button", { type: "button" }, "Use them as this class");
    button.onclick = async () => {
      const label = Number(select.value);
      await this.store.putSamples(samples.map((sample) => asClass(sample, manifest, label)));
      await this.render(`${entryOf(label)} input`, entryOf(label));
      say(`${samples.length} examples are used as ${nameOf(manifest, label)}.`);
    };
    return make("div", { className: "question" }, title, text, await this.pictures(samples, said, "#unsorted"), select, " ", button);
  }

  private async thumbnail(sample: Sample, place: number, name: string, own: string): Promise<HTMLButtonElement> {
    const blob = sample.preview ?? (await previewOf(sample));
    const image = make("img", { alt: "", width: 48, height: 48 });
    if (blob) {
      image.src = URL.createObjectURL(blob);
      image.onload = () => URL.revokeObjectURL(image.src);
    }
    const button = make("button", { type: "button", className: "picture" }, image);
    button.setAttribute("aria-label", `Remove this example of ${name}`);
    button.onclick = () =>
      void this.remove([sample], name, `${own} .picture:nth-child(${place + 1})`, `${own} .picture:last-of-type`, `${own} input`, "#kept .picture");
    return button;
  }

  private async remove(samples: Sample[], name: string, ...focus: string[]): Promise<void> {
    await this.store.removeSamples(samples);
    await this.render(...focus);
    say(samples.length === 1 ? `Removed one example of ${name}.` : `Removed ${samples.length} examples of ${name}.`);
  }

  private adder(manifest: Manifest, label: number, text: string, camera: boolean): HTMLLabelElement {
    const input = make("input", { type: "file", accept: "image/*", multiple: !camera });
    if (camera) input.setAttribute("capture", "environment");
    input.setAttribute("aria-label", `${text}: ${nameOf(manifest, label)}`);
    const load = (): Promise<Loaded> => fromFiles(input.files ?? [], label, manifest);
    input.onchange = () => void this.add(manifest, load, `${entryOf(label)} input${camera ? "[capture]" : ":not([capture])"}`);
    return make("label", { className: "file" }, text, input);
  }

  private demoControls(manifest: Manifest): (Node | string)[] {
    const select = make("select", { id: "demo-shard" });
    for (let number = 0; number < DEMO_SHARDS; number++) select.append(make("option", { value: String(number) }, `set ${number + 1} of ${DEMO_SHARDS}`));
    const button = make("button", { type: "button", id: "demo-add" }, "Use demo digits");
    const load = async (): Promise<Loaded> => ({ samples: await demoShard(Number(select.value), manifest), refused: [] });
    button.onclick = () => void this.add(manifest, load, "#demo-add");
    return [make("label", { htmlFor: "demo-shard" }, "No pictures at hand? Take ready-made handwritten digits: "), select, " ", button];
  }

  /** Keep what `load` gives, and say what it could not; the focus stays on the control that asked for it. */
  private async add(manifest: Manifest, load: () => Promise<Loaded>, control: string): Promise<void> {
    try {
      const { samples, refused } = await load();
      const sorted = sortOut(await this.store.samples(formOf(manifest)), samples, classifier(manifest));
      await this.store.putSamples(sorted.fresh);
      await this.render(control); // before it is said, so that what is said is there to see
      say(addedSentence(sorted));
      alert(refusedSentence(refused));
    } catch (error) {
      if (!(error instanceof FedRelaError)) throw error;
      this.failed(error);
      await this.render(control);
    }
  }
}

function grouped<K>(samples: Sample[], key: (sample: Sample) => K): Map<K, Sample[]> {
  const groups = new Map<K, Sample[]>();
  for (const sample of samples) groups.set(key(sample), [...(groups.get(key(sample)) ?? []), sample]);
  return groups;
}

function noteOf(manifest: Manifest | undefined, kept: number): string {
  const use = "They are kept in this browser only. Press a picture to remove it.";
  if (!manifest) return `${kept ? `${use} ` : ""}When a task begins, you can add examples here.`;
  return pictureLayout(manifest) ? `Put pictures into the class they belong to. ${use}` : "This model takes no pictures.";
}

function nameOf(manifest: Manifest, label: number): string {
  return manifest.class_names[label] ?? `Class ${label}`;
}

function entryOf(label: number): string {
  return `#classes > li:nth-child(${label + 1})`;
}
