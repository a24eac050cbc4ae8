"use strict";
// Trials: a list that can be searched, and one trial.

const TRIALS_SQL = `SELECT t.id, t.flow, t.dataset, t.variant, t.profile, t.factorization, t.budget, t.map_options,
       t.seed, j.state, j.step, j.steps, m.value AS bits_per_dim, m.standard_error, t.recipe_id, j.data_digest
FROM flow_trials AS t
JOIN jobs AS j ON j.trial_id = t.id
LEFT JOIN measurements AS m ON m.attempt_id = j.done_attempt_id
  AND m.name = 'bits_per_dim' AND m.protocol = 'plain'`;

const SEARCHED = "t.id || ' ' || t.flow || ' ' || t.dataset || ' ' || t.variant || ' ' || t.profile || ' ' || t.factorization || CASE WHEN replace(t.factorization, 'L', '') = '' THEN ' low' WHEN replace(t.factorization, 'H', '') = '' THEN ' high' ELSE '' END || coalesce(' at ' || t.budget, '') || ' seed ' || t.seed || ' ' || coalesce(t.map_options, '') || ' ' || j.state || ' ' || t.recipe_id";

const nameTrial = (one) => `${nameRow({ ...one, label: null })}, seed ${one.seed}`;

function writeTrialsSql(state, row) {
  const where = [
    row && equals("t.recipe_id", row.recipe_id), row && equals("j.data_digest", row.data_digest),
    row && equals("t.factorization", row.factorization), row && equals("t.budget", row.budget), row && equals("t.map_options", row.map_options),
    state.flow && equals("t.flow", state.flow), state.dataset && equals("t.dataset", state.dataset), state.state && equals("j.state", state.state),
    ...state.q.split(/\s+/).filter(Boolean).map((word) => `${SEARCHED} LIKE ${literal(`%${word.replace(/[\\%_]/g, "\\$&")}%`)} ESCAPE '\\'`),
  ].filter(Boolean);
  return `${TRIALS_SQL}${where.length ? `\nWHERE ${where.join("\n  AND ")}` : ""}
ORDER BY t.dataset, t.flow, t.recipe_id, t.factorization, t.budget, t.map_options, t.seed`;
}

async function showTrials(search) {
  const state = Object.fromEntries(["flow", "dataset", "state", "q", "row"].map((name) => [name, search.get(name) ?? ""]));
  let most = Math.max(SHOWN, Number(search.get("rows")) || 0);
  const row = state.row ? await readRow(state.row) : null;
  const choices = async (sql) => (await select(sql)).map((one) => [one.name, printable(one.name)]);
  const [flows, sets, states] = await Promise.all([
    choices("SELECT DISTINCT flow AS name FROM flow_trials ORDER BY 1"),
    choices("SELECT DISTINCT dataset AS name FROM flow_trials ORDER BY 1"),
    choices("SELECT DISTINCT state AS name FROM jobs WHERE kind = 'trial' ORDER BY 1"),
  ]);
  const place = make("div", {});
  const shown = make("output", {});
  const sql = make("span", {});
  let latest = 0;
  const fill = async () => {
    const mine = (latest += 1);
    const text = writeTrialsSql(state, row);
    const [{ rows, columns }, [{ n }]] = await Promise.all([
      query(`${text}\nLIMIT ${most}`), select(`SELECT count(*) AS n FROM (${text.replace(/\nORDER BY .*$/, "")})`),
    ]);
    if (mine !== latest) return;
    const found = rows.map((one) => Object.fromEntries(columns.map((name, k) => [name, one[k]])));
    shown.textContent = count(n, "trial");
    sql.replaceChildren(sqlLink(text));
    place.replaceChildren(makeTrialTable(found), ...(n > most ? [make("button", {
      type: "button", class: "more", onclick: () => { most += SHOWN; keep(); fill(); },
    }, `Show ${Math.min(n - most, SHOWN)} more of ${n.toLocaleString("en")}`)] : []));
  };
  const keep = () => keepAddress("trials", { ...state, rows: most > SHOWN ? most : "" });
  const form = makeForm("Filter trials", ({ target }) => {
    state[target.name] = target.value;
    most = SHOWN;
    keep();
    fill().catch((error) => place.replaceChildren(make("p", { class: "note bad", role: "alert" }, error.message)));
  },
  makeSelect("flow", "Flow", flows.map(([value, text]) => [value, flowOf(text)]), state.flow, "all"), makeSelect("dataset", "Data set", sets, state.dataset, "all"),
  makeSelect("state", "State", states, state.state, "all"), makeSearch(state.q, "low 1000 seed 3"), shown);
  await fill();
  return [
    heading("Trials", "A trial is one training: a rule, a recipe, a data set and a seed.", sql),
    row ? make("p", { class: "note" }, `Of the row ${nameRow(row)}, ${nameTable(row)}. `, link("All trials", "trials")) : null,
    form, place,
  ];
}

