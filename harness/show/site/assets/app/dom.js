"use strict";
// Elements, and formats of numbers. Content of the database enters a page only as text.

const SVG = "http://www.w3.org/2000/svg";
const TEXT_ATTRIBUTES = new Set(["aria-label", "title", "placeholder", "aria-valuetext"]);

// Shows invisible characters, and those that reorder others, by their number.
function printable(text) {
  return String(text).replace(/[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Zl}\p{Zp}]/gu, (character) => {
    const code = character.codePointAt(0);
    const [letter, length] = code < 256 ? ["x", 2] : code < 65536 ? ["u", 4] : ["U", 8];
    return character === "\n" ? character : `\\${letter}${code.toString(16).padStart(length, "0")}`;
  });
}

function build(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : TEXT_ATTRIBUTES.has(name) ? printable(value) : value);
  }
  for (const child of children.flat()) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : printable(child));
  }
  return element;
}

const make = (tag, attributes = {}, ...children) => build(document.createElement(tag), attributes, children);
const draw = (tag, attributes = {}, ...children) => build(document.createElementNS(SVG, tag), attributes, children);

// The address of a view, without empty values.
function address(view, values = {}) {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) {
    for (const item of [value].flat()) {
      if (item !== null && item !== undefined && item !== "") search.append(name, item);
    }
  }
  return `#/${view}${search.size ? `?${search}` : ""}`;
}

const link = (text, view, values = {}, attributes = {}) => make("a", { href: address(view, values), ...attributes }, text);
const sqlLink = (sql) => link("The SQL of this view", "sql", { sql }, { class: "sql-link" });

function heading(title, lead, ...aside) {
  return make("div", { class: "heading" },
    make("h1", { tabindex: "-1" }, title),
    make("p", { class: "lead" }, lead),
    aside.length ? make("p", { class: "aside" }, ...aside) : null);
}

const makeSection = (title, ...content) => make("section", {}, make("h2", {}, title), ...content);
const makeFold = (title, ...content) => make("details", {}, make("summary", {}, title), ...content);
const makeAlert = (error) => make("p", { class: "note bad", role: "alert" }, error.message);

// A table that scrolls where it is wider than its container. A cell is text, the text of a number in
// {num}, or nodes; the first cell is the heading of its row.
function makeTable(label, heads, rows, kind = "") {
  const parts = (cell) => (cell !== null && typeof cell === "object" && "num" in cell ? [cell.num, "num"] : [cell, null]);
  const head = (cell) => {
    const [text, kind] = parts(cell);
    return make("th", { scope: "col", class: kind }, text || make("span", { class: "hide" }, "picture"));
  };
  const body = (cell, k) => {
    const [content, kind] = parts(cell);
    return k ? make("td", { class: kind }, content) : make("th", { scope: "row", class: kind }, content);
  };
  return make("div", { class: `scroll ${kind}`, role: "region", tabindex: "0", "aria-label": label },
    make("table", {},
      make("thead", {}, make("tr", {}, ...heads.map(head))),
      make("tbody", {}, ...rows.map((row) => make("tr", {}, ...row.map(body))))));
}

function makeFacts(pairs) {
  const filled = pairs.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return make("dl", {}, ...filled.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]));
}

function makeSelect(name, label, choices, chosen, all) {
  const options = choices.map((choice) => (Array.isArray(choice) ? choice : [choice, choice]));
  const list = make("select", { name },
    all === undefined ? null : make("option", { value: "" }, all),
    ...options.map(([value, text]) => make("option", { value, selected: value === chosen }, text)));
  return make("label", {}, label, list);
}

function makeSearch(value, hint) {
  return make("label", { class: "search" }, "Search",
    make("input", { type: "search", name: "q", value, placeholder: hint, autocomplete: "off", spellcheck: "false" }));
}

function makeForm(label, onchange, ...fields) {
  return make("form", {
    class: "filters", role: "search", "aria-label": label,
    onsubmit: (event) => event.preventDefault(), oninput: onchange,
  }, ...fields);
}

// A button, if there are more rows than `limit`.
const makeMore = (total, limit, onclick) => (total > limit
  ? [make("button", { type: "button", class: "more", onclick }, `Show ${Math.min(total - limit, ROWS_PER_PAGE)} more of ${total.toLocaleString("en")}`)]
  : []);

function saveFile(name, blob) {
  const path = URL.createObjectURL(blob);
  make("a", { download: name, href: path }).click();
  setTimeout(() => URL.revokeObjectURL(path), 60_000);
}

function makeCode(text, label) {
  const code = make("pre", { tabindex: "0", "aria-label": label, role: "group" }, text);
  const button = make("button", { type: "button", "aria-label": `Copy: ${label}` }, "Copy");
  button.addEventListener("click", async () => {
    getSelection().selectAllChildren(code);
    try {
      await navigator.clipboard.writeText(code.textContent);
    } catch {
      document.execCommand("copy");
    }
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy"), 2000);
  });
  return make("div", { class: "code" }, code, button);
}

// Numbers

function number(value, digits = 4, sign = false) {
  if (value === null || value === undefined) return "–";
  const text = Math.abs(value).toFixed(digits);
  const isZero = Number(text) === 0;
  return (value < 0 && !isZero ? "−" : sign && !isZero ? "+" : "") + text;
}

function difference(mean, low, high) {
  if (mean === null || mean === undefined) return "–";
  return number(mean, 4, true) + (low === null ? "" : ` ± ${number((high - low) / 2)}`);
}

const count = (value, noun) => `${value.toLocaleString("en")} ${value === 1 ? noun : `${noun}s`}`;

function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 120) return `${Number(seconds.toPrecision(3))} s`;
  return seconds < 7200 ? `${(seconds / 60).toFixed(0)} min` : `${(seconds / 3600).toFixed(1)} h`;
}

// Names of rules, settings and data

function ruleOf(factorization) {
  if (/^L+$/.test(factorization)) return "low";
  return /^H+$/.test(factorization) ? "high" : factorization;
}

function optionsOf(text) {
  if (text === null || text === undefined) return "";
  try {
    const shown = (value) => (typeof value === "object" ? JSON.stringify(value) : value);
    return Object.entries(JSON.parse(text)).map(([name, value]) => `${name} ${shown(value)}`).join(", ");
  } catch {
    return text;
  }
}

const UNNAMED_VARIANTS = ["u8", "npz"]; // as in sweeps/known_sets.py
const dataOf = ({ dataset, variant }) => (UNNAMED_VARIANTS.includes(variant) ? dataset : `${dataset}-${variant}`);
const FLOWS = { realnvp: "RealNVP", glow: "Glow", iresnet: "i-ResNet", resflow: "Residual Flow", data: "Data only" };
const flowOf = (flow) => (Object.hasOwn(FLOWS, flow) ? FLOWS[flow] : flow);

const settingsOf = (text) => (text ?? "").replace(/[\w.]+\.(?=\w+=)/g, "");

// The budget and map options of a row.
function nameMaps({ budget, map_options: options }) {
  return [budget === null ? "" : `at ${budget}`, optionsOf(options)].filter(Boolean).join(", ");
}

// The name of a row of the board, or of a trial, which has no label.
function nameRow(row) {
  return [row.label ?? ruleOf(row.factorization), nameMaps(row)].filter(Boolean).join(" ");
}
