// preprocess.json in JavaScript: raw rows in, the model's inputs out. Knows no page: it runs wherever JavaScript does.
//
// What the document means is laid down by automl/data/encoder.py, text_encoder.py and series_encoder.py; the golden files in
// tests/golden/preprocess hold this file to the same numbers. An input is {type, dims, data}.

const VERSION = 1;
const BLANKS = /^[ \t\n\r\v\f]+|[ \t\n\r\v\f]+$/g;
const NUMBER = /^[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?$/;
const WORD = /[\p{L}\p{N}]/u;
const FLOAT32_MAX = 3.4028234663852886e38;
const CLOCK =
  "(?:(?:[Tt]| +)([0-9]{1,2}):([0-9]{2})(?::([0-9]{2})(?:[.,][0-9]+)?)?)? *(?:[Zz]|[+-][0-9]{2}:?[0-9]{2})?$";
// Format → its pattern, and the places of year, month and day among the pattern's groups.
const DATES = {
  iso: [new RegExp("^([0-9]{4})[-/.]([0-9]{1,2})[-/.]([0-9]{1,2})" + CLOCK), [1, 2, 3]],
  dmy: [new RegExp("^([0-9]{1,2})[-/.]([0-9]{1,2})[-/.]([0-9]{4})" + CLOCK), [3, 2, 1]],
  mdy: [new RegExp("^([0-9]{1,2})[-/.]([0-9]{1,2})[-/.]([0-9]{4})" + CLOCK), [3, 1, 2]],
};

/** The function that encodes rows of a document: objects from column to value; {image: {shape, data}}; {series: [[…], …]}. */
export function encoderOf(document) {
  const makers = { table: tableEncoder, text: textEncoder, image: pictureEncoder, series: seriesEncoder };
  if (document.version !== VERSION || !Object.hasOwn(makers, document.modality)) {
    throw new Error(`expected version ${VERSION} of a table, texts, pictures or series, got version ${document.version} of ` +
      `${document.modality}`);
  }
  return makers[document.modality](document);
}

/** A raw value as the text that a CSV's cell would hold. */
export function textOf(value) {
  if (value === null || value === undefined || (typeof value === "number" && Number.isNaN(value))) return "";
  return String(value).replace(BLANKS, "");
}

function needed(rows, columns) {
  for (const name of columns) {
    if (rows.some((row) => !Object.hasOwn(row, name))) throw new Error(`the model needs the column ${name}`);
  }
}

const float32 = (data, ...dims) => ({ type: "float32", dims, data: Float32Array.from(data) });
const int32 = (data, ...dims) => ({ type: "int32", dims, data: Int32Array.from(data) });

// --- tables -----------------------------------------------------------------------------------------------------------

function tableEncoder(document) {
  const missing = new Set(document.missing);
  const columns = document.columns.map((column) => ({ ...column, encode: columnEncoder(column, missing) }));
  return (rows) => {
    needed(rows, columns.map((column) => column.name));
    const numeric = [];
    const codes = [];
    for (const row of rows) {
      const values = [];
      for (const column of columns) {
        const found = column.encode(textOf(row[column.name]));
        if (column.kind === "categorical") codes.push(found[0]);
        else values.push(...found);
      }
      numeric.push(Float32Array.from(values));
    }
    const inputs = {};
    if (document.numeric.length) {
      const made = numeric.map((raw) => operated(raw, document.operations));
      inputs.numeric = float32(made.flatMap((row) => Array.from(row)), rows.length, made.length ? made[0].length : 0);
    }
    if (document.categorical.length) inputs.categorical = int32(codes, rows.length, document.categorical.length);
    return inputs;
  };
}

/** Text → the numbers of one column; of a categorical one its code. */
function columnEncoder(column, missing) {
  if (column.kind === "numeric") return (text) => [numberOf(text, missing)];
  if (column.kind === "boolean") {
    const table = new Map([...column.false.map((one) => [one, 0]), ...column.true.map((one) => [one, 1])]);
    return (text) => [!missing.has(text) && table.has(text) ? table.get(text) : NaN];
  }
  if (column.kind === "categorical") {
    const codes = new Map(column.vocabulary.map((one, place) => [one, place + 2]));
    return (text) => [missing.has(text) ? 0 : codes.get(text) ?? 1];
  }
  if (column.kind === "date") {
    return (text) => {
      const known = missing.has(text) ? null : dateFeatures(text, column.format);
      return column.features.map((feature) => (known === null ? NaN : known[feature]));
    };
  }
  if (column.kind === "text") return (text) => weighted(text, column, missing);
  throw new Error(`column ${column.name} is of the unknown kind ${column.kind}`);
}

function numberOf(text, missing) {
  if (missing.has(text) || !NUMBER.test(text)) return NaN;
  const value = Number(text);
  return Math.abs(value) <= FLOAT32_MAX ? value : NaN;
}

function dateFeatures(text, format) {
  const [pattern, places] = DATES[format];
  const match = pattern.exec(text);
  if (match === null) return null;
  const [year, month, day] = places.map((place) => Number(match[place]));
  const [hour, minute, second] = [4, 5, 6].map((place) => Number(match[place] ?? 0));
  if (month < 1 || month > 12 || day < 1 || day > 31 || hour > 24 || minute > 59 || second > 60) return null;
  const seconds = hour * 3600 + minute * 60 + second;
  // Days from 1970-01-01 (Howard Hinnant, "chrono-compatible low-level date algorithms").
  const shifted = year - (month <= 2 ? 1 : 0);
  const era = Math.floor(shifted / 400);
  const yearOfEra = shifted - era * 400;
  const dayOfYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1;
  const days = era * 146097 + yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear - 719468;
  const monthAngle = (2 * Math.PI * (month - 1)) / 12;
  const weekdayAngle = (2 * Math.PI * ((((days + 3) % 7) + 7) % 7)) / 7;
  return {
    days: days + seconds / 86400, year, month_sin: Math.sin(monthAngle), month_cos: Math.cos(monthAngle),
    weekday_sin: Math.sin(weekdayAngle), weekday_cos: Math.cos(weekdayAngle), hour: seconds / 3600,
  };
}

/** Counts of a column's known words, weighted and scaled to length 1. */
function weighted(text, column, missing) {
  const out = new Float32Array(column.tokens.length);
  if (missing.has(text)) return out;
  const places = new Map(column.tokens.map((token, place) => [token, place]));
  for (const token of text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? []) {
    if (places.has(token)) out[places.get(token)] += 1;
  }
  let squares = 0;
  for (let i = 0; i < out.length; i++) {
    out[i] *= Math.fround(column.idf[i]);
    squares += out[i] * out[i];
  }
  const norm = Math.fround(Math.sqrt(squares)) || 1;
  return out.map((value) => value / norm);
}

/** One row of the numeric matrix after the operations, side by side for each branch of an ensemble. */
function operated(raw, operations) {
  if (operations.length === 1 && operations[0].op === "branches") {
    return operations[0].branches.flatMap((branch) => Array.from(operated(raw, branch)));
  }
  const x = Float32Array.from(raw);
  const indicators = [];
  for (const operation of operations) {
    const apply = OPERATIONS[operation.op];
    if (apply === undefined) throw new Error(`preprocess.json has the unknown operation ${operation.op}`);
    apply(x, operation, raw, indicators);
  }
  return [...x, ...indicators];
}

const OPERATIONS = {
  indicators(x, { columns }, raw, indicators) {
    for (const place of columns) indicators.push(Number.isNaN(raw[place]) ? 1 : 0);
  },
  affine(x, { shift, scale }) {
    for (let i = 0; i < x.length; i++) x[i] = Math.fround(x[i] - Math.fround(shift[i])) * Math.fround(scale[i]);
  },
  "smooth-clip"(x, { limit }) {
    for (let i = 0; i < x.length; i++) {
      const share = Math.fround(x[i] / Math.fround(limit));
      x[i] /= Math.fround(Math.sqrt(Math.fround(1 + Math.fround(share * share))));
    }
  },
  clip(x, { low, high }) {
    for (let i = 0; i < x.length; i++) x[i] = Math.min(Math.max(x[i], Math.fround(low)), Math.fround(high));
  },
  "signed-log"(x, { columns }) {
    for (const place of columns) x[place] = Math.sign(x[place]) * Math.fround(Math.log1p(Math.abs(x[place])));
  },
  interpolate(x, { knots, values }) {
    const shared = values.length === 0 || !Array.isArray(values[0]);
    knots.forEach((own, place) => {
      if (own.length) x[place] = interpolated(x[place], own, shared ? values : values[place]);
    });
  },
  impute(x, { values }) {
    for (let i = 0; i < x.length; i++) if (Number.isNaN(x[i])) x[i] = values[i];
  },
};

/** Piecewise linear, constant outside; of equal knots the last counts. */
function interpolated(x, knots, values) {
  const last = knots.length - 1;
  if (Number.isNaN(x)) return NaN;
  if (x >= knots[last]) return values[last];
  if (x < knots[0]) return values[0];
  let low = 0;
  let high = last;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (knots[middle] <= x) low = middle;
    else high = middle;
  }
  return values[low] + ((values[low + 1] - values[low]) / (knots[low + 1] - knots[low])) * (x - knots[low]);
}

