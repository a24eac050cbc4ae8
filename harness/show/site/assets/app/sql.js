"use strict";
// Queries typed by the reader. They run in the worker, which can be stopped.

const QUERY_LIMIT = { rows: 20_000, size: 16 * 2 ** 20 }; // rows, and bytes of all values
const TABLE_ROWS = 500; // rows in the table
const MAX_SECONDS = 30;
const MAX_LENGTH = 300; // characters of a value in the table
const PLOT_LIMIT = { names: 40, points: 2000 };

const EXAMPLES = [
  ["Which rule is best in each table?", `SELECT dataset, variant, flow, steps, rule, budget, n, mean, difference, half_width
FROM board
ORDER BY dataset, variant, flow, steps, recipe_id, mean`],
  ["Is low better than each flow's own rule?", `SELECT dataset, variant, flow, steps, budget, n, difference, half_width
FROM board
WHERE rule = 'low' AND difference IS NOT NULL
ORDER BY difference`],
  ["How far is each rule from the own rule, on average? (drawn)", `SELECT rule, avg(difference) AS "mean difference"
FROM board
WHERE difference IS NOT NULL
GROUP BY rule HAVING count(*) > 1 ORDER BY 2`],
  ["Does longer training close the gap? (drawn)", `SELECT steps, difference
FROM board
WHERE rule = 'low' AND difference IS NOT NULL
ORDER BY steps`],
  ["How much pretraining is enough?", `SELECT dataset, flow, steps, rule, budget, n, difference, half_width, pretraining_seconds
FROM budgets
ORDER BY dataset, flow, recipe_id, rule, budget`],
  ["Low against high, seed by seed", `SELECT flow, dataset, steps, budget, seed, difference
FROM pairs
WHERE rule = 'low' AND other_rule = 'high' AND budget = other_budget
  AND protocol = 'plain' AND measure = 'bits_per_dim'
ORDER BY flow, dataset, recipe_id, budget, seed`],
  ["Does a rule choose the same pattern in all windows?", `SELECT rule, split, count(*) AS n, avg(purity) AS purity
FROM maps
WHERE map_options IS NULL
GROUP BY rule, split ORDER BY split, purity DESC`],
  ["What did it cost?", `SELECT kind, count(*) AS attempts, sum(cpu_seconds) / 3600 AS cpu_hours
FROM attempts JOIN jobs ON jobs.id = attempts.job_id
GROUP BY kind ORDER BY kind`],
];

let running = null; // ends the run
function stopRun(reason) {
  running?.(reason);
}

async function showSql(search) {
  const linkedSql = search.get("sql");
  const editor = make("textarea", {
    id: "query", rows: "9", spellcheck: "false", autocapitalize: "off", autocomplete: "off", required: true,
  });
  editor.value = linkedSql ?? EXAMPLES[0][1];
  const runButton = make("button", { type: "submit", class: "button" }, "Run");
  const stopButton = make("button", { type: "button", disabled: true, onclick: () => endWorker("stopped") }, "Stop");
  const status = make("output", { role: "status" }, linkedSql === null ? "" : "This query is from the link. Press Run to start it.");
  const container = make("div", { id: "rows" });
  const run = async () => {
    if (running) return;
    const sql = editor.value;
    replaceAddress("sql", { sql });
    [runButton.disabled, stopButton.disabled] = [true, false];
    container.replaceChildren();
    let timer = null;
    running = endWorker;
    try {
      status.textContent = "Loading the database…";
      await openDatabase();
      status.textContent = "Running…";
      timer = setTimeout(() => endWorker(`stopped after ${MAX_SECONDS} s`), MAX_SECONDS * 1000);
      const began = performance.now();
      showRows(await query(sql, [], QUERY_LIMIT), (performance.now() - began) / 1000, status, container);
    } catch (error) {
      status.textContent = "";
      container.replaceChildren(makeAlert(error));
    } finally {
      clearTimeout(timer);
      running = null;
      [runButton.disabled, stopButton.disabled] = [false, true];
    }
  };
  editor.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) run();
  });
  const form = make("form", { class: "console", onsubmit: (event) => { event.preventDefault(); run(); } },
    make("label", { for: "query" }, "A SELECT statement"), editor, make("div", { class: "actions" }, runButton, stopButton, status));
  const examples = make("ul", { class: "examples" }, ...EXAMPLES.map(([question, sql]) => make("li", {}, make("button", {
    type: "button", class: "plain",
    onclick: () => {
      editor.value = sql;
      container.replaceChildren();
      status.textContent = "";
      replaceAddress("sql", { sql });
      editor.focus();
    },
  }, question))));
  const schema = make("details", {
    class: "schema",
    ontoggle: async () => {
      if (schema.open && schema.children.length === 1) schema.append(...await readSchema());
    },
  }, make("summary", {}, "Tables and views"));
  return [
    heading("SQL", "This site is one SQLite database. Queries run in this browser; nothing is sent anywhere."),
    make("div", { class: "sql" }, make("div", {}, form, container),
      make("aside", { "aria-label": "Help" }, make("h2", {}, "Questions"), examples, schema)),
  ];
}

