"use strict";
// The difference from the flow's own rule by budget of the pretraining, and its cost.

const MIN_PAIRS = 6; // pairs of seeds; fewer decide nothing
const CURVE_KEY = ["factorization", "map_options", "protocol", "precision", "data_digest", "recipe_id"];

async function showBudgets(search) {
  const rows = await select(`SELECT * FROM budget_rows ORDER BY budget IS NULL, budget`);
  const groups = [...Map.groupBy(rows, (row) => JSON.stringify(CURVE_KEY.map((name) => row[name]))).values()]
    .filter((group) => group.filter((row) => row.budget !== null).length > 1)
    .sort((a, b) => b.length - a.length);
  const title = "Budgets";
  const lead = "How much pretraining a rule needs: its difference from the flow's own rule, and what a trial costs " +
    "with its own pretraining.";
  if (!groups.length) return [heading(title, lead), make("p", { class: "note" }, "No rule has been trained at two budgets yet.")];
  const keyOf = ([{ recipe_id: recipe, factorization, data_digest: data, map_options: options, protocol, precision }]) =>
    [recipe, factorization, data.slice(0, 8), options ?? "", protocol === "plain" ? "" : protocol,
      precision === "float32" ? "" : precision].join(" ").trim();
  const chosen = groups.find((group) => keyOf(group) === search.get("curve")) ?? groups[0];
  const nameCurve = ([row]) => `${nameRow({ ...row, budget: null })} of ${nameTable(row)} (${[row.recipe_id.slice(0, 6), row.protocol].filter((part) => part !== "plain").join(", ")})`;
  const form = makeForm("Curve", ({ target }) => {
    replaceAddress("budgets", { curve: target.value });
    refreshView("curve");
  }, makeSelect("curve", "Rule and table", groups.map((group) => [keyOf(group), nameCurve(group)]), keyOf(chosen)));
  return [heading(title, lead, sqlLink(writeBudgetSql(chosen[0]))), form, ...drawBudgets(chosen)];
}

function writeBudgetSql(row) {
  return `SELECT * FROM budget_rows
WHERE recipe_id = ${literal(row.recipe_id)}
  AND data_digest = ${literal(row.data_digest)}
  AND ${equals("factorization", row.factorization)} AND ${equals("map_options", row.map_options)}
  AND ${equals("protocol", row.protocol)} AND ${equals("precision", row.precision)}
ORDER BY budget`;
}

function drawBudgets(group) {
  const rows = group.filter((row) => row.budget !== null);
  const smallest = rows.find((row) => row.smallest_enough === 1);
  const paired = rows.filter((row) => row.from_conventional_mean !== null);
  const means = paired.map((row) => ({
    budget: row.budget, mean: row.from_conventional_mean, n: row.from_conventional_n,
    low: row.from_conventional_low ?? row.from_conventional_mean, high: row.from_conventional_high ?? row.from_conventional_mean,
    enough: row.smallest_enough === 1,
  }));
  const namedBudgets = [null, rows[0].budget, rows.at(-1).budget, smallest?.budget]; // more names would overlap
  const name = ({ budget }) => budget ?? "own rule";
  const [first] = group;
  const cost = first.cost === "images" ? "images" : "seconds"; // by which the front was computed
  const known = group.filter((row) => row[cost] !== null);
  const nameCost = (row) => (cost === "images" ? count(row.images, "image") : duration(row.seconds));
  const costs = known.map((row) => ({
    name: namedBudgets.includes(row.budget) ? String(name(row)) : "", cost: row[cost], mean: row.holdout,
    low: row.holdout - (row.half_width ?? 0), high: row.holdout + (row.half_width ?? 0),
    on_front: row.on_front === 1,
  }));
  const scale = findScale(means.flatMap(({ low, high }) => [low, high]));
  const unit = nameUnit(first);
  const hasHoldout = first.chosen_by.startsWith("holdout_");
  const part = hasHoldout ? "holdout" : first.measure;
  return [
    make("div", { class: "columns" },
      means.length ? makeSection("Difference from the own rule",
        makeChart("budgets", { means, seeds: [], base: [{ name: "own rule", value: 0, low: 0, high: 0 }] }, {
          label: `Difference by budget: ${means.map(({ mean, budget }) => `${number(mean, 4, true)} at ${budget}`).join(", ")}`,
          caption: `Mean and 95 % interval${hasHoldout ? ", by the holdout part" : ""}${smallest ? "; green: the smallest budget that is enough" : ""}`,
          titles: { y: `difference, ${unit}` },
        })) : null,
      costs.length > 1 ? makeSection("Cost and result",
        makeChart("front", { costs }, {
          label: `Result by cost: ${known.map((row) => `${name(row)} ${number(row.holdout)} for ${nameCost(row)}`).join(", ")}`,
          caption: `Result${hasHoldout ? " on the holdout part" : ""} by budget. A mark is filled if no other is both cheaper and better`,
          titles: { x: `${cost === "images" ? "training images" : cost} of a trial with its own pretraining`, y: `${part}, ${unit}` },
        })) : null),
    makeTable("Budgets", ["budget", "n", part, "test", "minus own rule", "", "pretraining", "with training"]
      .map((text) => (text ? { num: text } : "")), group.map((row) => makeBudgetRow(row, scale))),
    make("p", { class: "quiet" }, hasHoldout ? "Budgets are chosen by the holdout part. " : null,
      smallest ? `The smallest that is shown to be enough (worse than the longest by no more than a margin): ${smallest.budget} steps.` : ""),
  ];
}

// The colour of a difference, as the board judges it.
function judgeDifference({ direction, from_conventional_n: n, from_conventional_low: low, from_conventional_high: high }) {
  if (n < MIN_PAIRS || low * high <= 0) return "open"; // the interval contains zero
  return (low > 0) === (direction === "higher") ? "good" : "bad";
}

function makeBudgetRow(row, scale) {
  const { from_conventional_mean: mean, from_conventional_low: low, from_conventional_high: high } = row;
  const results = [{ num: String(row.n) }, { num: number(row.holdout) }, { num: number(row.test) }];
  if (row.budget === null) {
    return [{ num: "own rule" }, ...results, { num: "" }, "", { num: "" }, { num: duration(row.seconds) }];
  }
  return [
    { num: String(row.budget) }, ...results, { num: difference(mean, low, high) },
    mean === null ? "" : drawIntervals([{ mean, low, high, kind: judgeDifference(row) }], scale),
    { num: duration(row.pretraining_seconds) }, { num: duration(row.seconds) },
  ];
}
