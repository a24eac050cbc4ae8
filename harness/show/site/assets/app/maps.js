"use strict";
// The contribution maps of a pretraining at its budgets, drawn from the database.

const SHADES = [[0, 34, 78], [65, 77, 107], [124, 123, 120], [188, 175, 111], [254, 232, 56]]; // cividis
const DATA_SCORES = /^(variance|precision)-/; // scores of maps of the data
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

function findShade(share) {
  const position = Math.min(Math.max(share, 0), 1) * (SHADES.length - 1);
  const index = Math.min(Math.floor(position), SHADES.length - 2);
  return SHADES[index].map((level, k) => Math.round(level + (position - index) * (SHADES[index + 1][k] - level)));
}

function drawMap(canvas, values, offset, [lowest, highest], kept) {
  const { width, height } = canvas;
  const context = canvas.getContext("2d");
  const columns = width / PIXEL_SIZE;
  for (let k = 0; k < columns * (height / PIXEL_SIZE); k += 1) {
    const [x, y] = [(k % columns) * PIXEL_SIZE, Math.floor(k / columns) * PIXEL_SIZE];
    const shade = findShade((values[offset + k] - lowest) / (highest - lowest || 1));
    context.fillStyle = `rgb(${shade.join(" ")})`;
    context.fillRect(x, y, PIXEL_SIZE, PIXEL_SIZE);
    if (!kept) continue;
    const bit = offset + k;
    if (kept[bit >> 3] & (128 >> (bit & 7))) continue;
    context.fillStyle = "rgb(255 255 255 / 80%)"; // this position has left
    context.fillRect(x, y, PIXEL_SIZE, PIXEL_SIZE);
  }
}

const nameChannels = (channels) =>
  (channels === 3 ? ["red", "green", "blue"] : Array.from({ length: channels }, (_, k) => `channel ${k}`));

const FORMS = { squeezed: "", self: "split by split" };

function nameSeries(series) {
  if (series.nms === "data") return `${series.score} of ${dataOf(series)}, seed ${series.seed}`;
  const form = FORMS[series.nms] ?? series.nms;
  const parts = [`${flowOf(series.flow)} on ${dataOf(series)}`, `seed ${series.seed}`, form, series.score === "cumulative" ? "" : series.score];
  return `${parts.filter(Boolean).join(", ")} (${series.recipe_id.slice(0, 6)})`;
}

const writeMapsSql = (series) => `SELECT budget, split, mean_log_det, rank_gap, standard_error, mask_share, mask_share_by_chance, images
FROM contribution_maps
WHERE pretraining_id = ${literal(series.pretraining_id)} AND score = ${literal(series.score)}
  AND data_digest = ${literal(series.data_digest)}
ORDER BY budget, split`;

