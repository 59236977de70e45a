/** Pictures that are added once more: the same values, whatever their files were called. */
import type { Sample } from "../device/store.ts";

export interface SortedOut {
  fresh: Sample[]; // to be kept: no equal one is in their class
  repeated: number; // left out: an equal one is there
  elsewhere: number; // of the fresh: an equal one is in another class
}

/** Compare what is added with what is kept, and with itself. `classOf`: undefined for a sample that is in no class. */
export function sortOut(kept: Sample[], added: Sample[], classOf: (sample: Sample) => number | undefined): SortedOut {
  const sorted: SortedOut = { fresh: [], repeated: 0, elsewhere: 0 };
  for (const sample of added) {
    const equals = [...kept, ...sorted.fresh].filter((other) => same(other, sample)).map(classOf);
    if (equals.includes(classOf(sample))) {
      sorted.repeated += 1;
      continue;
    }
    sorted.fresh.push(sample);
    if (equals.some((label) => label !== undefined)) sorted.elsewhere += 1;
  }
  return sorted;
}

function same(a: Sample, b: Sample): boolean {
  return a.form === b.form && a.data.length === b.data.length && a.data.every((value, at) => value === b.data[at]);
}
