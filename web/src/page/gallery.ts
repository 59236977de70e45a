/** The owner's examples: one entry per class, with buttons to add from the gallery or the camera, and to remove. */
import { FedRelaError } from "../core/errors.ts";
import type { Manifest } from "../core/manifest.ts";
import { asClass, classifier, saidOf } from "../samples/classes.ts";
import { formOf } from "../device/examples.ts";
import type { Sample, Store } from "../device/store.ts";
import { DEMO_SHARDS, demoFits, demoShard } from "./demo.ts";
import { byId, make } from "./dom.ts";
import { type Loaded, fromFiles, pictureLayout, previewOf } from "./pictures.ts";
import { alert, say } from "./view.ts";
import { refusedSentence } from "./words.ts";

const SHOWN = 10; // thumbnails per class

export class Gallery {
  count = 0;

  constructor(
    private readonly store: Store,
    private readonly manifest: Manifest,
    private readonly changed: () => void,
    private readonly failed: (error: FedRelaError) => void,
  ) {}

  /** Draw the classes with what is kept, and put the focus on the first of some selectors that is there. */
  async render(...focus: string[]): Promise<void> {
    const samples = await this.store.samples(formOf(this.manifest));
    const classOf = classifier(this.manifest);
    const byClass = grouped(samples, classOf);
    const unsorted = byClass.get(undefined) ?? [];
    this.count = samples.length - unsorted.length;
    const picturesFit = pictureLayout(this.manifest) !== undefined;
    byId("data-note").textContent = picturesFit
      ? "Put pictures into the class they belong to. They are kept in this browser only. Press a picture to remove it."
      : "This model takes no pictures.";
    const entries = Array.from({ length: this.manifest.classes }, (_, label) => this.entry(label, byClass.get(label) ?? []));
    byId("classes").replaceChildren(...(await Promise.all(entries)));
    const questions = [...grouped(unsorted, saidOf)].map(([said, group]) => this.question(said, group));
    byId("unsorted").replaceChildren(...(await Promise.all(questions)));
    byId("demo").replaceChildren(...(demoFits(this.manifest) ? this.demoControls() : []));
    this.changed();
    const target = focus.map((selector) => document.querySelector<HTMLElement>(selector)).find(Boolean);
    target?.focus({ preventScroll: true });
  }

  private name(label: number): string {
    return this.manifest.class_names[label] ?? `Class ${label}`;
  }

  private async entry(label: number, samples: Sample[]): Promise<HTMLLIElement> {
    const title = make("h3", {}, `${this.name(label)}: ${samples.length}`);
    const item = make("li", {}, title);
    const pictures = make("div", { className: "pictures" });
    const name = this.name(label);
    for (const [place, sample] of samples.slice(0, SHOWN).entries()) pictures.append(await this.thumbnail(sample, place, name, entryOf(label)));
    if (samples.length > SHOWN) pictures.append(make("span", {}, `and ${samples.length - SHOWN} more`));
    if (samples.length) item.append(pictures);
    if (pictureLayout(this.manifest)) item.append(this.adder(label, "Add pictures", false), this.adder(label, "Take a photo", true));
    return item;
  }

  /** Examples that were sorted for another task: which class are they here? Until that is said they are not trained on. */
  private async question(said: string, samples: Sample[]): Promise<HTMLElement> {
    const title = make("h3", {}, `${said}: ${samples.length}`);
    const text = make("p", {}, "This task has no such class, so these examples are left out. Which class are they here?");
    const select = make("select", {});
    select.setAttribute("aria-label", `Class of ${said}`);
    for (let label = 0; label < this.manifest.classes; label++) select.append(make("option", { value: String(label) }, this.name(label)));
    const button = make("button", { type: "button" }, "Use them as this class");
    button.onclick = async () => {
      const label = Number(select.value);
      await this.store.putSamples(samples.map((sample) => asClass(sample, this.manifest, label)));
      await this.render(`${entryOf(label)} input`, entryOf(label));
      say(`${samples.length} examples are used as ${this.name(label)}.`);
    };
    const pictures = make("div", { className: "pictures" });
    for (const [place, sample] of samples.slice(0, SHOWN).entries()) pictures.append(await this.thumbnail(sample, place, said, "#unsorted"));
    return make("div", { className: "question" }, title, text, pictures, select, " ", button);
  }

  private async thumbnail(sample: Sample, place: number, name: string, own: string): Promise<HTMLButtonElement> {
    const blob = sample.preview ?? (await previewOf(sample, this.manifest));
    const image = make("img", { alt: "", width: 48, height: 48 });
    if (blob) {
      image.src = URL.createObjectURL(blob);
      image.onload = () => URL.revokeObjectURL(image.src);
    }
    const button = make("button", { type: "button", className: "picture" }, image);
    button.setAttribute("aria-label", `Remove this example of ${name}`);
    button.onclick = async () => {
      await this.store.removeSample(sample.id!);
      await this.render(`${own} .picture:nth-child(${place + 1})`, `${own} .picture:last-of-type`, `${own} input`);
      say(`Removed one example of ${name}.`);
    };
    return button;
  }

  private adder(label: number, text: string, camera: boolean): HTMLLabelElement {
    const input = make("input", { type: "file", accept: "image/*", multiple: !camera });
    if (camera) input.setAttribute("capture", "environment");
    input.setAttribute("aria-label", `${text}: ${this.name(label)}`);
    const load = (): Promise<Loaded> => fromFiles(input.files ?? [], label, this.manifest);
    input.onchange = () => void this.add(load, `${entryOf(label)} input${camera ? "[capture]" : ":not([capture])"}`);
    return make("label", { className: "file" }, text, input);
  }

  private demoControls(): (Node | string)[] {
    const select = make("select", { id: "demo-shard" });
    for (let number = 0; number < DEMO_SHARDS; number++) select.append(make("option", { value: String(number) }, `set ${number + 1} of ${DEMO_SHARDS}`));
    const button = make("button", { type: "button", id: "demo-add" }, "Use demo digits");
    const load = async (): Promise<Loaded> => ({ samples: await demoShard(Number(select.value), this.manifest), refused: [] });
    button.onclick = () => void this.add(load, "#demo-add");
    return [make("label", { htmlFor: "demo-shard" }, "No pictures at hand? Take ready-made handwritten digits: "), select, " ", button];
  }

  /** Keep what `load` gives, and say what it could not; the focus stays on the control that asked for it. */
  private async add(load: () => Promise<Loaded>, control: string): Promise<void> {
    try {
      const { samples, refused } = await load();
      await this.store.putSamples(samples);
      say(samples.length === 1 ? "Added one example." : samples.length ? `Added ${samples.length} examples.` : "");
      alert(refusedSentence(refused));
    } catch (error) {
      if (!(error instanceof FedRelaError)) throw error;
      this.failed(error);
    }
    await this.render(control);
  }
}

function grouped<K>(samples: Sample[], key: (sample: Sample) => K): Map<K, Sample[]> {
  const groups = new Map<K, Sample[]>();
  for (const sample of samples) groups.set(key(sample), [...(groups.get(key(sample)) ?? []), sample]);
  return groups;
}

function entryOf(label: number): string {
  return `#classes > li:nth-child(${label + 1})`;
}
