// The model of this folder: raw rows in, outputs out. Everything is fetched from beside this file.

import * as ort from "./runtime/ort.wasm.min.mjs";
import { encoderOf } from "./encode.js";

const beside = (name) => new URL(name, import.meta.url);

async function fetched(name) {
  const response = await fetch(beside(name));
  if (!response.ok) throw new Error(`${name} could not be fetched: ${response.status} ${response.statusText}`);
  return response;
}

/** {preprocess, classes, predict}: `predict(rows)` gives for each row a list of probabilities, or one number. */
export async function open() {
  ort.env.wasm.wasmPaths = beside("./runtime/").href;
  // More threads need a page that is isolated from others by its server's headers.
  ort.env.wasm.numThreads = 1;
  const preprocess = await (await fetched("preprocess.json")).json();
  const session = await ort.InferenceSession.create(new Uint8Array(await (await fetched("model.onnx")).arrayBuffer()), {
    executionProviders: ["wasm"],
  });
  const encode = encoderOf(preprocess);

  async function predict(rows) {
    const inputs = encode(rows);
    const given = {};
    for (const name of session.inputNames) {
      const { type, data, dims } = inputs[name];
      given[name] = new ort.Tensor(type, data, dims);
    }
    const [output] = Object.values(await session.run(given));
    const width = output.dims[1];
    return rows.map((_, place) => Array.from(output.data.slice(place * width, (place + 1) * width)));
  }

  return { preprocess, classes: preprocess.classes ?? [], predict };
}

/** The rows and the float model's outputs that travel with the model. */
export async function samples() {
  const held = await (await fetched("samples.json")).json();
  return { rows: held.inputs.map(row), outputs: held.outputs };
}

function row(held) {
  if (typeof held.image !== "object" || held.image === null || typeof held.image.data !== "string") return held;
  const data = Uint8Array.from(atob(held.image.data), (character) => character.charCodeAt(0));
  return { image: { shape: held.image.shape, data } };
}
