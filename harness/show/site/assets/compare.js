"use strict";
// The page of any two rows or trials. It shows what the scripts of tables hold: tests were computed
// before, for every pair.

const { tables, spec } = window.lcmaCompare;
const UNIT = 1e5; // of differences by seed
const EARLY = 0.2; // share of the training whose values may leave the axis
const place = document.getElementById("compared");
const form = document.getElementById("choose");
const choosers = Object.fromEntries(
  [...form.querySelectorAll("fieldset")].map((one) => [
    one.dataset.side,
    Object.fromEntries([...one.querySelectorAll("select")].map((s) => [s.dataset.part, s])),
  ]),
);
const loaded = new Map();

function load(path) {
  if (!loaded.has(path)) {
    loaded.set(path, new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = path;
      script.onload = resolve;
      script.onerror = () => reject(new Error(`cannot load ${path}`));
      document.head.append(script);
    }));
  }
  return loaded.get(path);
}

const readTable = (name) => load(`data/compare/${name}.js`);

// Curves of a trial are those of its page, one after the other since all take one name.
let waiting = Promise.resolve();
const curvesOf = new Map();
function readCurves(trial) {
  if (!trial.charted || !trial.page) return {};
  const path = `data/${trial.page.replace(/\.html$/, "").replaceAll("/", "-")}.js`;
  waiting = waiting.catch(() => {}).then(async () => {
    if (curvesOf.has(path)) return;
    await load(path);
    const points = (one) => one.datasets.points.map(({ step, value }) => [step, value, value, value]);
    const own = Object.values(window.lcmaCharts).filter((one) => one.usermeta);
    curvesOf.set(path, Object.fromEntries(own.map((one) => [one.usermeta.metric, points(one)])));
  });
  return waiting.then(() => curvesOf.get(path));
}

// What is chosen: in the address as a=TABLE/ROW or TABLE/ROW/SEED

function readAddress() {
  const asked = new URLSearchParams(location.hash.slice(1));
  const known = new Set(tables.map(([name]) => name));
  const parse = (text) => {
    const [table, row, seed] = (text ?? "").split("/");
    return known.has(table) ? { table, row, seed } : null;
  };
  const a = parse(asked.get("a")) ?? { table: tables[0][0] };
  return { a, b: parse(asked.get("b")) ?? { table: a.table } };
}

function rowName(row) {
  const budget = row.budget === null ? "" : ` at ${row.budget}`;
  return `${row.name}${budget}${row.options === null ? "" : ` ${row.options}`}`;
}

function fill(select, options, value) {
  select.replaceChildren(...options.map(([key, text]) => new Option(text, key)));
  select.value = value;
  if (select.selectedIndex < 0) select.selectedIndex = 0;
}

function choose(side, wanted) { // the table is loaded
  const { table, row, seed } = choosers[side];
  fill(table, tables, wanted.table);
  const found = window.lcmaTables[table.value];
  const usual = side === "b" && choosers.a.row.value !== found.usual ? found.usual : null;
  const first = usual ?? found.rows[side === "b" && found.rows.length > 1 ? 1 : 0].key;
  const rows = found.rows.map((one) => [one.key, rowName(one)]);
  fill(row, rows, found.rows.some((one) => one.key === wanted.row) ? wanted.row : first);
  const own = found.rows.find((one) => one.key === row.value);
  const trials = own.trials.map((one) => [String(one.seed), trialName(one)]);
  fill(seed, [["", "all seeds"], ...trials], wanted.seed ?? "");
}

function trialName(trial) {
  return `seed ${trial.seed}: ${trial.value === null ? trial.state : number(trial.value)}`;
}

function chosen(side) {
  const { table, row, seed } = choosers[side];
  const own = window.lcmaTables[table.value];
  const at = own.rows.findIndex((one) => one.key === row.value);
  const trial = own.rows[at].trials.find((one) => String(one.seed) === seed.value);
  const name = rowName(own.rows[at]) + (trial ? `, seed ${trial.seed}` : "");
  return { table: own, tableName: table.value, at, row: own.rows[at], trial, name };
}

function address(side) {
  const { table, row, seed } = choosers[side];
  return `${side}=${table.value}/${row.value}${seed.value === "" ? "" : `/${seed.value}`}`;
}

