"use strict";
// Two rows of the board side by side: their seeds, differences and settings.

async function readRow(key) {
  const [row] = await select(`${BOARD_SQL} WHERE row_key = ?`, [key]);
  return row ?? null;
}

// The settings of a recipe by their dotted names.
function flatten(value, name = "", settings = new Map()) {
  if (value !== null && typeof value === "object" && !Array.isArray(value)) {
    for (const [key, part] of Object.entries(value)) flatten(part, name ? `${name}.${key}` : key, settings);
  } else settings.set(name, Array.isArray(value) ? JSON.stringify(value) : String(value));
  return settings;
}

async function readSettings(row) {
  const [recipe] = await select("SELECT body FROM recipes WHERE id = ?", [row.recipe_id]);
  const rowSettings = [
    ["flow", row.flow], ["data set", dataOf(row)], ["rule", row.label],
    ["budget", row.budget === null ? "none" : String(row.budget)],
    ["map options", optionsOf(row.map_options) || "default"],
    ["data", row.data_digest.slice(0, 12)], ["protocol", row.protocol], ["precision", row.precision],
  ];
  return new Map([...rowSettings, ...(recipe ? flatten(JSON.parse(recipe.body)) : [])]);
}

const writeTestSql = (pairs) => `WITH pairs AS (${pairs})
SELECT pairs.*, n, mean, quantile * sqrt(squares / freedom / n) AS half
FROM pairs, (
    SELECT count(*) AS n, count(*) - 1 AS freedom, avg(difference) AS mean,
           sum(difference * difference) - sum(difference) * sum(difference) / count(*) AS squares
    FROM pairs
) LEFT JOIN t_quantiles USING (freedom)
ORDER BY seed`;

function writePairsSql(first, second, measure) {
  const writeCondition = ({ factorization, budget, map_options: options }, alias) => [
    equals(`${alias}.factorization`, factorization), equals(`${alias}.budget`, budget), equals(`${alias}.map_options`, options),
  ].join(" AND ");
  return `SELECT first.seed, first.value AS a, second.value AS b, first.value - second.value AS difference
FROM measures AS first
JOIN measures AS second USING (dataset, variant, recipe_id, data_digest, protocol, precision, measure, seed)
WHERE dataset = ${literal(first.dataset)} AND variant = ${literal(first.variant)}
  AND recipe_id = ${literal(first.recipe_id)}
  AND data_digest = ${literal(first.data_digest)}
  AND protocol = ${literal(first.protocol)} AND precision = ${literal(first.precision)}
  AND measure = ${literal(measure)}
  AND ${writeCondition(first, "first")}
  AND ${writeCondition(second, "second")}
ORDER BY first.seed`;
}

async function showCompare(search) {
  const tables = (await readBoard()).filter((row) => row.n !== null);
  await readRules();
  const chosen = ["a", "b"].map((side) => tables.find((row) => row.row_key === search.get(side)) ?? null);
  const table = Number(search.get("table")) || (chosen[0] ?? chosen[1])?.table_number || tables[0]?.table_number;
  const rows = tables.filter((row) => row.table_number === table);
  if (!rows.length) return [heading("Compare", "There are no results to compare yet.")];
  const [a, b] = [chosen[0] ?? rows[1] ?? rows[0], chosen[1] ?? rows[0]];
  const form = makeForm("Rows to compare", ({ target }) => {
    const values = Object.fromEntries(new FormData(form));
    replaceAddress("compare", target.name === "table" ? { table: values.table } : { a: values.a, b: values.b });
    refreshView(target.name);
  },
  makeSelect("table", "Table", [...new Map(tables.map((row) => [row.table_number, row]))].map(([key, row]) =>
    [String(key), `${nameTable(row)}${row.settings ? `, ${settingsOf(row.settings)}` : ""}`]), String(table)),
  makeSelect("a", "First", makeChoices(rows, a), a.row_key),
  makeSelect("b", "Second", makeChoices(rows, b), b.row_key));
  const same = a.table_number === b.table_number;
  const pairsSql = writePairsSql(a, b, await readFact("measure") ?? "bits_per_dim");
  return [
    heading(`${nameRow(a)} against ${nameRow(b)}`, same ? `${nameTable(a)}. ${describeTable(a)}` : "Rows of two tables",
      same ? sqlLink(pairsSql) : null),
    chosen.some((row, k) => !row && search.get("ab"[k])) ? make("p", { class: "note" }, "These results have no such row.") : null,
    form,
    same && a !== b ? await showPairs(a, b, pairsSql) : make("p", { class: "note" }, a === b ? "This is the same row twice: choose another."
      : "These rows are in different tables: because of the differences below, they cannot be compared seed by seed."),
    await showDifferences(a, b),
  ];
}

