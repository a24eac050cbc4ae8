"use strict";
// The board: all tables in one list, with filters.

const ROWS_PER_PAGE = 300; // rows at first, and with each "show more"
const IMAGES = { holdout: "holdout image", train: "training image" }; // by the start of a measure's name
const SEARCHED_COLUMNS = ["label", "factorization", "map_options", "flow", "dataset", "variant", "profile", "settings",
  "steps", "than", "recipe_id", "data_digest"];
const PUNCTUATION = `-="({,.`; // a word may begin after it

const BOARD_SQL = `SELECT table_number, row_key, is_own, than, rule, label, factorization, budget, map_options,
       flow, dataset, variant, profile, size, splits, steps, images, settings, reference, precision,
       protocol, recipe_id, data_digest, measure, unit, direction, n, pairs, mean, difference, low, high, diverged, failed,
       count(CASE WHEN n > 0 THEN 1 END) OVER (PARTITION BY table_number) AS places,
       rank() OVER (PARTITION BY table_number
                    ORDER BY n IS NULL, mean IS NULL, CASE direction WHEN 'higher' THEN -mean ELSE mean END) AS place
FROM board_rows`;

async function readBoard() {
  const rows = await select(`${BOARD_SQL}
ORDER BY table_number, is_own DESC, n IS NULL, mean IS NULL, CASE direction WHEN 'higher' THEN -mean ELSE mean END`);
  for (const row of rows) row.rule ??= row.label;
  return rows;
}

const nameTable = (row) => `${flowOf(row.flow)} on ${dataOf(row)}, ${count(row.steps, "step")}`;
const nameSeeds = (row) => (row.difference === null || row.pairs === row.n ? String(row.n) : `${row.pairs}/${row.n}`);
const nameUnit = (row) => (row.unit === "bits per dimension" ? "bits/dim" : row.unit);

function describeTable(row) {
  const parts = [
    `${row.profile} profile`, `${row.size}×${row.size}`, count(row.splits, "split"), settingsOf(row.settings),
    row.images === null ? null : count(row.images, IMAGES[row.measure.split("_")[0]] ?? "test image"), row.protocol === "plain" ? null : `protocol ${row.protocol}`,
  ];
  return parts.filter(Boolean).join(" · ");
}

// A search word matches the beginnings of words: "low" does not find "glow".
function makeFilter(search) {
  const words = search.split(/\s+/).filter(Boolean).map((word) =>
    new RegExp(`(?<![\\p{L}\\p{N}])${word.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&")}`, "iu"));
  return (text) => words.every((word) => word.test(text));
}

const searchText = (row) => [row.label, row.factorization, nameMaps(row), row.flow, flowOf(row.flow),
  dataOf(row), row.profile, row.settings, `${row.steps} steps`, row.than, row.recipe_id, row.data_digest].join(" ");