let latest = 0;
async function show({ a, b }) {
  const turn = (latest += 1);
  try {
    for (const { table } of [a, b]) await readTable(table);
    if (turn !== latest) return;
    choose("a", a);
    choose("b", b);
    history.replaceState(null, "", `#${address("a")}&${address("b")}`);
    const [one, other] = [chosen("a"), chosen("b")];
    const curves = [];
    for (const side of [one, other]) {
      curves.push(side.trial ? await readCurves(side.trial) : side.row.curves);
    }
    if (turn !== latest) return;
    const charts = {};
    place.replaceChildren(
      make("h2", {}, `${one.name} against ${other.name}`),
      ...differing(one, other),
      ...tested(one, other),
      ...drawn(one, other, curves, charts),
      ...mapped(one, other),
      ...sampled(one, other),
    );
    document.getElementById("said").textContent = `Compared: ${one.name} against ${other.name}`;
    window.lcmaCharts = charts;
    if (window.draw) window.draw();
    else await load("assets/charts.js");
  } catch (error) {
    if (turn !== latest) return;
    place.replaceChildren(make("p", { class: "note bad", role: "alert" }, error.message));
  }
}

// What is shown; stored text comes in as text alone

function make(tag, attributes, ...content) {
  const svg = ["svg", "rect", "line"].includes(tag);
  const made = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...content);
  return made;
}

function section(title, ...content) {
  const id = `of-${title.toLowerCase().replace(/\W+/g, "-")}`;
  return [make("section", { "aria-labelledby": id }, make("h3", { id }, title), ...content)];
}

function table(label, heads, rows) {
  const cell = (text, k) => make(k ? "td" : "th", k ? { class: "num" } : { scope: "row" }, text);
  const head = (text, k) => make("th", { scope: "col", class: k ? "num" : "" }, text);
  return make("div", { class: "scroll fits", role: "region", tabindex: "0", "aria-label": `Table: ${label}` },
    make("table", {},
      make("thead", {}, make("tr", {}, ...heads.map(head))),
      make("tbody", {}, ...rows.map((row) => make("tr", {}, ...row.map(cell))))));
}

// A name may be one that every object has, such as constructor.
function get(from, name) {
  return Object.hasOwn(from, name) ? from[name] : undefined;
}

function number(value, sign) {
  if (value === null || value === undefined) return "-";
  return `${sign && value >= 0 ? "+" : ""}${value.toFixed(4)}`;
}

function chance(p) {
  if (p === null) return "-";
  return p < 0.001 ? "p < 0.001" : `p = ${p.toPrecision(3)}`;
}

function facts({ table: own, row, trial }) {
  return {
    ...own.facts,
    factorization: row.factorization,
    budget: row.budget === null ? "none" : String(row.budget),
    "map options": row.options ?? "the usual",
    ...(trial ? { seed: String(trial.seed) } : {}),
    ...own.settings,
  };
}

function result({ table: own, row, trial }) {
  if (trial) {
    if (trial.value === null) return trial.state;
    return number(trial.value) + (trial.error === null ? "" : ` ± ${number(trial.error)} (standard error)`);
  }
  const half = row.half === null ? "" : ` ± ${number(row.half)}`;
  return `${number(row.mean)}${half}, n = ${row.seeds.length}`;
}

function differing(one, other) {
  const [own, others] = [facts(one), facts(other)];
  const names = [...new Set([...Object.keys(own), ...Object.keys(others)])];
  const differ = names.filter((name) => get(own, name) !== get(others, name));
  const rows = differ.map((name) => [name, get(own, name) ?? "-", get(others, name) ?? "-"]);
  const link = ({ table: of, trial }) => {
    const [href, text] = trial?.page ? [trial.page, "its page"] : [of.board, "its table"];
    return make("a", { href }, text);
  };
  const measure = one.table.measure === other.table.measure ? one.table.measure : "result";
  rows.push([measure, result(one), result(other)], ["more", link(one), link(other)]);
  const same = names.length - differ.length;
  const under = differ.length
    ? `The other ${same} facts and settings of the recipe are the same.`
    : "Nothing in rule, recipe and data differs.";
  return section("What differs", table("What differs", ["fact", "first", "second"], rows), make("p", { class: "quiet" }, under));
}

function find(one, other) {
  const [i, j] = [one.at, other.at].sort((x, y) => x - y);
  const count = one.table.tested;
  if (j >= count) return undefined;
  const found = one.table.tests[i * count - (i * (i + 1)) / 2 + (j - i - 1)];
  if (!found) return null;
  const sign = one.at < other.at ? 1 : -1; // tests are of the better row less the other
  const [n, mean, half, flip, holm, detectable, differences] = found;
  const seeds = new Set(other.row.seeds.map(([seed]) => seed));
  const common = one.row.seeds.filter(([seed]) => seeds.has(seed)).map(([seed]) => seed).sort((x, y) => x - y);
  const bySeed = differences.map((value, k) => [common[k], (sign * value) / UNIT]);
  return { n, mean: sign * mean, half, flip, holm, detectable, bySeed };
}

