"use strict";
// Claims: a row for each, with a picture of its settings; opened, it shows the comparisons.

const CLAIMS_SQL = `SELECT dataset, variant, flow, steps, rule, budget, n, difference,
       difference - half_width AS low, difference + half_width AS high
FROM board
WHERE difference IS NOT NULL
ORDER BY rule, dataset, flow, steps`;

async function showClaims(search) {
  const verdicts = await select("SELECT rowid, * FROM verdict_rows ORDER BY origin = 'ours', rowid");
  const open = new Set(search.getAll("claim"));
  const keep = (claim) => ({ target }) => {
    if (target.open) open.add(claim);
    else open.delete(claim);
    keepAddress("claims", { claim: [...open] });
  };
  const claims = [...Map.groupBy(verdicts, (one) => one.claim)];
  const origins = [...Map.groupBy(claims, ([, [first]]) => (first.origin === "ours" ? "Ours" : "The paper's"))];
  return [
    heading("Claims", "What the paper says and what we say, and whether these results support it in each setting. " +
      "Opposite: they show the contrary. Intervals are wider than the board's, because a claim may be judged four times.",
    sqlLink(CLAIMS_SQL)),
    ...(claims.length ? [] : [make("p", { class: "note" }, "No claim can be judged yet.")]),
    ...origins.map(([title, some]) => make("section", { class: "claims" }, make("h2", {}, title),
      ...some.map(([claim, rows]) => makeClaim(claim, rows, open.has(claim), keep(claim))))),
  ];
}

const nameSetting = (one) => [nameTable(one), settingsOf(one.settings)].filter(Boolean).join(", ");

function makeClaim(claim, rows, open, ontoggle) {
  const [first] = rows;
  const scale = findScale(rows.flatMap((one) => [one.low, one.high, one.mean]));
  const wide = findScale(rows.flatMap((one) => [one.low, one.high, one.mean, one.printed]));
  const counts = [...Map.groupBy(rows, (one) => one.decision)].map(([decision, some]) =>
    make("span", { class: `word ${kindOf(decision)}` }, `${decision} ${some.length}`));
  const lines = rows.map((one) => ({ ...one, kind: kindOf(one.decision) }));
  const tall = Math.max(4, Math.min(10, 90 / rows.length));
  return make("details", { class: "claim", open, ontoggle },
    make("summary", {},
      make("span", { class: "text" }, make("b", {}, first.text), make("small", {}, first.source === "ours" ? "" : first.source)),
      drawIntervals(lines, scale, null, tall),
      make("span", { class: "counts" }, ...counts)),
    makeTable(`Settings of: ${first.text}`,
      ["setting", { num: `difference, ${first.unit}` }, "", { num: "n" }, "verdict"],
      lines.map((one) => [
        [nameSetting(one), " ", make("small", {}, [
          one.comparison.replaceAll("conventional", "own rule"), one.budget === null ? null : `after ${count(one.budget, "step")} of pretraining`,
        ].filter(Boolean).join(", "))],
        { num: difference(one.mean, one.low, one.high) },
        drawIntervals([{ ...one, mark: one.printed }], wide),
        { num: String(one.n ?? "–") },
        [makeWord(one.decision), make("small", {}, ` ${one.why}${one.confirmatory ? "; confirmatory" : ""}`)],
      ])),
    first.printed === null ? null : make("p", { class: "quiet" }, "The vertical mark is the difference that the paper prints."),
    ...nextSteps(rows));
}

function nextSteps(rows) {
  const commands = [...new Set(rows.map((one) => one.next).filter(Boolean))];
  if (commands.length) return [make("h3", {}, "What would decide it"), ...commands.map((one) => makeCode(one, "launch"))];
  const open = rows.some((one) => one.decision === "undecided");
  return open ? [make("p", { class: "quiet" }, "No launch within reach would decide the open verdicts.")] : [];
}