const makeChoices = (rows, chosen) => [...(rows.includes(chosen) ? rows : [chosen, ...rows])].map((row) =>
  [row.row_key, `${nameRow(row)}${row.is_own ? " (own rule)" : ""}`]);

async function showPairs(a, b, pairsSql) {
  const pairs = await select(writeTestSql(pairsSql));
  if (!pairs.length) return make("p", { class: "note" }, "These two rows have no seed in common.");
  const [{ n, mean, half }] = pairs;
  const unit = nameUnit(a);
  const directionNote = { lower: "Below zero the first is better.", higher: "Above zero the first is better." }[a.direction] ?? "";
  const verdict = b.is_own ? a.than : a.is_own ? b.than : null;
  const phrase = { better: "is better than", worse: "is worse than", neither: "does not differ significantly from" }[verdict];
  const sentence = phrase === undefined ? null : b.is_own ? [nameRow(a), phrase, nameRow(b)] : [nameRow(b), phrase, nameRow(a)];
  const interval = half === null ? "" : `, 95 % interval ${number(mean - half, 4, true)} to ${number(mean + half, 4, true)}`;
  return make("section", { "aria-label": "Seeds in pairs" },
    make("p", { class: "result" }, make("strong", {}, `${number(mean, 4, true)} ${unit}`), `${interval}, n = ${n}. ${directionNote}`),
    sentence
      ? make("p", {}, make("strong", { class: `word says ${kindOf(verdict)}` }, sentence.join(" ")))
      : half === null ? null
        : make("p", { class: "quiet" }, "The interval is for this pair only; it does not allow for looking at many pairs."),
    makeChart("pairs", { pairs }, {
      label: `${nameRow(a)} and ${nameRow(b)} by seed, with differences`,
      caption: `Ring: ${nameRow(a)}. Dot: ${nameRow(b)}. A line for each seed`,
      titles: { x: unit },
    }),
    makeFold("The numbers",
      makeTable("Values by seed", ["seed", { num: nameRow(a) }, { num: nameRow(b) }, { num: "difference" }],
        pairs.map((pair) => [
          String(pair.seed), { num: number(pair.a) }, { num: number(pair.b) }, { num: number(pair.difference, 4, true) },
        ]), "fits")));
}

async function showDifferences(a, b) {
  const [first, second] = await Promise.all([readSettings(a), readSettings(b)]);
  const names = [...new Set([...first.keys(), ...second.keys()])];
  const differing = names.filter((name) => first.get(name) !== second.get(name));
  const picture = (row) => findPicture(row.rule);
  return makeSection("Differences",
    makeTable("Settings that differ", ["setting", "first", "second"], [
      ["picture", picture(a) ?? "–", picture(b) ?? "–"],
      ...differing.map((name) => [name, first.get(name) ?? "–", second.get(name) ?? "–"]),
      ["mean", number(a.mean), number(b.mean)],
      ["seeds", link(String(a.n), "trials", { row: a.row_key }), link(String(b.n), "trials", { row: b.row_key })],
    ], "fits"),
    make("p", { class: "quiet" }, `The other ${names.length - differing.length} settings are equal.`));
}
