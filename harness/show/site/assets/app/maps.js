"use strict";
// The contribution maps of a pretraining at its budgets, drawn from the database.

const SHADES = [[0, 34, 78], [65, 77, 107], [124, 123, 120], [188, 175, 111], [254, 232, 56]]; // cividis
const DATA_SCORES = /^(variance|precision|detail)-/; // scores of maps of the data
const PIXEL_SIZE = 12; // pixels of the canvas for each pixel of the image

const SERIES_SQL = `SELECT contribution_maps.pretraining_id, contribution_maps.data_digest, score,
       flow, dataset, variant, seed, nms, pretrainings.recipe_id, count(DISTINCT contribution_maps.budget) AS budgets
FROM contribution_maps
JOIN pretrainings ON pretrainings.id = contribution_maps.pretraining_id
JOIN jobs ON jobs.done_attempt_id = contribution_maps.attempt_id
GROUP BY contribution_maps.pretraining_id, contribution_maps.data_digest, score
ORDER BY budgets DESC, dataset, variant, flow, pretrainings.recipe_id, seed, score`;

const MAPS_SQL = `SELECT contribution_maps.*
FROM contribution_maps
JOIN jobs ON jobs.done_attempt_id = contribution_maps.attempt_id
WHERE contribution_maps.pretraining_id = ? AND contribution_maps.data_digest = ? AND score = ?
ORDER BY contribution_maps.budget, split`;

const TABLES_SQL = `SELECT factorization, budget, split, min(kept) AS kept
FROM flow_trials JOIN index_tables ON index_tables.trial_id = flow_trials.id
WHERE pretraining_id = ? AND data_digest = ? AND map_options IS NULL
GROUP BY factorization, budget, split`;

function decodeMap({ values, dtype, low, scale }) {
  const bytes = values.slice().buffer;
  if (dtype === "<f4") return new Float32Array(bytes);
  return Float32Array.from(values, (one) => low + scale * one);
}

function findShade(share) {
  const at = Math.min(Math.max(share, 0), 1) * (SHADES.length - 1);
  const from = Math.min(Math.floor(at), SHADES.length - 2);
  return SHADES[from].map((one, k) => Math.round(one + (at - from) * (SHADES[from + 1][k] - one)));
}

function drawMap(canvas, values, offset, [least, most], kept) {
  const { width, height } = canvas;
  const context = canvas.getContext("2d");
  const across = width / PIXEL_SIZE;
  for (let k = 0; k < across * (height / PIXEL_SIZE); k += 1) {
    const [x, y] = [(k % across) * PIXEL_SIZE, Math.floor(k / across) * PIXEL_SIZE];
    const shade = findShade((values[offset + k] - least) / (most - least || 1));
    context.fillStyle = `rgb(${shade.join(" ")})`;
    context.fillRect(x, y, PIXEL_SIZE, PIXEL_SIZE);
    if (!kept) continue;
    const at = offset + k;
    if (kept[at >> 3] & (128 >> (at & 7))) continue;
    context.fillStyle = "rgb(255 255 255 / 80%)"; // it has left
    context.fillRect(x, y, PIXEL_SIZE, PIXEL_SIZE);
  }
}

const nameChannels = (count) =>
  (count === 3 ? ["red", "green", "blue"] : Array.from({ length: count }, (_, k) => `channel ${k}`));

const FORMS = { squeezed: "", self: "split by split" };

function nameSeries(one) {
  if (one.nms === "data") return `${one.score} of ${dataOf(one)}, seed ${one.seed}`;
  const form = FORMS[one.nms] ?? one.nms;
  const parts = [`${flowOf(one.flow)} on ${dataOf(one)}`, `seed ${one.seed}`, form, one.score === "cumulative" ? "" : one.score];
  return `${parts.filter(Boolean).join(", ")} (${one.recipe_id.slice(0, 6)})`;
}

const writeMapsSql = (one) => `SELECT budget, split, mean_log_det, rank_gap, standard_error, mask_share, mask_share_by_chance, images
FROM contribution_maps
WHERE pretraining_id = ${literal(one.pretraining_id)} AND score = ${literal(one.score)}
ORDER BY budget, split`;