// --- texts ------------------------------------------------------------------------------------------------------------

const [UNKNOWN, BOUNDARY, FIRST] = [1, 2, 3];
// Characters of a run that count for its n-grams.
const RUN = 64;
// Symbols, kana and ideographs: each is a token of its own.
const SINGLE = [
  [0x21, 0x2f], [0x3a, 0x40], [0x5b, 0x5e], [0x60, 0x60], [0x7b, 0x7e], [0xa1, 0xa9], [0xab, 0xac], [0xae, 0xb1],
  [0xb4, 0xb4], [0xb6, 0xb8], [0xbb, 0xbb], [0xbf, 0xbf], [0xd7, 0xd7], [0xf7, 0xf7], [0x2010, 0x2027],
  [0x2030, 0x205e], [0x20a0, 0x20cf], [0x2190, 0x2bff], [0x3001, 0x3003], [0x3008, 0x3020], [0xff01, 0xff0f],
  [0xff1a, 0xff20], [0xff3b, 0xff40], [0xff5b, 0xff65], [0x1f000, 0x1faff],
  [0x3040, 0x30ff], [0x3400, 0x4dbf], [0x4e00, 0x9fff], [0xf900, 0xfaff], [0x20000, 0x323af],
];

const isSingle = (character) => {
  const point = character.codePointAt(0);
  return SINGLE.some(([low, high]) => low <= point && point <= high);
};

