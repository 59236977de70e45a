/** Whole rounds of the vectors' models on WebAssembly; a model that a page can't feed is refused, and as nothing else. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { NotEligible } from "../../../web/src/core/errors.ts";
import { verifyGolden } from "../../../web/src/core/golden.ts";
import { parseManifest } from "../../../web/src/core/manifest.ts";
import { fromHex } from "../../../web/src/core/signing.ts";
import { parseTask } from "../../../web/src/core/task.ts";
import { parse } from "../../../web/src/core/tensors.ts";
import { exampleInput, unfit } from "../../../web/src/device/examples.ts";
import { type LocalRound, change, generationOf, relabel, train } from "../../../web/src/device/local-round.ts";
import { file, vectors } from "./vectors.ts";
import { assertUpdate, openModel, wholeNumbers } from "./whole-round.ts";

const document = vectors("models/models.json");
const trains = (model: { outcomes: { page: string } }): boolean => model.outcomes.page === "trains";

for (const model of document.filter((item: any) => item.outcomes.page === "not-eligible"))
  test(`${model.name}: this page takes no part`, () => {
    const manifest = parseManifest(file(`models/${model.manifest}`));
    assert.notEqual(unfit(manifest), "");
    assert.throws(() => exampleInput(manifest), NotEligible);
  });

for (const model of document.filter(trains)) {
  const opened = await openModel(model.name);
  const { manifest, engine, weights, examples } = opened;

  test(`${model.name}: the golden steps pass`, async () => {
    const recorded = parse(file(`models/${model.name}/bundle/golden.safetensors`)).tensors;
    await verifyGolden(manifest, recorded, (program, fed) => engine.run(program, fed));
  });

  for (const item of model.cases)
    test(`${model.name}: ${item.name}`, async () => {
      const local: LocalRound = { task: parseTask(item.task), round: item.round, secret: fromHex(item.secret) };
      const expected = parse(file(`models/${model.name}/${item.name}.safetensors`)).tensors;
      const labels = generationOf(local) ? await relabel(engine, local, weights, examples) : examples.labels;
      assert.deepEqual(labels, wholeNumbers(expected, "labels"));
      let state = engine.start(weights);
      for await (const step of train(engine, local, weights, examples, labels, state, 0)) ({ state } = step);
      assertUpdate(weights, expected, change(state, weights));
    });
}
