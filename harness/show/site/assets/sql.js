"use strict";
// The page that queries the database: what is typed runs in a worker, which can be stopped.

const SHOWN = 500; // rows in the table
const READ = { rows: 20_000, size: 16 * 2 ** 20 }; // rows, and bytes of values, in all
const SECONDS = 30;
const LONGEST = 300; // characters of a value in the table
const PLOTTED = { names: 40, points: 2000 };

const form = document.getElementById("console");
const editor = form.querySelector("textarea");
const [runButton, stopButton] = form.querySelectorAll("button");
const status = form.querySelector("output");
const answer = document.getElementById("answer");

let worker = null;
let pending = null; // ends the wait for the worker
let stopping = null; // timer

function load(path) {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = path;
    script.onload = resolve;
    script.onerror = () => reject(new Error(`cannot load ${path}`));
    document.head.append(script);
  });
}

function ask(message) {
  return new Promise((resolve, reject) => {
    pending = reject;
    worker.onmessage = ({ data }) => {
      if (data.broken) end();
      data.error === undefined ? resolve(data) : reject(new Error(data.error));
    };
    worker.onerror = (event) => {
      event.preventDefault();
      end();
      reject(new Error(event.message || "the worker could not be started"));
    };
    worker.postMessage(message);
  });
}

function end() {
  worker?.terminate();
  worker = null;
}

async function open() {
  status.textContent = "Loading the database…";
  if (!window.lcmaSqljs) await load("assets/sqljs.js");
  if (!window.lcmaDatabase) await load("data/database.js");
  const { sqljs, worker: own, wasm } = window.lcmaSqljs;
  const address = URL.createObjectURL(new Blob([sqljs, "\n", own], { type: "text/javascript" }));
  worker = new Worker(address);
  try {
    await ask({ wasm, content: window.lcmaDatabase });
  } catch (error) {
    end();
    throw error;
  } finally {
    URL.revokeObjectURL(address);
  }
}

function stop(why) {
  end();
  pending?.(new Error(why));
}

async function run() {
  if (runButton.disabled) return;
  const sql = editor.value;
  runButton.disabled = true;
  stopButton.disabled = false;
  answer.replaceChildren();
  history.replaceState(null, "", `#${new URLSearchParams({ sql })}`);
  try {
    if (!worker) await open();
    status.textContent = "Running…";
    stopping = setTimeout(() => stop(`stopped after ${SECONDS} s`), SECONDS * 1000);
    const began = performance.now();
    const found = await ask({ sql, ...READ });
    show(found, (performance.now() - began) / 1000);
  } catch (error) {
    status.textContent = "";
    const note = make("p", { className: "note bad", textContent: printable(error.message) });
    note.setAttribute("role", "alert");
    answer.replaceChildren(note);
  } finally {
    clearTimeout(stopping);
    pending = null;
    runButton.disabled = false;
    stopButton.disabled = true;
  }
}

function make(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

// Characters that are not seen, or turn the order of others, are shown by their number.
function printable(text) {
  return text.replace(/[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Zl}\p{Zp}]/gu, (one) => {
    const number = one.codePointAt(0);
    const [letter, length] = number < 256 ? ["x", 2] : number < 65536 ? ["u", 4] : ["U", 8];
    return one === "\n" ? one : `\\${letter}${number.toString(16).padStart(length, "0")}`;
  });
}

const isNumber = (value) => typeof value === "number" || typeof value === "bigint";

// Of a fraction the first six digits; a download has all.
function cell(value, numeric) {
  const made = make("td", { className: numeric ? "num" : "" });
  if (value === null) made.append(make("small", { textContent: "null" }));
  else if (value instanceof Uint8Array) made.append(make("small", { textContent: `${value.length} bytes` }));
  else if (isNumber(value)) {
    const fraction = typeof value === "number" && !Number.isInteger(value);
    made.textContent = fraction ? Number(value.toPrecision(6)) : value;
    made.className = "num";
  }
  else {
    const cut = value.length > LONGEST ? `${value.slice(0, LONGEST)}…` : value;
    made.textContent = printable(cut);
  }
  return made;
}

