"use strict";
// Small pictures in the text: rules on 8 x 8 positions, and intervals on a scale.

function drawRule(picture, side) {
  const paths = new Map();
  for (const [k, level] of [...picture].entries()) {
    const path = `M${k % side} ${Math.floor(k / side)}h1v1h-1z`;
    paths.set(level, (paths.get(level) ?? "") + path);
  }
  const levels = [...paths].filter(([level]) => /^[0-4]$/.test(level));
  return draw("svg", { class: "rule", viewBox: `0 0 ${side} ${side}`, "aria-hidden": "true" },
    ...levels.map(([level, d]) => draw("path", { class: `leaves-${level}`, d })));
}

// A picture for each channel, or one where all channels are equal.
function drawChannels({ picture, side }) {
  const size = side * side;
  const parts = Array.from({ length: picture.length / size }, (_, k) => picture.slice(k * size, (k + 1) * size));
  return parts.map((part) => drawRule(part, side));
}

let rulePictures = new Map();
async function readRules() {
  const rows = await select("SELECT rule, about, picture, side, listed FROM rule_rows ORDER BY place");
  rulePictures = new Map(rows.map((row) => [row.rule, row]));
  return rows;
}

// The picture of a rule's first channel.
function findPicture(rule) {
  const row = rulePictures.get(rule);
  return row?.picture ? drawChannels(row)[0] : null;
}

function makeLegend() {
  const swatch = (level) => draw("svg", { class: "rule tile", viewBox: "0 0 1 1", "aria-hidden": "true" },
    draw("path", { class: `leaves-${level}`, d: "M0 0h1v1h-1z" }));
  const texts = ["stays", "leaves at split 1", "at split 2", "at split 3"];
  return make("p", { class: "legend" }, ...texts.map((text, level) => make("span", {}, swatch(level), text)));
}

// A scale that contains all these values and zero.
function findScale(values) {
  const finite = [0, ...values.filter(Number.isFinite)];
  const [least, most] = [Math.min(...finite), Math.max(...finite)];
  const room = (most - least) * 0.04 || 0.01;
  return [least - room, most + room];
}

// A line for each interval {mean, low, high, kind, mark}, and a dashed line at zero.
function drawIntervals(rows, [least, most], lineHeight = 14) {
  const findX = (value) => (100 * (Math.min(Math.max(value, least), most) - least)) / (most - least);
  const line = (kind, x1, x2, y1, y2) => draw("line", { class: kind, x1, x2, y1, y2 });
  const parts = rows.flatMap(({ mean, low, high, kind = "", mark = null }, k) => {
    const middle = (k + 0.5) * lineHeight;
    const reach = Math.min(4, 0.32 * lineHeight);
    return [
      mark === null ? null : line("mark", findX(mark), findX(mark), middle - reach, middle + reach),
      low === null ? null : line(`range ${kind}`, findX(low), findX(high), middle, middle),
      line(`mean ${kind}`, findX(mean), findX(mean), middle - reach, middle + reach),
    ];
  });
  const height = lineHeight * rows.length;
  return draw("svg", {
    class: "interval", viewBox: `0 0 100 ${height}`, preserveAspectRatio: "none", height, "aria-hidden": "true",
  }, line("zero", findX(0), findX(0), 0, height), ...parts);
}

function makeScale([least, most]) {
  return make("span", { class: "ends", "aria-hidden": "true" },
    make("span", {}, number(least, 2, true)), make("span", {}, number(most, 2, true)));
}

const KINDS = {
  better: "good", supported: "good", equal: "good",
  worse: "bad", opposite: "bad", "not equal": "bad",
};
const kindOf = (word) => (Object.hasOwn(KINDS, word ?? "") ? KINDS[word] : "open");
const makeWord = (word) => (word ? make("span", { class: `word ${kindOf(word)}` }, word) : null);