async function showMaps(search) {
  const series = await select(SERIES_SQL);
  const title = "Maps";
  if (!series.length) return [heading(title, "There are no contribution maps in these results yet.")];
  const keyOf = (one) => `${one.pretraining_id}:${one.score}:${one.data_digest.slice(0, 8)}`;
  const chosen = series.find((one) => keyOf(one) === search.get("series")) ?? series[0];
  const values = ["budget", "split", "channel", "rule"].map((name) => [name, search.get(name) ?? ""]);
  const state = { series: keyOf(chosen), ...Object.fromEntries(values) };
  const keys = [chosen.pretraining_id, chosen.data_digest];
  const [maps, tables] = await Promise.all([select(MAPS_SQL, [...keys, chosen.score]), select(TABLES_SQL, keys)]);
  const budgets = [...new Set(maps.map((one) => one.budget))];
  const splits = [...new Set(maps.map((one) => one.split))];
  const channels = nameChannels(maps[0].channels);
  const ofData = chosen.nms === "data" || DATA_SCORES.test(chosen.score);
  const rules = [...new Set(tables.map((one) => one.factorization))]
    .filter((rule) => chosen.nms !== "data" || rule === chosen.score).sort();
  const place = make("div", { class: "maps" });
  const output = make("output", { for: "budget" });
  const slider = make("input", { type: "range", id: "budget", name: "budget", min: "0", max: String(budgets.length - 1) });
  slider.value = String(Math.max(0, state.budget === "" ? budgets.length - 1 : budgets.indexOf(Number(state.budget))));

  const fill = () => {
    const budget = budgets[Number(slider.value)];
    const text = `${budget.toLocaleString("en")} steps`;
    output.textContent = ofData ? "no pretraining" : text;
    slider.setAttribute("aria-valuetext", text);
    const shown = maps.filter((one) => one.budget === budget && (!state.split || String(one.split) === state.split));
    place.replaceChildren(...shown.map((one) => makeMapRow(one, channels, state, ofData,
      tables.find((table) => table.factorization === state.rule && table.budget === budget && table.split === one.split))));
  };
  const form = makeForm("Maps", ({ target }) => {
    if (target === slider) state.budget = String(budgets[Number(slider.value)]);
    else state[target.name] = target.value;
    keepAddress("maps", state);
    if (target.name !== "series") fill();
    else {
      keepAddress("maps", { series: state.series });
      refreshView("series");
    }
  },
  makeSelect("series", "Pretraining", series.map((one) => [keyOf(one), nameSeries(one)]), state.series),
  makeSelect("split", "Split", splits.map((one) => [String(one), `up to split ${one}`]), state.split, "all"),
  makeSelect("channel", "Channel", channels.map((name, k) => [String(k), name]), state.channel, "all"),
  makeSelect("rule", "Pale: what leaves by", rules.map((rule) => [rule, ruleOf(rule)]), state.rule, "nothing"),
  budgets.length > 1 ? make("label", { class: "slider" }, "Steps of pretraining ", slider, output) : null);
  fill();
  const lead = ofData ? "A map of the data: a statistic of each position of the images, without any flow."
    : "What each position adds to the log-determinant up to a split, averaged over the training images. Rules read these maps.";
  return [
    heading(title, lead, sqlLink(writeMapsSql(chosen))),
    form, place,
  ];
}

function makeMapRow(one, channels, state, ofData, table) {
  const values = decodeMap(one);
  const range = [Math.min(...values), Math.max(...values)];
  const size = one.height * one.width;
  const unit = ofData ? "squared pixel values" : "nats";
  const round = (value) => Number(value.toPrecision(3));
  const left = table ? `; pale is what leaves by ${ruleOf(table.factorization)}` : "";
  const missing = state.rule && !table ? `; ${ruleOf(state.rule)} was not trained at this budget` : "";
  const pictures = channels.map((name, k) => {
    if (state.channel && state.channel !== String(k)) return null;
    const mean = values.subarray(k * size, (k + 1) * size).reduce((sum, value) => sum + value, 0) / size;
    const canvas = make("canvas", {
      width: one.width * PIXEL_SIZE, height: one.height * PIXEL_SIZE, role: "img",
      "aria-label": `Map up to split ${one.split}, ${name}, mean ${round(mean)} ${unit}${left}`,
    });
    drawMap(canvas, values, k * size, range, table?.kept);
    return make("figure", {}, canvas, make("figcaption", {}, name));
  });
  return make("section", {},
    make("h2", {}, `Up to split ${one.split} `,
      make("small", {}, `${round(range[0])} to ${round(range[1])} ${unit}, dark to bright${missing}`)),
    make("div", { class: "row" }, ...pictures));
}