function show({ columns, rows, whole }, seconds) {
  const count = (number) => `${number.toLocaleString("en")} row${number === 1 ? "" : "s"}`;
  const some = whole ? "" : `; there are more than these ${count(rows.length)}`;
  const cut = rows.length > SHOWN ? `, the first ${SHOWN} below` : "";
  status.textContent = `${count(rows.length)} in ${seconds.toFixed(2)} s${cut}${some}.`;
  if (!columns.length) return;
  const numbers = columns.map((_, k) => rows.every((row) => row[k] === null || isNumber(row[k])));
  const head = make("tr", {}, ...columns.map((name, k) =>
    make("th", { scope: "col", className: numbers[k] && rows.length ? "num" : "", textContent: printable(name) })));
  const body = rows.slice(0, SHOWN).map((row) => make("tr", {}, ...row.map((value, k) => cell(value, numbers[k]))));
  const table = make("table", {}, make("thead", {}, head), make("tbody", {}, ...body));
  const region = make("div", { className: "scroll tall", tabIndex: 0 }, table);
  region.setAttribute("role", "region");
  region.setAttribute("aria-label", "Rows");
  const download = make("button", { type: "button", textContent: "Download as CSV" });
  download.addEventListener("click", () => save(columns, rows));
  const drawn = plot(columns, rows);
  answer.replaceChildren(...(drawn ? [drawn] : []), region, make("p", {}, download));
}