/** Each token as a list of characters. */
function tokensOf(text) {
  const tokens = [];
  let run = [];
  const end = () => {
    if (run.length) tokens.push(run);
    run = [];
  };
  for (const character of text.toLowerCase().replace(/[\u0300-\u036f]+/g, "")) {
    if (isSingle(character)) {
      end();
      tokens.push([character]);
    } else if (WORD.test(character)) run.push(character);
    else end();
  }
  end();
  return tokens;
}

function textEncoder(document) {
  const columns = document.columns.map((column) => column.name);
  const words = new Map(document.vocabulary.map((word, place) => [word, place + FIRST]));
  const grams = new Map((document.ngrams?.vocabulary ?? []).map((gram, place) => [gram, place + 1]));
  const codeOf = (token) => words.get(token) ?? words.get(token.replace(/\p{Nd}/gu, "0")) ?? UNKNOWN;
  const gramsOf = (token) => {
    if (!document.ngrams || isSingle(token[0])) return [];
    const marked = ["<", ...token.slice(0, RUN), ">"];
    const found = [];
    for (let n = document.ngrams.low; n <= document.ngrams.high; n++) {
      for (let at = 0; at + n <= marked.length; at++) {
        const code = grams.get(marked.slice(at, at + n).join(""));
        if (code !== undefined) found.push(code);
      }
    }
    return found;
  };
  const filled = (codes, length) => Array.from({ length }, (_, place) => codes[place] ?? 0);
  return (rows) => {
    needed(rows, columns);
    const found = { tokens: [], ngrams: [] };
    for (const row of rows) {
      const codes = [];
      const pieces = [];
      columns.forEach((name, place) => {
        if (place) codes.push(BOUNDARY);
        for (const token of tokensOf(textOf(row[name]))) {
          codes.push(codeOf(token.join("")));
          pieces.push(...gramsOf(token));
        }
      });
      found.tokens.push(...filled(codes, document.inputs.tokens));
      found.ngrams.push(...filled(pieces, document.inputs.ngrams ?? 0));
    }
    const inputs = {};
    for (const name of ["tokens", "ngrams"]) {
      if (document.inputs[name] !== undefined) inputs[name] = int32(found[name], rows.length, document.inputs[name]);
    }
    return inputs;
  };
}

