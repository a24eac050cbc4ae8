"use strict";
// Trials: a list with search, and the view of one trial.

// With outer joins, SQLite reads trials in the order of their index and stops at the limit.
const TRIALS_SQL = `SELECT t.id, t.flow, t.dataset, t.variant, t.profile, t.factorization, t.budget, t.map_options,
       t.seed, j.state, j.step, j.steps, m.value AS bits_per_dim, m.standard_error, t.recipe_id, j.data_digest
FROM flow_trials AS t
LEFT JOIN jobs AS j ON j.trial_id = t.id
LEFT JOIN measurements AS m ON m.attempt_id = j.done_attempt_id
  AND m.name = 'bits_per_dim' AND m.protocol = 'plain'`;

const SEARCHED = `' ' || t.id || ' ' || t.flow || ' ' || CASE t.flow ${
  Object.entries(FLOWS).map(([flow, name]) => `WHEN ${literal(flow)} THEN ${literal(name)}`).join(" ")} ELSE '' END ||
       ' ' || t.dataset || ' ' || t.variant || ' ' || t.dataset || '-' || t.variant || ' ' || t.profile || ' ' ||
       t.factorization || CASE WHEN replace(t.factorization, 'L', '') = '' THEN ' low'
           WHEN replace(t.factorization, 'H', '') = '' THEN ' high' ELSE '' END ||
       coalesce(' at ' || t.budget, '') || ' ' || replace(replace(replace(coalesce(t.map_options, ''), '"', ' '), '{', ' '), ',', ' ') || ' ' ||
       j.state || ' ' || t.recipe_id`;

const nameTrial = (trial) => `${nameRow(trial)}, seed ${trial.seed}`;
const linkTrial = (text, trial, label = null) =>
  link(text, "trial", { id: trial.id, data: trial.data_digest?.slice(0, 12) }, { "aria-label": label });

// The WHERE clause of the filters, and of a row of the board unless it is null.
function writeTrialsWhere(state, row) {
  const rowConditions = row === null ? [] : [
    equals("t.recipe_id", row.recipe_id), equals("j.data_digest", row.data_digest),
    equals("t.factorization", row.factorization), equals("t.budget", row.budget),
    equals("t.map_options", row.map_options),
  ];
  const choices = [["t.flow", state.flow], ["t.dataset", state.dataset], ["j.state", state.state]]
    .filter(([, value]) => value).map(([column, value]) => equals(column, value));
  const seeds = [...state.q.matchAll(/\bseed (\d+)/g)].map(([, seed]) => equals("t.seed", Number(seed)));
  const words = state.q.replace(/\bseed \d+/g, "").split(/\s+/).filter(Boolean).map((word) =>
    `${SEARCHED} LIKE ${literal(`% ${word.replace(/[\\%_]/g, "\\$&")}%`)} ESCAPE '\\'`);
  const where = [...rowConditions, ...choices, ...seeds, ...words];
  return where.length ? `\nWHERE ${where.join("\n  AND ")}` : "";
}