async function showBoard(search) {
  const [rows] = await Promise.all([readBoard(), readRules()]);
  const state = readState(search, ["flow", "dataset", "rule", "profile", "q", "table"]);
  const readField = {
    flow: (row) => row.flow, dataset: dataOf, rule: (row) => row.rule, profile: (row) => row.profile,
    table: (row) => String(row.table_number),
  };
  let limit = Math.max(ROWS_PER_PAGE, Number(search.get("rows")) || 0);
  let picks = search.getAll("pick").map((key) => rows.find((row) => row.row_key === key)).filter(Boolean);
  const container = make("div", {});
  const counter = make("output", {});
  const sqlAside = make("span", {});
  const tray = make("div", { class: "tray", role: "status" });

  const saveState = () => replaceAddress("board", {
    ...state, rows: limit > ROWS_PER_PAGE ? limit : "", pick: picks.map((row) => row.row_key),
  });
  const pick = (row, on) => {
    const others = picks.filter((picked) => picked !== row && picked.table_number === row.table_number);
    picks = on ? [...others.slice(-1), row] : others;
    for (const box of container.querySelectorAll("input[data-key]")) {
      box.checked = picks.some((picked) => picked.row_key === box.dataset.key);
    }
    saveState();
    fillTray();
  };
  const fillTray = () => {
    const [first, second] = picks;
    const rest = second ? `against ${nameRow(second)}` : "– choose another row of this table";
    tray.replaceChildren(...(!first ? [] : [
      make("span", {}, `${nameTable(first)}: ${nameRow(first)} ${rest}`),
      ...(second ? [link("Compare", "compare", { a: first.row_key, b: second.row_key }, { class: "button" })] : []),
      make("button", { type: "button", onclick: () => { picks = []; pick(first, false); } }, "Clear"),
    ]));
  };
  const fill = () => {
    const matchesSearch = makeFilter(state.q);
    const matches = rows.filter((row) =>
      Object.entries(readField).every(([name, read]) => !state[name] || read(row) === state[name]) && matchesSearch(searchText(row)));
    const shownRows = new Set(matches.slice(0, limit));
    const shownTables = new Set([...shownRows].map((row) => row.table_number));
    const tables = Map.groupBy( // the own rule of a table is always shown
      rows.filter((row) => shownRows.has(row) || (row.is_own && shownTables.has(row.table_number))), (row) => row.table_number);
    const wholeTables = Map.groupBy(rows, (row) => row.table_number);
    container.replaceChildren(
      ...[...tables].map(([table, shown]) => makeBoardTable(shown, wholeTables.get(table), picks, pick)),
      ...makeMore(matches.length, limit, () => { limit += ROWS_PER_PAGE; saveState(); fill(); }),
    );
    counter.textContent = `${count(matches.length, "row")} in ${count(new Set(matches.map((row) => row.table_number)).size, "table")}`;
    const findChosen = (name) => state[name] && rows.find((row) => readField[name](row) === state[name]);
    sqlAside.replaceChildren(sqlLink(writeBoardSql(state, findChosen("dataset"), findChosen("table"))));
  };
  const choices = (read, name = (value) => value) =>
    [...new Set(rows.map(read))].sort().map((value) => [value, printable(name(value))]);
  const form = makeForm("Filter the board", ({ target }) => {
    state[target.name] = target.value;
    limit = ROWS_PER_PAGE;
    saveState();
    fill();
  },
  makeSelect("flow", "Flow", choices(readField.flow, flowOf), state.flow, "all"),
  makeSelect("dataset", "Data set", choices(dataOf), state.dataset, "all"),
  makeSelect("rule", "Rule", choices(readField.rule), state.rule, "all"),
  makeSelect("profile", "Profile", choices(readField.profile), state.profile, "all"),
  makeSearch(state.q, "low swapped"), counter);
  fill();
  fillTray();
  return [
    heading("Board", "Every rule of every flow and data set. Differences are from the flow's own rule, paired by seed, " +
      "with 95 % intervals. Neither: the difference is not significant. n: pairs of seeds / seeds behind the mean, where they differ. Bars are compressors and simple densities. Choose two rows of a table to compare them.", sqlAside),
    state.table ? make("p", { class: "note" }, "One table. ", link("All tables", "board")) : null,
    form, makeLegend(), container, tray,
  ];
}

function writeSearched() {
  const flows = Object.entries(FLOWS).map(([flow, name]) => `WHEN ${literal(flow)} THEN ${literal(name)}`).join(" ");
  const columns = [...SEARCHED_COLUMNS.map((column) => `coalesce(${column}, '')`), `CASE flow ${flows} ELSE '' END`];
  const text = `' ' || ${columns.join(" || ' ' || ")}`;
  return [...PUNCTUATION].reduce((inner, sign) => `replace(${inner}, ${literal(sign)}, ' ')`, text);
}

function writePattern(word) {
  const spaced = [...word].map((sign) => (PUNCTUATION.includes(sign) ? " " : sign)).join("").trim();
  return literal(`% ${spaced.replace(/[\\%_]/g, "\\$&")}%`);
}