async function readSchema() {
  const columns = await select(`SELECT t.name AS table_name, t.type, c.name FROM sqlite_schema AS t, pragma_table_info(t.name) AS c
WHERE t.type IN ('view', 'table') AND t.name NOT LIKE 'lcma_%' AND t.name NOT LIKE 'sqlite_%'
ORDER BY t.type DESC, t.name <> 'board', t.name, c.cid`);
  return [...Map.groupBy(columns, (column) => column.table_name)].map(([table, group]) =>
    makeFold([make("code", {}, table), group[0].type === "view" ? " view" : ""],
      make("p", { class: "columns-of" }, group.map((column) => column.name).join(", "))));
}

const isNumber = (value) => typeof value === "number" || typeof value === "bigint";

// Shows six digits of a fraction; a download has all.
function showValue(value) {
  if (value === null) return make("small", {}, "null");
  if (value instanceof Uint8Array) return make("small", {}, `${value.length} bytes`);
  if (typeof value === "number" && !Number.isInteger(value)) return String(Number(value.toPrecision(6)));
  const text = String(value);
  return text.length > MAX_LENGTH ? `${text.slice(0, MAX_LENGTH)}…` : text;
}

function showRows({ columns, rows, whole }, seconds, status, container) {
  const more = whole ? "" : "; there are more rows";
  const cut = rows.length > TABLE_ROWS ? `, the first ${TABLE_ROWS} below` : "";
  status.textContent = `${count(rows.length, "row")} in ${seconds.toFixed(2)} s${cut}${more}.`;
  if (!columns.length) return;
  const numeric = columns.map((_, k) => rows.length > 0 && rows.every((row) => row[k] === null || isNumber(row[k])));
  const cell = (content, k) => (numeric[k] ? { num: content } : content);
  container.replaceChildren(...[
    plotRows(columns, rows),
    makeTable("Rows", columns.map(cell), rows.slice(0, TABLE_ROWS).map((row) =>
      row.map((value, k) => cell(showValue(value), k))), "tall answer"),
    make("p", {}, make("button", { type: "button", onclick: () => saveCsv(columns, rows) }, "Download as CSV")),
  ].filter(Boolean));
  watchCharts(container);
}

function writeField(value) {
  if (value === null) return "";
  if (value instanceof Uint8Array) return Array.from(value, (byte) => byte.toString(16).padStart(2, "0")).join("");
  if (isNumber(value)) return String(value);
  // A spreadsheet would read such text as a formula.
  const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function saveCsv(columns, rows) {
  const text = [columns, ...rows].map((row) => `${row.map(writeField).join(",")}\r\n`).join("");
  saveFile("rows.csv", new Blob([text], { type: "text/csv" }));
}

// Draws an answer of two columns: names and numbers as dots, or two numbers as points.
function plotRows(columns, rows) {
  const filled = rows.filter((row) => row.every((value) => value !== null));
  if (columns.length !== 2 || filled.length < 2) return null;
  const [numeric, textual] = [isNumber, (value) => typeof value === "string"].map((test) =>
    columns.map((_, k) => filled.every((row) => test(row[k]))));
  const nameColumn = textual[0] && numeric[1] ? 0 : textual[1] && numeric[0] ? 1 : null;
  if (nameColumn === null && !(numeric[0] && numeric[1])) return null;
  const [x, y] = nameColumn === null ? [0, 1] : [1 - nameColumn, nameColumn];
  const shown = filled.slice(0, nameColumn === null ? PLOT_LIMIT.points : PLOT_LIMIT.names);
  const show = (value) => (isNumber(value) ? Number(value) : printable(value).slice(0, MAX_LENGTH));
  const title = `${columns[y]} ${nameColumn === null ? "over" : "and"} ${columns[x]}`;
  return plotPoints(
    shown.map((row) => ({ x: show(row[x]), y: show(row[y]) })), { type: "point", filled: true, opacity: 1, size: 60 },
    columns[x], nameColumn === null ? columns[y] : null,
    `${title}, ${shown.length === filled.length ? "" : "the first "}${count(shown.length, "row")}`,
  );
}