async function showTrials(search) {
  const state = readState(search, ["flow", "dataset", "state", "q", "row"]);
  let limit = Math.max(ROWS_PER_PAGE, Number(search.get("rows")) || 0);
  const row = state.row ? await readRow(state.row) : null;
  const readNames = async (sql) => (await select(sql)).map(({ name }) => [name, printable(name)]);
  const [flows, sets, states] = await Promise.all([
    readNames("SELECT DISTINCT flow AS name FROM flow_trials ORDER BY 1"),
    readNames("SELECT DISTINCT dataset AS name FROM flow_trials ORDER BY 1"),
    readNames("SELECT DISTINCT state AS name FROM jobs WHERE kind = 'trial' ORDER BY 1"),
  ]);
  const container = make("div", {});
  const counter = make("output", {});
  const sqlAside = make("span", {});
  let lastFill = 0;
  const fill = async () => {
    const thisFill = (lastFill += 1);
    const where = writeTrialsWhere(state, row);
    const text = `${TRIALS_SQL}${where}
ORDER BY t.dataset, t.flow, t.factorization, t.recipe_id, t.budget, t.map_options, t.seed`;
    const [rows, [{ n }]] = await Promise.all([
      select(`${text}\nLIMIT ${limit}`),
      select(`SELECT count(*) AS n FROM flow_trials AS t LEFT JOIN jobs AS j ON j.trial_id = t.id${where}`),
    ]);
    if (thisFill !== lastFill) return;
    counter.textContent = count(n, "trial");
    sqlAside.replaceChildren(sqlLink(text));
    container.replaceChildren(makeTrialTable(rows), ...makeMore(n, limit, () => { limit += ROWS_PER_PAGE; saveState(); fill(); }));
  };
  const saveState = () => replaceAddress("trials", { ...state, rows: limit > ROWS_PER_PAGE ? limit : "" });
  const form = makeForm("Filter trials", ({ target }) => {
    state[target.name] = target.value;
    limit = ROWS_PER_PAGE;
    saveState();
    fill().catch((error) => container.replaceChildren(makeAlert(error)));
  },
  makeSelect("flow", "Flow", flows.map(([value, text]) => [value, flowOf(text)]), state.flow, "all"),
  makeSelect("dataset", "Data set", sets, state.dataset, "all"),
  makeSelect("state", "State", states, state.state, "all"), makeSearch(state.q, "low 1000 seed 3"), counter);
  await fill();
  return [
    heading("Trials", "A trial is one training: a rule, a recipe, a data set and a seed.", sqlAside),
    row ? make("p", { class: "note" }, `Trials of the row ${nameRow(row)}, ${nameTable(row)}. `, link("All trials", "trials")) : null,
    state.row && !row ? make("p", { class: "note" }, "These results have no such row: here are all trials.") : null,
    form, container,
  ];
}

function makeTrialTable(rows) {
  return makeTable("Trials", ["trial", "flow", "data set", { num: "seed" }, { num: "bits/dim" }, "state"], rows.map((trial) => [
    linkTrial(nameRow(trial), trial, nameTrial(trial)),
    [flowOf(trial.flow), make("small", {}, ` ${trial.recipe_id.slice(0, 6)}`)],
    dataOf(trial),
    { num: String(trial.seed) },
    { num: number(trial.bits_per_dim) },
    trial.state === null || trial.state === "done" ? trial.state ?? "planned" : `${trial.state}, ${trial.step} of ${trial.steps}`,
  ]), "list");
}

// One trial

const EARLY = 0.2; // share of a training that is hidden at first: the steep fall would flatten the rest

const TRIAL_SQL = `SELECT t.*, j.id AS job_id, j.data_digest, j.state, j.step, j.steps,
       coalesce(j.done_attempt_id, j.attempt_id) AS current_id, recipes.size, recipes.splits, recipes.body, channels
FROM flow_trials AS t
JOIN jobs AS j ON j.trial_id = t.id
JOIN recipes ON recipes.id = t.recipe_id
JOIN data_sets ON digest = j.data_digest
WHERE t.id = ? ORDER BY substr(j.data_digest, 1, 12) = ? DESC`;

const writeMeasuresSql = (trial) => `SELECT *
FROM measures
WHERE trial_id = ${literal(trial)}
ORDER BY protocol, measure`;

const POINTS_SQL = `SELECT name AS curve, step, value FROM metrics
WHERE attempt_id = ? AND value IS NOT NULL ORDER BY curve, step`;

const writeAttemptsSql = (job) => `SELECT outcome, protocol, first_step, last_step, ended - started AS seconds, code_version, torch,
       environments.device
FROM attempts LEFT JOIN environments ON environments.id = environment_id
WHERE job_id = ${literal(job)} ORDER BY token, started`;