function field(value) {
  if (value === null) return "";
  if (value instanceof Uint8Array) return Array.from(value, (one) => one.toString(16).padStart(2, "0")).join("");
  if (isNumber(value)) return String(value);
  // A spreadsheet would take it for a formula.
  const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function save(columns, rows) {
  const text = [columns, ...rows].map((row) => row.map(field).join(",") + "\r\n").join("");
  const link = make("a", { download: "rows.csv" });
  link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

function draw(tag, attributes, text) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

function ticks(least, most) {
  const step = 10 ** Math.floor(Math.log10((most - least) / 4));
  const wide = [1, 2, 5, 10].map((k) => k * step).find((one) => (most - least) / one <= 5);
  const found = [];
  for (let k = Math.ceil(least / wide); k * wide <= most; k += 1) found.push(Number((k * wide).toPrecision(12)));
  return found;
}

function scale(values, from, to) {
  let [least, most] = [Math.min(...values), Math.max(...values)];
  const room = (most - least) * 0.04 || Math.abs(most) * 0.1 || 1;
  [least, most] = [least - room, most + room];
  const at = (value) => from + ((value - least) / (most - least)) * (to - from);
  return { at: (value) => at(value).toFixed(1), ticks: ticks(least, most) };
}

// Two columns are drawn: names and numbers as dots, two of numbers as points.
function plot(columns, rows) {
  if (columns.length !== 2) return null;
  const drawable = (value) => isNumber(value) && Number.isFinite(Number(value));
  const numeric = columns.map((_, k) => rows.every((row) => row[k] === null || drawable(row[k])));
  const textual = columns.map((_, k) => rows.every((row) => row[k] === null || typeof row[k] === "string"));
  const full = rows.filter((row) => row.every((value) => value !== null));
  if (full.length < 2) return null;
  const width = Math.min(720, Math.max(280, answer.clientWidth));
  const named = numeric[0] && textual[1] ? 1 : textual[0] && numeric[1] ? 0 : null;
  if (named === null && !(numeric[0] && numeric[1])) return null;
  const shown = full.slice(0, named === null ? PLOTTED.points : PLOTTED.names);
  const [parts, height] = named === null ? points(columns, shown, width) : dots(columns, shown, width, named);
  const what = named === null ? `${columns[1]} over ${columns[0]}` : `${columns[1 - named]} by ${columns[named]}`;
  const said = `${what}, ${shown.length === full.length ? "" : "the first "}${shown.length} rows`;
  const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": printable(said) });
  svg.append(...parts);
  return make("figure", { className: "plot" }, svg, make("figcaption", { textContent: `${printable(said)}.` }));
}

const short = (text, most) => {
  const shown = printable(text).replaceAll("\n", " ");
  return shown.length > most ? `${shown.slice(0, most - 1)}…` : shown;
};

function dots(columns, rows, width, named) {
  const most = Math.floor((0.42 * width) / 7);
  const names = rows.map((row) => short(row[named], most));
  const left = 16 + 7 * Math.max(...names.map((name) => name.length));
  const bottom = 8 + 22 * rows.length;
  const x = scale(rows.map((row) => Number(row[1 - named])), left, width - 12);
  const parts = x.ticks.flatMap((tick) => [
    draw("line", { class: "tick", x1: x.at(tick), x2: x.at(tick), y1: 4, y2: bottom }),
    draw("text", { x: x.at(tick), y: bottom + 16, "text-anchor": "middle" }, String(tick)),
  ]);
  rows.forEach((row, k) => {
    const y = 18 + 22 * k;
    const dot = draw("circle", { class: "dot", cx: x.at(Number(row[1 - named])), cy: y - 4, r: 4.5 });
    dot.append(draw("title", {}, `${printable(row[named])}: ${row[1 - named]}`));
    parts.push(draw("text", { x: left - 10, y, "text-anchor": "end" }, names[k]), dot);
  });
  const title = short(columns[1 - named], Math.floor(width / 8));
  parts.push(draw("text", { x: (left + width) / 2, y: bottom + 36, "text-anchor": "middle" }, title));
  return [parts, bottom + 44];
}

function points(columns, rows, width) {
  const [left, bottom] = [72, 300];
  const x = scale(rows.map((row) => Number(row[0])), left, width - 12);
  const y = scale(rows.map((row) => Number(row[1])), bottom, 28);
  const parts = [
    ...x.ticks.flatMap((tick) => [
      draw("line", { class: "tick", x1: x.at(tick), x2: x.at(tick), y1: 24, y2: bottom }),
      draw("text", { x: x.at(tick), y: bottom + 16, "text-anchor": "middle" }, String(tick)),
    ]),
    ...y.ticks.flatMap((tick) => [
      draw("line", { class: "tick", x1: left, x2: width - 12, y1: y.at(tick), y2: y.at(tick) }),
      draw("text", { x: left - 8, y: Number(y.at(tick)) + 4, "text-anchor": "end" }, String(tick)),
    ]),
    ...rows.map((row) => {
      const dot = draw("circle", { class: "dot", cx: x.at(Number(row[0])), cy: y.at(Number(row[1])), r: 3.5 });
      dot.append(draw("title", {}, `${row[0]}, ${row[1]}`));
      return dot;
    }),
    draw("text", { x: (left + width) / 2, y: bottom + 36, "text-anchor": "middle" }, short(columns[0], Math.floor(width / 8))),
    draw("text", { x: 4, y: 14 }, short(columns[1], Math.floor(width / 8))),
  ];
  return [parts, bottom + 44];
}

function take(sql, said) {
  editor.value = sql;
  answer.replaceChildren();
  status.textContent = said;
}

// A query in the address is shown, and runs only if the reader wants it to.
function read() {
  const sql = new URLSearchParams(location.hash.slice(1)).get("sql");
  if (sql !== null && sql !== editor.value) take(sql, "This query came with the link. Run starts it.");
}

for (const code of document.querySelectorAll("#examples .code")) {
  const button = make("button", { type: "button", textContent: "Try it", className: "try" });
  button.setAttribute("aria-label", `Try it: ${code.dataset.name}`);
  button.addEventListener("click", () => {
    take(code.querySelector("pre").textContent, "");
    editor.scrollIntoView({ block: "center" });
    editor.focus({ preventScroll: true });
    run();
  });
  code.append(button);
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  run();
});
stopButton.addEventListener("click", () => stop("stopped"));
editor.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) run();
});
addEventListener("hashchange", read);
read();
