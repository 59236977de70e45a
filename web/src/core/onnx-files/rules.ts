/**
 * What an ONNX file may hold, looked at before the runtime reads it: no data of other files, no functions, no foreign
 * operators or attributes, no endless loops, and no field that the exporter doesn't write. See the Python
 * `fedrela.core.onnx_files.rules`; both are held together by the conformance vectors.
 */
import { InvalidInput } from "../errors.ts";
import { LARGEST_DIMENSION, MOST_DIMENSIONS, MOST_ELEMENTS } from "../tensors.ts";
import { DELIMITED, type Field, VARINT, fields, varints } from "./fields.ts";
import { ATTRIBUTE, GRAPH, INT64, ITEM_BYTES, MODEL, NODE, OPSET, type Part, TENSOR } from "./format.ts";
import { ATTRIBUTES, OPSETS } from "./operators.ts";

export const MOST_OPERATORS = 50_000;
export const MOST_FIELDS = 250_000; // of all messages in it, some read twice
export const MOST_DEPTH = 8; // of graphs within graphs
export const MOST_PASSES = 100_000; // of one loop, those of the loops around it multiplied in

/** Throws InvalidInput, naming what was found, unless `program` is an ONNX model that any device may load. */
export function checkProgram(program: Uint8Array, name: string): void {
  new Rules(name).model(program);
}

/** Whole numbers that are constants, by name, for the bounds of loops: of a graph, and of those around it. */
class Constants {
  private readonly own = new Map<string, bigint | null>();

  constructor(private readonly outer?: Constants) {}

  get(name: string): bigint | null {
    const value = this.own.get(name);
    return value === undefined ? (this.outer?.get(name) ?? null) : value;
  }

  set(name: string, value: bigint | null): void {
    this.own.set(name, value);
  }
}

interface Named {
  field: string;
  wire: number;
  value: number;
  exact: bigint;
  content: Uint8Array;
}

/** One program under inspection; operators and fields are counted over all of its graphs. */
class Rules {
  private operators = 0;
  private fields = 0;

  constructor(private readonly name: string) {}

  model(body: Uint8Array): void {
    const graphs = [...this.contents(body, MODEL, "graph")];
    this.require(graphs.length === 1, `${graphs.length} graphs`);
    const opsets = [...this.contents(body, MODEL, "opset_import")];
    this.require(opsets.length === 1, `${opsets.length} sets of operators`);
    let domain = "";
    let version = 0;
    for (const { field, value, content } of this.read(opsets[0]!, OPSET)) {
      if (field === "domain") domain = this.text(content);
      else version = value;
    }
    this.require(domain === "" && version >= OPSETS[0] && version <= OPSETS[1], `operators of '${domain}', version ${version}`);
    this.graph(graphs[0]!, undefined, 1, 1n);
  }

  /** `passes`: how often the loops around run this graph, at most. */
  private graph(body: Uint8Array, outer: Constants | undefined, depth: number, passes: bigint): void {
    this.require(depth <= MOST_DEPTH, "graphs within graphs without end");
    const constants = new Constants(outer);
    const names = new Set<string>();
    for (const value of this.contents(body, GRAPH, "input"))
      for (const item of this.counted(value)) if (item.number === 1 && item.wire === DELIMITED) names.add(this.text(item.content));
    for (const name of names) constants.set(name, null); // what is fed, in place of a constant too, is none
    for (const body_ of this.contents(body, GRAPH, "initializer")) {
      const { name, value } = this.tensor(body_);
      constants.set(name, names.has(name) ? null : value);
      names.add(name);
    }
    for (const node of this.contents(body, GRAPH, "node")) this.node(node, constants, depth, passes);
  }

  private node(body: Uint8Array, constants: Constants, depth: number, around: bigint): void {
    this.operators += 1;
    this.require(this.operators <= MOST_OPERATORS, `more than ${MOST_OPERATORS} operators`);
    let domain = "";
    let operator = "";
    let first: Uint8Array | undefined;
    for (const { field, content } of this.read(body, NODE)) {
      if (field === "domain") domain = this.text(content);
      else if (field === "op_type") operator = this.text(content);
      else if (field === "input") first ??= content;
    }
    const known = ATTRIBUTES.get(operator);
    if (domain || !known) throw this.refused(`the operator ${domain && `${domain.slice(0, 40)}:`}${operator.slice(0, 40)}`);
    let passes = around;
    if (operator === "Loop") {
      const bound = first ? constants.get(this.text(first)) : null;
      if (bound === null) throw this.refused("a loop without a bound");
      passes *= bound;
      this.require(passes <= BigInt(MOST_PASSES), "a loop without a bound that is low enough");
    }
    for (const attribute of this.contents(body, NODE, "attribute")) {
      const value = this.attribute(attribute, operator, known, constants, depth, passes);
      if (operator === "Constant") for (const name of this.contents(body, NODE, "output")) constants.set(this.text(name), value);
    }
  }