function tested(one, other) {
  const say = (...text) => section("Paired test", ...text.map((some) => make("p", {}, some)));
  if (one.tableName !== other.tableName) {
    return say("No test: these stand in different tables, since what differs above keeps their numbers from being compared seed by seed.");
  }
  if (one.trial || other.trial) return ofTrials(one, other, say);
  if (one.at === other.at) return say("This is one row twice: choose another.");
  const test = find(one, other);
  if (test === undefined) return say(`No test: of this table the ${one.table.tested} best rows are tested with each other.`);
  if (test === null) return say("No test: the two have no seed in common.");
  const better = { lower: "below zero the first is better", higher: "above zero the first is better" };
  const own = new Map(one.row.seeds);
  const others = new Map(other.row.seeds);
  const list = [
    ["first minus second", `${number(test.mean, true)} ${one.table.measure}; ${better[one.table.direction] ?? ""}`],
    ["95 % t-interval", test.half === null ? "-" : `${number(test.mean - test.half, true)} to ${number(test.mean + test.half, true)}`],
    ["exact sign-flip test", chance(test.flip)],
    ["paired t, Holm over all pairs of the table", chance(test.holm)],
    ["n", `${test.n} ${test.n === 1 ? "seed" : "seeds"}`],
    ["could have shown (80 % power)", number(test.detectable)],
  ];
  const notes = test.n < one.table.enough ? [`Nothing is decided with fewer than ${one.table.enough} seeds.`] : [];
  return section(
    "Paired test",
    make("div", { class: "columns" },
      make("div", {},
        make("dl", { class: "test" }, ...list.flatMap(([name, text]) => [make("dt", {}, name), make("dd", {}, text)])),
        ...notes.map((text) => make("p", { class: "quiet" }, text))),
      make("div", {}, forest(test),
        table("Difference by seed", ["seed", "first", "second", "difference"],
          test.bySeed.map(([seed, value]) => [String(seed), number(own.get(seed)), number(others.get(seed)), number(value, true)])))),
  );
}

function ofTrials(one, other, say) {
  const both = one.trial && other.trial;
  const test = both && one.trial.seed === other.trial.seed && one.at !== other.at ? find(one, other) : null;
  const found = test?.bySeed.find(([seed]) => seed === one.trial.seed);
  const first = found
    ? `First minus second at this seed: ${number(found[1], true)} ${one.table.measure}.`
    : both ? "The trials have different seeds, so their noise differs too." : "A mean over seeds beside a single trial.";
  return say(`${first} One trial has no test: choose "all seeds" of two rows for that.`);
}

function forest(test) {
  const ends = [0, test.mean - (test.half ?? 0), test.mean + (test.half ?? 0), ...test.bySeed.map(([, value]) => value)];
  const [least, most] = [Math.min(...ends), Math.max(...ends)];
  const room = 0.04 * (most - least) || 0.5;
  const at = (value) => (100 * (value - least + room)) / (most - least + 2 * room);
  const line = (kind, value, y1, y2) => make("line", { class: kind, x1: at(value), x2: at(value), y1, y2 });
  const label = `Interval and seeds of the difference: ${number(test.mean, true)}, seeds ${test.bySeed.map(([, value]) => number(value, true)).join(" ")}`;
  const parts = [line("base", 0, 0, 14), line("mean", test.mean, 0, 14), ...test.bySeed.map(([, value]) => line("seed", value, 7, 7))];
  if (test.half !== null) {
    parts.unshift(make("rect", { class: "range", x: at(test.mean - test.half), width: at(test.mean + test.half) - at(test.mean - test.half), y: 4, height: 6 }));
  }
  return make("div", { class: "bar wide" },
    make("span", { class: "ends", "aria-hidden": "true" }, make("span", {}, number(least - room, true)), make("span", {}, number(most + room, true))),
    make("svg", { viewBox: "0 0 100 14", preserveAspectRatio: "none", role: "img", "aria-label": label }, ...parts));
}