function makeTrialTable(rows) {
  return makeTable("Trials", ["trial", "flow", "data set", { num: "seed" }, "state", { num: "bits/dim" }], rows.map((one) => [
    link(nameRow({ ...one, label: null }), "trial", { id: one.id, data: one.data_digest.slice(0, 12) }, { "aria-label": nameTrial(one) }),
    [flowOf(one.flow), make("small", {}, ` ${one.recipe_id.slice(0, 6)}`)], dataOf(one), { num: String(one.seed) },
    one.state === "done" ? "done" : `${one.state}, ${one.step} of ${one.steps}`, { num: number(one.bits_per_dim) },
  ]), "list");
}

// One trial

const ATTEMPTS_SQL = `SELECT attempts.*, environments.code_version, environments.torch, environments.device AS processor
FROM attempts LEFT JOIN environments ON environments.id = environment_id
WHERE job_id = ? ORDER BY token, started`;

async function showTrial(search) {
  const found = await select(`SELECT t.*, j.id AS job_id, j.data_digest, j.state, j.step, j.steps, j.done_attempt_id, j.attempt_id,
       recipes.size, recipes.splits, recipes.body
FROM flow_trials AS t JOIN jobs AS j ON j.trial_id = t.id JOIN recipes ON recipes.id = t.recipe_id
WHERE t.id = ? ORDER BY substr(j.data_digest, 1, 12) = ? DESC`, [search.get("id") ?? "", search.get("data") ?? ""]);
  if (!found.length) return [heading("Trial", "There is no such trial in these results."), make("p", {}, link("All trials", "trials"))];
  const [one] = found;
  const attempt = one.done_attempt_id ?? one.attempt_id;
  const [measures, points, attempts, seeds, rules, [row], [{ channels } = {}]] = await Promise.all([
    select(`SELECT m.*, k.unit, k.meaning FROM measurements AS m LEFT JOIN measure_kinds AS k ON k.name = m.name WHERE attempt_id = ? ORDER BY protocol, m.name`, [attempt]),
    select("SELECT name AS curve, step, value FROM metrics WHERE attempt_id = ? AND value IS NOT NULL ORDER BY curve, step", [attempt]),
    select(ATTEMPTS_SQL, [one.job_id]),
    select(`${TRIALS_SQL}\nWHERE t.recipe_id = ? AND j.data_digest = ? AND t.factorization = ? AND t.budget IS ? AND t.map_options IS ? AND t.id <> ? ORDER BY t.seed`,
      [one.recipe_id, one.data_digest, one.factorization, one.budget, one.map_options, one.id]),
    select(`${TRIALS_SQL}\nWHERE t.recipe_id = ? AND j.data_digest = ? AND t.seed = ? AND t.id <> ? ORDER BY m.value`, [one.recipe_id, one.data_digest, one.seed, one.id]),
    select("SELECT row_key FROM board_rows WHERE recipe_id = ? AND data_digest = ? AND factorization = ? AND budget IS ? AND map_options IS ?",
      [one.recipe_id, one.data_digest, one.factorization, one.budget, one.map_options]),
    select("SELECT channels FROM data_sets WHERE digest = ?", [one.data_digest]),
  ]);
  const value = (name) => measures.find((each) => each.name === name && each.protocol === "plain");
  const bits = value("bits_per_dim");
  const curves = [...Map.groupBy(points, (each) => each.curve)];
  return [
    heading(nameTrial(one), `${flowOf(one.flow)} on ${dataOf(one)}, ${one.profile} profile. ${one.state === "done" ? "Done" : one.state} at step ${one.step} of ${one.steps}.`,
      sqlLink(`SELECT * FROM measures\nWHERE trial_id = ${literal(one.id)}\nORDER BY protocol, measure`)),
    bits ? make("p", { class: "result" }, make("strong", {}, `${number(bits.value)} bits/dim`),
      bits.standard_error === null ? "" : ` ± ${number(bits.standard_error)} (standard error of ${count(bits.images, "test image")})`) : make("p", { class: "note" }, "No result yet."),
    make("div", { class: "columns" },
      bits && channels ? makeParts(value("log_prior"), value("log_det"), bits, channels * one.size ** 2) : null,
      make("section", {}, make("h2", {}, "Facts"), makeFacts([
        ["rule", [ruleOf(one.factorization), one.factorization === ruleOf(one.factorization) ? "" : ` (${one.factorization})`]],
        ["pretraining", one.budget === null ? "none" : link(count(one.budget, "step"), "maps", { series: `${one.pretraining_id}:cumulative:${one.data_digest.slice(0, 8)}`, budget: one.budget })],
        ["map options", optionsOf(one.map_options)],
        ["size", `${one.size}×${one.size}, ${count(one.splits, "split")}`],
        ["row", row ? link("compare it", "compare", { a: row.row_key }) : null],
        ["recipe", make("code", {}, one.recipe_id)], ["data", make("code", {}, one.data_digest.slice(0, 20))], ["trial", make("code", {}, one.id)],
      ]))),
    ...curves.map(([name, some]) => makeCurve(name, some, search)),
    make("section", {}, make("h2", {}, "Siblings"),
      makeSiblings("Other seeds of this rule", seeds, (each) => `seed ${each.seed}`),
      makeSiblings("Other rules with this seed", rules, (each) => nameRow({ ...each, label: null }))),
    make("section", {}, make("h2", {}, "How to reproduce"),
      make("p", {}, "Trains it again from scratch, with its pretraining, and compares every measure:"),
      makeCode(`lcma reproduce ${one.id} --db results.sqlite`, "how to reproduce this trial"),
      make("p", { class: "quiet" }, link("Save results.sqlite", "about"), " first; the data set has to be prepared once.")),
    measures.length ? make("details", {}, make("summary", {}, `All ${measures.length} measures`),
      makeTable("Measures", ["measure", "protocol", { num: "value" }, "unit", "meaning"], measures.map((each) =>
        [each.name, each.protocol, { num: String(Number(each.value.toPrecision(6))) }, each.unit ?? "", each.meaning ?? ""]))) : null,
    make("details", {}, make("summary", {}, count(attempts.length, "attempt")),
      makeTable("Attempts", ["outcome", { num: "steps" }, "began", { num: "took" }, "code", "processor"], attempts.map((each) => [
        (each.outcome ?? "running") + (each.protocol === null ? "" : `, evaluation by ${each.protocol}`), { num: `${each.first_step} to ${each.last_step}` },
        when(each.started), { num: each.ended === null ? "–" : duration(each.ended - each.started) },
        `${each.code_version ?? ""}${each.dirty ? " with changes" : ""}, torch ${each.torch ?? "?"}`, each.devices ?? each.processor ?? each.device,
      ]))),
    make("details", {}, make("summary", {}, "The whole recipe"), makeCode(JSON.stringify(JSON.parse(one.body), null, 1), "recipe")),
  ];
}