  /** Check what hangs on an operator; its whole number, if it is one. */
  private attribute(
    body: Uint8Array,
    operator: string,
    known: ReadonlySet<string>,
    constants: Constants,
    depth: number,
    passes: bigint,
  ): bigint | null {
    let whole: bigint | null = null;
    let name = "";
    for (const { field, exact, content } of this.read(body, ATTRIBUTE)) {
      if (field === "name") name = this.text(content);
      else if (field === "t" || field === "tensors") whole = this.tensor(content).value;
      else if (field === "g" || field === "graphs") this.graph(content, constants, depth + 1, passes);
      else if (field === "i") whole = exact;
    }
    this.require(known.has(name), `the attribute '${name.slice(0, 40)}' of the operator ${operator}`);
    return whole;
  }

  /** Check a tensor; its name, and its value if it is a single whole number of 64 bits. */
  private tensor(body: Uint8Array): { name: string; value: bigint | null } {
    let name = "";
    let kind = 0;
    let raw: number | undefined;
    const values: (bigint | null)[] = [];
    const shape: bigint[] = [];
    for (const item of this.read(body, TENSOR)) {
      const { field, value, content } = item;
      if (field === "name") name = this.text(content);
      else if (field === "data_type") kind = value;
      else if (field === "dims") {
        shape.push(...numbers(item));
        this.require(shape.length <= MOST_DIMENSIONS, "a tensor of too many dimensions");
      } else if (field === "raw_data") {
        raw = content.length;
        values.push(raw === 8 ? new DataView(content.buffer, content.byteOffset).getBigUint64(0, true) : null);
      } else if (field === "int64_data") values.push(...numbers(item));
    }
    const elements = this.elements(shape);
    const bytes = ITEM_BYTES.get(kind);
    if (bytes === undefined) throw this.refused("a tensor of an unknown type");
    this.require(raw === undefined || raw === elements * bytes, "a tensor whose bytes are not as many as its shape says");
    // Of two values runtimes take one or the other.
    return { name, value: kind === INT64 && values.length === 1 ? values[0]! : null };
  }

  private elements(shape: readonly bigint[]): number {
    let elements = 1n;
    for (const dimension of shape) {
      this.require(dimension <= BigInt(LARGEST_DIMENSION), "a tensor that is too large");
      elements *= dimension;
    }
    this.require(elements <= BigInt(MOST_ELEMENTS), "a tensor that is too large");
    return Number(elements);
  }

  /** What the fields of one name hold. */
  private *contents(body: Uint8Array, part: Part, name: string): Generator<Uint8Array> {
    for (const { field, content } of this.read(body, part)) if (field === name) yield content;
  }

  private *counted(body: Uint8Array): Generator<Field> {
    for (const item of fields(body)) {
      this.fields += 1;
      this.require(this.fields <= MOST_FIELDS, "more fields than any program needs");
      yield item;
    }
  }

  private *read(body: Uint8Array, part: Part): Generator<Named> {
    const article = "aeiou".includes(part.name[0]!) ? "an" : "a";
    for (const { number, ...rest } of this.counted(body)) {
      const known = part.fields.get(number);
      if (!known) throw this.refused(`the field ${number} of ${article} ${part.name}`);
      const [field, wires] = known;
      this.require(wires.includes(rest.wire), `the field ${field} of ${article} ${part.name} in another form`);
      yield { field, ...rest };
    }
  }

  private text(content: Uint8Array): string {
    try {
      return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(content);
    } catch {
      throw this.refused("a name that is no text");
    }
  }

  private require(condition: boolean, found: string): void {
    if (!condition) throw this.refused(found);
  }

  private refused(found: string): InvalidInput {
    return new InvalidInput(`program ${this.name} holds ${found}`, "tell the operator to export the model again");
  }
}

/** The numbers in a field, packed or not; where they are more than a tensor has dimensions, the first ones. */
function numbers({ wire, exact, content }: Named): bigint[] {
  if (wire === VARINT) return [exact];
  const found: bigint[] = [];
  for (const number of varints(content)) {
    found.push(number);
    if (found.length > MOST_DIMENSIONS) break;
  }
  return found;
}