function drawn(one, other, curves, charts) {
  const sides = [one, other].map((side, line) => ({ ...side, line, curves: curves[line] ?? {} }));
  const metrics = [...new Set(sides.flatMap((side) => Object.keys(side.curves)))].sort();
  const figures = metrics.map((metric, k) => {
    const shown = sides.filter((side) => get(side.curves, metric)?.length);
    const points = shown.flatMap((side) => side.curves[metric].map(([step, value, low, high]) => ({ line: side.line, step, value, low, high })));
    if (!points.length) return null;
    const last = Math.max(...points.map((point) => point.step));
    const late = points.filter((point) => point.step >= EARLY * last);
    const [low, high] = [Math.min(...points.map((point) => point.low)), Math.max(...late.map((point) => point.high))];
    const room = 0.05 * (high - low) || 0.05;
    const chart = structuredClone(spec);
    const title = metric.endsWith("_bits_per_dim") ? `bits/dim, ${metric.slice(0, -13)}` : metric.replaceAll("_", " ");
    for (const layer of chart.layer) {
      layer.encoding.y = { ...layer.encoding.y, title, scale: { domain: [low - room, high + room], zero: false, nice: false } };
    }
    chart.datasets = { lines: points };
    const end = (side) => side.curves[metric].at(-1);
    const words = `${title} over training steps: ${shown.map((side) => `${side.name} ${end(side)[1].toFixed(4)} at step ${end(side)[0]}`).join(", ")}`;
    chart.description = words;
    charts[`curve-${k}`] = chart;
    return make("figure", { class: "chart" },
      make("div", { class: "vega", id: `curve-${k}`, role: "img", "aria-label": words }),
      make("figcaption", {}, `${words}.`));
  });
  const found = figures.filter(Boolean);
  if (!found.length) return section("Curves", make("p", { class: "quiet" }, "Neither has a curve here."));
  const legend = sides.filter((side) => Object.keys(side.curves).length).map((side) => {
    const stroke = make("svg", { class: "stroke", viewBox: "0 0 40 8", "aria-hidden": "true" }, make("line", { class: `line-${side.line}`, x1: 0, x2: 40, y1: 4, y2: 4 }));
    return make("li", {}, stroke, ` ${side.name}`);
  });
  const bands = sides.some((side) => !side.trial) // a trial is a line of its own
    ? [make("p", { class: "quiet" }, "Of all seeds the mean, with a band from the lowest to the highest.")]
    : [];
  return section("Curves",
    ...bands,
    make("ul", { class: "swatches", "aria-label": "Lines" }, ...legend),
    make("div", { class: "columns" }, ...found));
}

function besides(title, one, other, has, picture, nothing) {
  const column = (side) => {
    const trial = [side.trial ?? side.row.trials.find(has)].find((found) => found && has(found));
    const heading = side.name + (trial && !side.trial ? `, seed ${trial.seed}` : "");
    const below = trial ? picture(trial, side) : make("p", { class: "quiet" }, nothing(side));
    return make("div", {}, make("h4", {}, heading), below);
  };
  return section(title, make("div", { class: "columns" }, column(one), column(other)));
}

function splits(trial, { table: own, name }) {
  const channels = own.channels === 3 ? ["red", "green", "blue"] : [...Array(own.channels).keys()].map((k) => `channel ${k}`);
  const page = trial.maps.replace(/^images\//, "maps/").replace(/-b\d+$/, ".html");
  const more = make("p", { class: "quiet" }, make("a", { href: page }, `Index tables and numbers of the maps of ${name}`));
  return make("div", {}, make("div", { class: "panels" }, ...[...Array(own.splits).keys()].map((k) => make("figure", {},
    make("div", { class: "row" }, ...channels.map((channel, c) => make("img", {
      class: "pixels", src: `${trial.maps}-s${k + 1}-${c}.png`, alt: `Contribution map of ${name} up to split ${k + 1}, ${channel}`,
    }))),
    make("figcaption", {}, `Split ${k + 1}: ${channels.join(", ")}`)))), more);
}

function sheet(trial, { name }) {
  return make("div", { class: "sheet wide" }, make("img", { src: trial.samples, alt: `Samples of ${name}`, loading: "lazy" }));
}

function mapped(one, other) {
  const nothing = ({ row }) => (row.budget === null ? "It reads no map." : "Its maps are not drawn here.");
  return besides("Contribution maps", one, other, (trial) => trial.maps, splits, nothing);
}

function sampled(one, other) {
  return besides("Samples", one, other, (trial) => trial.samples, sheet, () => "No samples of it are drawn here.");
}

form.addEventListener("submit", (event) => event.preventDefault());
form.addEventListener("change", ({ target }) => {
  const read = (side) => {
    const { table, row, seed } = choosers[side];
    const changed = target === table ? {} : { row: row.value, seed: target === row ? "" : seed.value };
    return { table: table.value, ...(Object.values(choosers[side]).includes(target) ? changed : { row: row.value, seed: seed.value }) };
  };
  show({ a: read("a"), b: read("b") });
});
addEventListener("hashchange", () => show(readAddress()));
show(readAddress());
