/**
 * What a sample is: words, since a class's place in one model's order says nothing of another model. A sample keeps the
 * word of every task for which its owner said so; where no word is a class of a model, or two are, the owner is asked.
 */
import type { Manifest } from "../core/manifest.ts";
import type { Sample } from "../device/store.ts";

/** A class in words that mean the same in every task: its declared name, or the model's own name and the number. */
export function wordOf(manifest: Manifest, number: number): string {
  const { name, class_names } = manifest;
  return (class_names[number] ?? `class ${number} of the model “${name}”`).normalize("NFC");
}

/** The class of a model that a sample is; undefined where that would be a guess. */
export function classifier(manifest: Manifest): (sample: Sample) => number | undefined {
  const numbers = new Map(Array.from({ length: manifest.classes }, (_, number) => [wordOf(manifest, number), number]));
  return (sample) => {
    const found = new Set((sample.words ?? []).flatMap((word) => numbers.get(word) ?? []));
    return found.size === 1 ? [...found][0] : undefined;
  };
}

/** What its owner has said of a sample so far, to ask with. */
export function saidOf(sample: Sample): string {
  if (sample.words?.length) return sample.words.map((word) => `“${word}”`).join(" or ");
  return `class ${sample.label} of an earlier task`;
}

/** The sample, known to be a class of a model, whatever was said of it for that model before. */
export function asClass(sample: Sample, manifest: Manifest, number: number): Sample {
  const words = Array.from({ length: manifest.classes }, (_, each) => wordOf(manifest, each));
  const others = (sample.words ?? []).filter((word) => !words.includes(word));
  return { ...sample, words: [...others, words[number]!] };
}
