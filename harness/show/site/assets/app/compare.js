"use strict";
// Two rows of the board side by side: their seeds, differences and settings.

async function readRow(key) {
  const [row] = await select(`${BOARD_SQL} WHERE row_key = ?`, [key]);
  return row ?? null;
}

// Settings of a recipe as flat names with values.
function flatten(value, name = "", found = new Map()) {
  if (value !== null && typeof value === "object" && !Array.isArray(value)) {
    for (const [key, one] of Object.entries(value)) flatten(one, name ? `${name}.${key}` : key, found);
  } else found.set(name, Array.isArray(value) ? JSON.stringify(value) : String(value));
  return found;
}

async function readSettings(row) {
  const [recipe] = await select("SELECT body FROM recipes WHERE id = ?", [row.recipe_id]);
  const own = [
    ["flow", row.flow], ["data set", dataOf(row)], ["rule", row.label],
    ["budget", row.budget === null ? "none" : String(row.budget)],
    ["map options", optionsOf(row.map_options) || "default"],
    ["data", row.data_digest.slice(0, 12)], ["protocol", row.protocol], ["precision", row.precision],
  ];
  return new Map([...own, ...(recipe ? flatten(JSON.parse(recipe.body)) : [])]);
}

const PAIRED_SQL = `WITH pairs AS (
    SELECT one.seed, one.value AS a, other.value AS b, one.value - other.value AS difference
    FROM board_seeds AS one JOIN board_seeds AS other ON other.seed = one.seed
    WHERE one.row_key = ? AND other.row_key = ?
)
SELECT pairs.*, n, mean, quantile * sqrt(squares / freedom / n) AS half
FROM pairs, (
    SELECT count(*) AS n, count(*) - 1 AS freedom, avg(difference) AS mean,
           sum(difference * difference) - sum(difference) * sum(difference) / count(*) AS squares
    FROM pairs
) LEFT JOIN t_quantiles USING (freedom)
ORDER BY seed`;

function writePairsSql(one, other, measure) {
  const side = ({ factorization, budget, map_options: options }, name) => [
    equals(`${name}.factorization`, factorization), equals(`${name}.budget`, budget), equals(`${name}.map_options`, options),
  ].join(" AND ");
  return `SELECT one.seed, one.value AS a, other.value AS b, one.value - other.value AS difference
FROM measures AS one
JOIN measures AS other USING (recipe_id, data_digest, protocol, precision, measure, seed)
WHERE recipe_id = ${literal(one.recipe_id)}
  AND data_digest = ${literal(one.data_digest)}
  AND protocol = ${literal(one.protocol)} AND measure = ${literal(measure)}
  AND ${side(one, "one")}
  AND ${side(other, "other")}
ORDER BY one.seed`;
}

async function showCompare(search) {
  const tables = await select(`${BOARD_SQL} WHERE n IS NOT NULL ORDER BY table_number, is_own DESC, mean`);
  await readRules();
  const chosen = ["a", "b"].map((side) => tables.find((row) => row.row_key === search.get(side)) ?? null);
  const table = Number(search.get("table")) || (chosen[0] ?? chosen[1])?.table_number || tables[0]?.table_number;
  const rows = tables.filter((row) => row.table_number === table);
  if (!rows.length) return [heading("Compare", "There are no results to compare yet.")];
  const [a, b] = [chosen[0] ?? rows[1] ?? rows[0], chosen[1] ?? rows[0]];
  const form = makeForm("Rows to compare", ({ target }) => {
    const values = Object.fromEntries(new FormData(form));
    keepAddress("compare", target.name === "table" ? { table: values.table } : { a: values.a, b: values.b });
    refreshView(target.name);
  },
  makeSelect("table", "Table", [...new Map(tables.map((row) => [row.table_number, row]))].map(([key, row]) =>
    [String(key), `${nameTable(row)}${row.settings ? `, ${settingsOf(row.settings)}` : ""}`]), String(table)),
  makeSelect("a", "First", withRow(rows, a), a.row_key),
  makeSelect("b", "Second", withRow(rows, b), b.row_key));
  const same = a.table_number === b.table_number;
  return [
    heading(`${nameRow(a)} against ${nameRow(b)}`, same ? `${nameTable(a)}. ${describeTable(a)}` : "Rows of two tables",
      same ? sqlLink(writePairsSql(a, b, await readFact("measure") ?? "bits_per_dim")) : null),
    form,
    same && a !== b ? await showPairs(a, b) : make("p", { class: "note" }, a === b ? "This is the same row twice: choose another."
      : "These rows are in different tables: because of the differences below, they cannot be compared seed by seed."),
    await showDifferences(a, b),
  ];
}