const SEEDS_SQL = `${TRIALS_SQL}
WHERE t.recipe_id = ? AND j.data_digest = ? AND t.factorization = ? AND t.budget IS ? AND t.map_options IS ?
  AND t.id <> ?
ORDER BY t.seed`;

const RULES_OF_SEED_SQL = `${TRIALS_SQL}
WHERE t.recipe_id = ? AND j.data_digest = ? AND t.seed = ? AND t.id <> ?
ORDER BY m.value`;

const ROW_SQL = `SELECT row_key FROM board_rows
WHERE recipe_id = ? AND data_digest = ? AND factorization = ? AND budget IS ? AND map_options IS ?`;

async function showTrial(search) {
  const [trial] = await select(TRIAL_SQL, [search.get("id") ?? "", search.get("data") ?? ""]);
  if (!trial) {
    return [heading("Trial", "These results have no such trial."), make("p", {}, link("All trials", "trials"))];
  }
  const rowKey = [trial.recipe_id, trial.data_digest, trial.factorization, trial.budget, trial.map_options];
  const [measures, points, seeds, rules, [boardRow]] = await Promise.all([
    select("SELECT * FROM measurements WHERE attempt_id = ? AND protocol = 'plain'", [trial.current_id]),
    select(POINTS_SQL, [trial.current_id]),
    select(SEEDS_SQL, [...rowKey, trial.id]),
    select(RULES_OF_SEED_SQL, [trial.recipe_id, trial.data_digest, trial.seed, trial.id]),
    select(ROW_SQL, rowKey),
  ]);
  const find = (name) => measures.find((measure) => measure.name === name);
  const bits = find("bits_per_dim");
  const state = trial.state === "done" ? "Done" : trial.state;
  return [
    heading(nameTrial(trial),
      `${flowOf(trial.flow)} on ${dataOf(trial)}, ${trial.profile} profile. ${state} at step ${trial.step} of ${trial.steps}.`,
      sqlLink(writeMeasuresSql(trial.id))),
    bits ? makeResult(bits) : make("p", { class: "note" }, "No result yet."),
    make("div", { class: "columns" },
      bits ? makeParts(find("log_prior"), find("log_det"), bits, trial.channels * trial.size ** 2) : null,
      makeSection("Facts", makeTrialFacts(trial, boardRow))),
    ...[...Map.groupBy(points, (point) => point.curve)].map(([name, curve]) => makeCurve(name, curve, search)),
    seeds.length + rules.length ? makeSection("Siblings",
      makeSiblings("Other seeds of this rule", seeds, (sibling) => `seed ${sibling.seed}`),
      makeSiblings("Other rules with this seed", rules, nameRow)) : null,
    bits ? makeSection("How to reproduce",
      make("p", {}, "This trains it again from scratch, with its pretraining, and compares every measure:"),
      makeCode(`lcma reproduce ${trial.id} --db results.sqlite`, "how to reproduce this trial"),
      make("p", { class: "quiet" }, link("Save results.sqlite", "about"), " first, and prepare the data set.")) : null,
    make("p", {}, link("Its attempts", "sql", { sql: writeAttemptsSql(trial.job_id) }), ", ",
      link("all its measures", "sql", { sql: writeMeasuresSql(trial.id) })),
    makeFold("The whole recipe",
      makeCode(JSON.stringify(JSON.parse(trial.body), null, 1), "recipe")),
  ];
}

function makeResult({ value, standard_error: error, images }) {
  const beside = error === null ? "" : ` ± ${number(error)} (standard error of ${count(images, "test image")})`;
  return make("p", { class: "result" }, make("strong", {}, `${number(value)} bits/dim`), beside);
}