async function showMaps(search) {
  const allSeries = await select(SERIES_SQL);
  const title = "Maps";
  if (!allSeries.length) return [heading(title, "There are no contribution maps in these results yet.")];
  const keyOf = (series) => `${series.pretraining_id}:${series.score}:${series.data_digest.slice(0, 8)}`;
  const wanted = search.get("series") || keyOf(allSeries[0]);
  const chosen = allSeries.find((series) => keyOf(series) === wanted);
  if (!chosen) {
    return [heading(title, "These results have no such map."), make("p", { class: "note" }, link("All maps", "maps"))];
  }
  const state = { series: keyOf(chosen), ...readState(search, ["budget", "split", "channel", "rule"]) };
  const keys = [chosen.pretraining_id, chosen.data_digest];
  const isOfData = chosen.nms === "data" || DATA_SCORES.test(chosen.score);
  const [maps, tables] = await Promise.all([
    select(MAPS_SQL, [...keys, chosen.score]),
    isOfData || chosen.score === "cumulative" ? select(TABLES_SQL, keys) : [], // of trials by the default score
  ]);
  const budgets = [...new Set(maps.map((map) => map.budget))];
  const splits = [...new Set(maps.map((map) => map.split))];
  const channels = nameChannels(maps[0].channels);
  const rules = [...new Set(tables.map((table) => table.factorization))]
    .filter((rule) => chosen.nms !== "data" || rule === chosen.score).sort();
  const container = make("div", { class: "maps" });
  const output = make("output", { for: "budget" });
  const slider = make("input", { type: "range", id: "budget", name: "budget", min: "0", max: String(budgets.length - 1) });
  slider.value = String(Math.max(0, state.budget === "" ? budgets.length - 1 : budgets.indexOf(Number(state.budget))));

  const fill = () => {
    const budget = budgets[Number(slider.value)];
    const text = `${budget.toLocaleString("en")} steps`;
    output.textContent = isOfData ? "no pretraining" : text;
    slider.setAttribute("aria-valuetext", text);
    const shown = maps.filter((map) => map.budget === budget && (!state.split || String(map.split) === state.split));
    container.replaceChildren(...shown.map((map) => makeMapRow(map, channels, state, isOfData,
      tables.find((table) => table.factorization === state.rule && table.budget === budget && table.split === map.split))));
  };
  const form = makeForm("Maps", ({ target }) => {
    if (target === slider) state.budget = String(budgets[Number(slider.value)]);
    else state[target.name] = target.value;
    replaceAddress("maps", state);
    if (target.name !== "series") fill();
    else {
      replaceAddress("maps", { series: state.series });
      refreshView("series");
    }
  },
  makeSelect("series", "Pretraining", allSeries.map((series) => [keyOf(series), nameSeries(series)]), state.series),
  makeSelect("split", "Split", splits.map((split) => [String(split), `up to split ${split}`]), state.split, "all"),
  makeSelect("channel", "Channel", channels.map((name, k) => [String(k), name]), state.channel, "all"),
  makeSelect("rule", "Pale: positions that leave by", rules.map((rule) => [rule, ruleOf(rule)]), state.rule, "nothing"),
  budgets.length > 1 ? make("label", { class: "slider" }, "Steps of pretraining ", slider, output) : null);
  fill();
  const lead = isOfData ? "A map of the data: a statistic of each position of the images, without any flow."
    : "What each position adds to the log-determinant up to a split, averaged over the training images. Rules read these maps.";
  return [
    heading(title, lead, sqlLink(writeMapsSql(chosen))),
    form, container,
  ];
}

function makeMapRow(map, channels, state, isOfData, table) {
  const values = new Float32Array(map.values.slice().buffer); // a copy is aligned
  const range = [Math.min, Math.max].map((choose) => values.reduce((end, value) => choose(end, value)));
  const size = map.height * map.width;
  const unit = isOfData ? "squared pixel values" : "nats";
  const round = (value) => Number(value.toPrecision(3));
  const paleNote = table ? `; pale positions leave by ${ruleOf(table.factorization)}` : "";
  const missingNote = state.rule && !table ? `; ${ruleOf(state.rule)} was not trained at this budget` : "";
  const pictures = channels.map((name, k) => {
    if (state.channel && state.channel !== String(k)) return null;
    const mean = values.subarray(k * size, (k + 1) * size).reduce((sum, value) => sum + value, 0) / size;
    const canvas = make("canvas", {
      width: map.width * PIXEL_SIZE, height: map.height * PIXEL_SIZE, role: "img",
      "aria-label": `Map up to split ${map.split}, ${name}, mean ${round(mean)} ${unit}${paleNote}`,
    });
    drawMap(canvas, values, k * size, range, table?.kept);
    return make("figure", {}, canvas, make("figcaption", {}, name));
  });
  return make("section", {},
    make("h2", {}, `Up to split ${map.split} `,
      make("small", {}, `${round(range[0])} to ${round(range[1])} ${unit}, dark to bright${missingNote}`)),
    make("div", { class: "row" }, ...pictures));
}