const withRow = (rows, chosen) => [...(rows.includes(chosen) ? rows : [chosen, ...rows])].map((row) =>
  [row.row_key, `${nameRow(row)}${row.is_own ? " (own rule)" : ""}`]);

async function showPairs(a, b) {
  const pairs = await select(PAIRED_SQL, [a.row_key, b.row_key]);
  if (!pairs.length) return make("p", { class: "note" }, "The two have no seed in common.");
  const [{ n, mean, half }] = pairs;
  const unit = nameUnit(a);
  const better = { lower: "Below zero the first is better.", higher: "Above zero the first is better." }[a.direction] ?? "";
  const stored = b.is_own ? a.than : a.is_own ? b.than : null;
  const text = { better: "is better than", worse: "is worse than", neither: "does not differ significantly from" }[stored];
  const words = text === undefined ? null : b.is_own ? [nameRow(a), text, nameRow(b)] : [nameRow(b), text, nameRow(a)];
  const interval = half === null ? "" : `, 95 % interval ${number(mean - half, 4, true)} to ${number(mean + half, 4, true)}`;
  return make("section", { "aria-label": "Seeds in pairs" },
    make("p", { class: "result" }, make("strong", {}, `${number(mean, 4, true)} ${unit}`), `${interval}, n = ${n}. ${better}`),
    words
      ? make("p", {}, make("strong", { class: `word says ${kindOf(stored)}` }, words.join(" ")))
      : make("p", { class: "quiet" }, "The interval is for this pair only; it does not allow for looking at many pairs."),
    makeChart("pairs", { pairs }, {
      label: `${nameRow(a)} and ${nameRow(b)} by seed, with differences`,
      caption: `Ring: ${nameRow(a)}. Dot: ${nameRow(b)}. A line for each seed`,
      titles: { x: unit },
    }),
    make("details", {}, make("summary", {}, "The numbers"),
      makeTable("Values by seed", ["seed", { num: nameRow(a) }, { num: nameRow(b) }, { num: "difference" }],
        pairs.map((one) => [
          String(one.seed), { num: number(one.a) }, { num: number(one.b) }, { num: number(one.difference, 4, true) },
        ]), "fits")));
}

async function showDifferences(a, b) {
  const [first, second] = await Promise.all([readSettings(a), readSettings(b)]);
  const names = [...new Set([...first.keys(), ...second.keys()])];
  const differ = names.filter((name) => first.get(name) !== second.get(name));
  const picture = (row) => findPicture(row.rule);
  return make("section", {},
    make("h2", {}, "Differences"),
    makeTable("Settings that differ", ["setting", "first", "second"], [
      ["picture", picture(a) ?? "–", picture(b) ?? "–"],
      ...differ.map((name) => [name, first.get(name) ?? "–", second.get(name) ?? "–"]),
      ["mean", number(a.mean), number(b.mean)],
      ["seeds", link(String(a.n), "trials", { row: a.row_key }), link(String(b.n), "trials", { row: b.row_key })],
    ], "fits"),
    make("p", { class: "quiet" }, `The other ${names.length - differ.length} settings are equal.`));
}