function makeTrialFacts(trial, boardRow) {
  const ofData = DATA_SCORES.test(trial.factorization);
  const { score = "cumulative", conv1x1 = "output" } = JSON.parse(trial.map_options ?? "{}");
  const ofPretraining = conv1x1 === "output" ? score : `${score}/${conv1x1}`; // as maps are stored
  const series = `${trial.pretraining_id}:${ofData ? trial.factorization : ofPretraining}:${trial.data_digest.slice(0, 8)}`;
  const code = (text) => make("code", {}, text);
  const rule = ruleOf(trial.factorization);
  return makeFacts([
    ["rule", rule === trial.factorization ? rule : `${rule} (${trial.factorization})`],
    ["pretraining", trial.budget === null ? "none" : link(ofData ? "of the data" : count(trial.budget, "step"), "maps", { series, budget: trial.budget })],
    ["map options", optionsOf(trial.map_options)],
    ["size", `${trial.size}×${trial.size}, ${count(trial.splits, "split")}`],
    ["row", boardRow ? link("compare it", "compare", { a: boardRow.row_key }) : null],
    ["recipe", code(trial.recipe_id)],
    ["data", code(trial.data_digest.slice(0, 20))],
    ["trial", code(trial.id)],
  ]);
}

// The parts that add up to bits/dim, from nats per image.
function makeParts(prior, det, bits, dimensions) {
  if (!prior || !det) return null;
  const constant = dimensions * Math.log(256);
  const parts = [
    ["prior", prior.value],
    ["log-determinant of the layers", det.value + constant],
    ["256 grey values: 8 bits", -constant],
  ];
  const scaled = (nats) => -nats / (dimensions * Math.log(2));
  return makeSection("Parts of the likelihood",
    makeTable("Parts of the likelihood", ["part", { num: "nats per image" }, { num: "bits/dim" }], [
      ...parts.map(([name, nats]) => [name, { num: number(nats, 1) }, { num: number(scaled(nats), 4, true) }]),
      ["sum", { num: "" }, { num: number(bits.value) }],
    ], "fits"));
}

// A curve, with a slider for its first step.
function makeCurve(name, points, search) {
  const title = name.replace(/_bits_per_dim$/, " bits/dim").replaceAll("_", " ");
  const last = points.at(-1);
  const container = make("div", {});
  const fill = () => {
    const text = `step ${slider.value}`;
    slider.setAttribute("aria-valuetext", text);
    const rows = points.filter(({ step }) => step >= slider.value).map(({ step, value }) => ({ x: step, y: value }));
    container.replaceChildren(plotPoints(rows, { type: "line", point: rows.length < 3 }, "training step", title,
      `${title} from ${text} on, ${number(last.value)} at step ${last.step}`));
    watchCharts(container);
  };
  const slider = make("input", {
    type: "range", min: "0", max: String(last.step), step: String(Math.max(1, Math.round(last.step / 100))),
    onchange: () => {
      replaceAddress("trial", { id: search.get("id"), data: search.get("data"), from: slider.value });
      fill();
    },
  });
  slider.value = search.get("from") ?? (points.length > 10 ? EARLY * last.step : 0);
  fill();
  return makeSection(`Curve: ${title}`, container,
    points.length > 2 ? make("div", { class: "filters zoom" }, make("label", { class: "slider" }, "from step", slider)) : null,
    makeFold("The numbers",
      makeTable(`Points of ${title}`, [{ num: "step" }, { num: title }],
        points.map(({ step, value }) => [{ num: String(step) }, { num: number(value) }]), "fits tall")));
}

function makeSiblings(label, rows, name) {
  if (!rows.length) return null;
  const links = rows.slice(0, 40).map((trial) =>
    linkTrial(`${name(trial)} ${trial.bits_per_dim === null ? `(${trial.state})` : number(trial.bits_per_dim)}`, trial));
  const more = rows.length - links.length;
  return make("p", { class: "siblings" }, `${label}: `, ...links.flatMap((item, k) => [k ? ", " : "", item]),
    more > 0 ? ` and ${more} more.` : ".");
}
