// The page: a field for each raw column, and what the model says of them.

import { open, samples } from "./model.js";

const byId = (id) => document.getElementById(id);

function element(name, content = "", attributes = {}) {
  const made = document.createElement(name);
  made.textContent = content;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function say(text, bad = false) {
  byId("status").textContent = text;
  byId("status").className = bad ? "bad" : "";
}

/** Fields by the modality: `fields(preprocess)` puts them into the form, `row(form)` reads the raw row. */
const FORMS = {
  table: {
    fields(form, { columns }) {
      for (const column of columns) form.append(labelled(column.name, tableField(column)));
    },
    row(form, { columns }) {
      return Object.fromEntries(columns.map(({ name }, place) => [name, form.elements[`field-${place}`].value]));
    },
  },
  text: {
    fields(form, { columns }) {
      for (const column of columns) form.append(labelled(column.name, element("textarea", "", { rows: 4 })));
    },
    row(form, { columns }) {
      return Object.fromEntries(columns.map(({ name }, place) => [name, form.elements[`field-${place}`].value]));
    },
  },
  image: {
    fields(form) {
      form.append(labelled("picture", element("input", "", { type: "file", accept: "image/*" })));
    },
    async row(form) {
      const [file] = form.elements["field-0"].files;
      if (!file) throw new Error("choose a picture first");
      return { image: await pixels(file) };
    },
  },
  series: {
    fields(form, { channels }) {
      const what = channels.length === 1 ? "one number a line" : `${channels.length} numbers a line: ${channels.join(", ")}`;
      form.append(labelled(`series, ${what}; ? for a missing one`, element("textarea", "", { rows: 12 })));
    },
    row(form, { channels }) {
      const lines = form.elements["field-0"].value.split("\n").filter((line) => line.trim());
      return { series: lines.map((line, place) => step(line, place + 1, channels.length)) };
    },
  },
};

function labelled(name, field) {
  const places = document.querySelectorAll("#form [name^=field-]").length;
  field.setAttribute("name", `field-${places}`);
  const label = element("label", name);
  label.append(field);
  return label;
}

function tableField(column) {
  const known = { categorical: column.vocabulary, boolean: [...(column.true ?? []), ...(column.false ?? [])] }[column.kind];
  if (known === undefined || known.length > 200) return element("input", "", { placeholder: column.kind });
  const field = element("select");
  field.append(element("option", "(missing)", { value: "" }));
  for (const value of known) field.append(element("option", value, { value }));
  return field;
}

function step(line, number, channels) {
  const cells = line.trim().split(/[\s,;]+/);
  if (cells.length !== channels) throw new Error(`line ${number}: expected ${channels} numbers, got ${cells.length}`);
  return cells.map((cell) => {
    const value = cell === "?" ? NaN : Number(cell);
    if (cell !== "?" && Number.isNaN(value)) throw new Error(`line ${number}: ${cell} is no number`);
    return value;
  });
}

/** The bytes of a picture as the browser decodes them, upright, without changes to its colours. */
async function pixels(file) {
  const bitmap = await createImageBitmap(file, { colorSpaceConversion: "none", premultiplyAlpha: "none" });
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  const { data } = context.getImageData(0, 0, bitmap.width, bitmap.height);
  return { shape: [bitmap.height, bitmap.width, 4], data };
}

function show(outputs, { classes, preprocess }) {
  const body = byId("answer");
  body.replaceChildren();
  const named = classes.length ? outputs.map((value, place) => [classes[place], value]) : [[preprocess.target, outputs[0]]];
  if (classes.length) named.sort((a, b) => b[1] - a[1]);
  for (const [name, value] of named) {
    const row = element("tr", "", { "data-value": String(value) });
    row.append(element("th", name), element("td", classes.length ? `${(100 * value).toFixed(1)} %` : value.toPrecision(6)));
    body.append(row);
  }
}

async function check(model) {
  const { rows, outputs } = await samples();
  if (!rows.length) return;
  const made = await model.predict(rows);
  const largest = Math.max(...made.flatMap((row, i) => row.map((value, j) => Math.abs(value - outputs[i][j]))));
  byId("check").textContent = `${rows.length} rows that travel with the model were predicted here: the largest difference ` +
    `from the float model is ${largest.toExponential(1)}.`;
  byId("check").dataset.difference = String(largest);
}

async function start() {
  const model = await open();
  const { preprocess } = model;
  const form = byId("form");
  const { fields, row } = FORMS[preprocess.modality];
  byId("title").textContent = preprocess.target ? `${preprocess.target}: ${preprocess.task}` : preprocess.task;
  fields(form, preprocess);
  form.append(element("button", "Predict", { type: "submit" }));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      const began = performance.now();
      const [outputs] = await model.predict([await row(form, preprocess)]);
      show(outputs, model);
      say(`predicted in ${(performance.now() - began).toFixed(1)} ms`);
    } catch (error) {
      byId("answer").replaceChildren();
      say(error.message, true);
    }
    document.body.dataset.answers = String(Number(document.body.dataset.answers ?? 0) + 1);
  });
  await check(model);
  say("ready");
  document.body.dataset.ready = "yes";
}

start().catch((error) => {
  say(error.message, true);
  document.body.dataset.ready = "no";
});