// --- pictures ---------------------------------------------------------------------------------------------------------

function pictureEncoder(document) {
  const size = document.height * document.width * document.channels;
  return (rows) => {
    const data = new Uint8Array(rows.length * size);
    rows.forEach(({ image }, place) => data.set(fitted(image, document), place * size));
    return { image: { type: "uint8", dims: [rows.length, document.height, document.width, document.channels], data } };
  };
}

/** Bytes [height, width, channels] of a picture {shape: [h, w, ch], data}; of 4 channels the last is opacity. */
export function fitted(image, { height, width, channels }) {
  let [h, w, ch] = image.shape;
  let data = image.data;
  if (ch === 4) [data, ch] = [onWhite(data), 3];
  if (ch !== channels) [data, ch] = [channels === 1 ? grey(data) : repeated(data), channels];
  if (w !== width) [data, w] = [resizedAcross(data, h, w, ch, width), width];
  if (h !== height) [data, h] = [resizedDown(data, h, w, ch, height), height];
  return data;
}

/** Transparent pictures are laid on white. */
function onWhite(data) {
  const out = new Uint8Array((data.length / 4) * 3);
  for (let from = 0, to = 0; from < data.length; from += 4) {
    const opacity = data[from + 3];
    for (let c = 0; c < 3; c++) out[to++] = Math.round((data[from + c] * opacity + 255 * (255 - opacity)) / 255);
  }
  return out;
}

/** Luma of ITU-R 601-2, in the fixed point that Pillow uses. */
function grey(data) {
  const out = new Uint8Array(data.length / 3);
  for (let i = 0; i < out.length; i++) {
    out[i] = (data[3 * i] * 19595 + data[3 * i + 1] * 38470 + data[3 * i + 2] * 7471 + 0x8000) >> 16;
  }
  return out;
}

function repeated(data) {
  const out = new Uint8Array(data.length * 3);
  for (let i = 0; i < data.length; i++) out.fill(data[i], 3 * i, 3 * i + 3);
  return out;
}

const BITS = 22;

/** For each place along an axis: the first source and the weights, a triangle as wide as the reduction, in fixed point. */
function weightsOf(from, to) {
  const scale = from / to;
  const reach = Math.max(scale, 1);
  return Array.from({ length: to }, (_, place) => {
    const centre = (place + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - reach + 0.5));
    const end = Math.min(from, Math.trunc(centre + reach + 0.5));
    const weights = [];
    for (let i = first; i < end; i++) weights.push(Math.max(0, 1 - Math.abs((i - centre + 0.5) / reach)));
    const sum = weights.reduce((a, b) => a + b, 0);
    return [first, weights.map((weight) => Math.trunc(0.5 + (weight / sum) * 2 ** BITS))];
  });
}