// `setRow` and `tableRow` are rows of the chosen data set and table.
function writeBoardSql({ flow, rule, profile, q }, setRow, tableRow) {
  const where = [
    flow && equals("flow", flow), rule && equals("coalesce(rule, label)", rule), profile && equals("profile", profile),
    setRow && equals("dataset", setRow.dataset), setRow && equals("variant", setRow.variant),
    tableRow && equals("table_number", tableRow.table_number),
    ...q.split(/\s+/).filter(Boolean).map((word) => `${writeSearched()} LIKE ${writePattern(word)} ESCAPE '\\'`),
  ].filter(Boolean);
  return `SELECT dataset, variant, flow, steps, rule, budget, map_options, n, mean, difference, low, high, than
FROM board_rows${where.length ? `\nWHERE ${where.join("\n  AND ")}` : ""}
ORDER BY dataset, variant, flow, steps, recipe_id, mean`;
}

function makeBoardTable(rows, tableRows, picks, pick) {
  const [first] = rows;
  const scale = findScale(tableRows.flatMap((row) => [row.low, row.high, row.difference]));
  const id = `table-${first.table_number}`;
  const head = (text, kind) => make("th", { scope: "col", class: kind }, text);
  return make("section", { class: "board", "aria-labelledby": id },
    make("h2", { id }, nameTable(first), " ", make("small", {}, describeTable(first))),
    make("table", {},
      make("thead", {}, make("tr", {},
        head(make("span", { class: "hide" }, "compare"), "pick"), head("rule"), head(nameUnit(first), "num"),
        head(`minus ${ruleOf(first.reference ?? "") || "own rule"}`, "num less"),
        head([make("span", { class: "hide" }, "picture"), makeScale(scale)], "bar"), head("n", "num seeds"), head("verdict", "verdict"))),
      make("tbody", {}, ...rows.map((row) => makeBoardRow(row, scale, picks.includes(row), pick)))));
}

// Why a row has no word from its difference.
function describeOpen(row) {
  if (row.n === 0) return "no result";
  if (row.reference === null) return "own rule has no result";
  return row.difference === null ? "no seed in common" : "too few seeds";
}

// How many trials of a row have no result.
const describeLost = (row) =>
  ["diverged", "failed"].filter((state) => row[state] > 0).map((state) => `${row[state]} ${state}`).join(", ");

function makeBoardRow(row, scale, picked, pick) {
  const isOwn = row.is_own === 1;
  const details = [nameMaps(row), describeLost(row)].filter(Boolean).join("; ");
  const name = make("span", { class: "name" }, row.label, make("small", {}, ` ${details}`));
  const box = row.n === null ? null : make("input", {
    type: "checkbox", "data-key": row.row_key, checked: picked,
    "aria-label": `Compare ${nameRow(row)}, ${nameTable(row)}`, onchange: ({ target }) => pick(row, target.checked),
  });
  const verdict = isOwn ? make("span", { class: "word own" }, "own rule") : makeWord(row.than)
    ?? (row.n === null ? null : make("span", { class: "word open" }, describeOpen(row)));
  const seeds = row.n === null ? null
    : link(nameSeeds(row), "trials", { row: row.row_key }, { "aria-label": `${row.n} trials of ${nameRow(row)}` });
  const minusOwn = isOwn || row.difference === null ? "" : difference(row.difference, row.low, row.high);
  return make("tr", { class: isOwn ? "own" : null },
    make("td", { class: "pick" }, box),
    make("th", { scope: "row" }, findPicture(row.rule) ?? make("span", { class: "rule" }), name),
    make("td", { class: "num" }, number(row.mean)),
    make("td", { class: "num less" }, minusOwn),
    make("td", { class: "bar" }, minusOwn === "" ? null : [
      make("small", { class: "narrow" }, minusOwn),
      drawIntervals([{ mean: row.difference, low: row.low, high: row.high, kind: kindOf(row.than) }], scale),
    ]),
    make("td", { class: "num seeds" }, seeds),
    make("td", { class: "verdict" }, verdict, row.n === null ? null : make("small", { class: "narrow" }, `n = ${nameSeeds(row)}`)));
}