// What bits/dim are the sum of, from nats per image.
function makeParts(prior, det, bits, dimensions) {
  if (!prior || !det) return null;
  const constant = dimensions * Math.log(256);
  const parts = [["prior", prior.value], ["log-determinant of the layers", det.value + constant], ["256 grey values: 8 bits", -constant]];
  const scaled = (nats) => -nats / (dimensions * Math.log(2));
  return make("section", {}, make("h2", {}, "Parts of the likelihood"),
    makeTable("Parts of the likelihood", ["part", { num: "nats per image" }, { num: "bits/dim" }], [
      ...parts.map(([name, nats]) => [name, { num: number(nats, 1) }, { num: number(scaled(nats), 4, true) }]),
      ["sum", { num: "" }, { num: number(bits.value) }],
    ], "fits"));
}

// Two sliders say from which step to which it is drawn.
function makeCurve(name, points, search) {
  const title = name.replace(/_bits_per_dim$/, " bits/dim").replaceAll("_", " ");
  const last = points.at(-1);
  const ends = { from: Number(search.get("from")) || 0, to: Number(search.get("to")) || last.step };
  const place = make("div", {});
  const fill = () => {
    const some = points.filter(({ step }) => step >= ends.from && step <= ends.to);
    const lines = some.map(({ step, value }) => ({ name: printable(title), step, value, low: value, high: value }));
    if (!lines.length) return;
    place.replaceChildren(makeChart("curves", { lines }, {
      said: `${title} over training steps, ${number(last.value)} at step ${last.step}`,
      titles: { "value:y": title },
      scales: {
        "value:y": { domain: findDomain(lines, ends.from ? 0 : EARLY), zero: false, nice: false },
        "step:x": { domain: [ends.from, ends.to], nice: false },
      },
      legend: false,
    }));
    watchCharts(place);
  };
  const slider = (end, text) => make("label", { class: "slider" }, text, make("input", {
    type: "range", min: "0", max: String(last.step), step: String(Math.max(1, Math.round(last.step / 100))), value: String(ends[end]),
    "aria-valuetext": `step ${ends[end]}`,
    onchange: ({ target }) => {
      ends[end] = Number(target.value);
      target.setAttribute("aria-valuetext", `step ${ends[end]}`);
      keepAddress("trial", { id: search.get("id"), data: search.get("data"), from: ends.from || "", to: ends.to < last.step ? ends.to : "" });
      fill();
    },
  }));
  fill();
  return make("section", {}, make("h2", {}, `Curve: ${title}`), place,
    points.length > 2 ? make("div", { class: "filters zoom" }, slider("from", "from step"), slider("to", "to step")) : null,
    make("details", {}, make("summary", {}, "The numbers"),
      makeTable(`Points of ${title}`, [{ num: "step" }, { num: title }], points.map((one) => [{ num: String(one.step) }, { num: number(one.value) }]), "fits tall")));
}

function makeSiblings(label, rows, name) {
  if (!rows.length) return null;
  const some = rows.slice(0, 40);
  return make("p", { class: "siblings" }, `${label}: `, ...some.flatMap((one, k) => [k ? ", " : "",
    link(`${name(one)} ${one.bits_per_dim === null ? `(${one.state})` : number(one.bits_per_dim)}`, "trial", { id: one.id, data: one.data_digest.slice(0, 12) })]),
  rows.length > some.length ? ` and ${rows.length - some.length} more.` : ".");
}