const rounded = (sum) => Math.min(255, Math.max(0, sum >> BITS));

function resizedAcross(data, h, w, ch, width) {
  const out = new Uint8Array(h * width * ch);
  weightsOf(w, width).forEach(([first, weights], x) => {
    for (let y = 0; y < h; y++) {
      for (let c = 0; c < ch; c++) {
        let sum = 2 ** (BITS - 1);
        for (let i = 0; i < weights.length; i++) sum += data[(y * w + first + i) * ch + c] * weights[i];
        out[(y * width + x) * ch + c] = rounded(sum);
      }
    }
  });
  return out;
}

function resizedDown(data, h, w, ch, height) {
  const out = new Uint8Array(height * w * ch);
  weightsOf(h, height).forEach(([first, weights], y) => {
    for (let x = 0; x < w * ch; x++) {
      let sum = 2 ** (BITS - 1);
      for (let i = 0; i < weights.length; i++) sum += data[(first + i) * w * ch + x] * weights[i];
      out[y * w * ch + x] = rounded(sum);
    }
  });
  return out;
}

// --- series -----------------------------------------------------------------------------------------------------------

function seriesEncoder(document) {
  const channels = document.channels.length;
  const { steps } = document.inputs;
  const width = channels + (document.ragged ? 1 : 0);
  return (rows) => {
    const data = new Float32Array(rows.length * steps * width);
    rows.forEach(({ series }, place) => {
      const found = oneSeries(series, document, channels);
      found.slice(0, steps).forEach((values, step) => {
        const at = (place * steps + step) * width;
        values.forEach((value, c) => {
          const scaled = Math.fround(Math.fround(value) - Math.fround(document.shift[c])) * Math.fround(document.scale[c]);
          data[at + c] = Math.min(Math.max(scaled, -document.clip), document.clip);
        });
        if (document.ragged) data[at + channels] = 1;
      });
    });
    return { series: { type: "float32", dims: [rows.length, steps, width], data } };
  };
}

/** A raw series [[value of each channel] of each step], null or NaN for missing, without gaps and at most as long as the
 *  model takes. */
function oneSeries(series, document, channels) {
  const x = series.map((step) => Array.from({ length: channels }, (_, c) => Math.fround(step[c] ?? NaN)));
  while (x.length && x[x.length - 1].every(Number.isNaN)) x.pop();
  while (!document.ragged && x.length < document.length) x.push(new Array(channels).fill(NaN));
  for (let c = 0; c < channels; c++) {
    const known = x.flatMap((step, place) => (Number.isNaN(step[c]) ? [] : [place]));
    const values = known.map((place) => x[place][c]);
    x.forEach((step, place) => {
      if (Number.isNaN(step[c])) step[c] = known.length ? interpolated(place, known, values) : Math.fround(document.shift[c]);
    });
  }
  const { steps } = document.inputs;
  if (document.length <= steps || !x.length) return x;
  const wanted = Math.max(1, Math.floor((2 * x.length * steps + document.length) / (2 * document.length)));
  return resampled(x, wanted, channels);
}

/** The means over equal shares of the steps. */
function resampled(x, steps, channels) {
  const places = Array.from({ length: x.length + 1 }, (_, place) => place);
  const out = Array.from({ length: steps }, () => new Array(channels));
  for (let c = 0; c < channels; c++) {
    const whole = [0];
    for (const step of x) whole.push(whole[whole.length - 1] + step[c]);
    const integral = Array.from({ length: steps + 1 }, (_, i) => interpolated(i * (x.length / steps), places, whole));
    for (let i = 0; i < steps; i++) out[i][c] = (integral[i + 1] - integral[i]) * (steps / x.length);
  }
  return out;
}
