"use strict";
// Claims: a row for each, with a picture of its settings; opened, it shows the comparisons.

async function showClaims(search) {
  const verdicts = await select("SELECT rowid, * FROM verdict_rows ORDER BY origin = 'ours', rowid");
  const open = new Set(search.getAll("claim"));
  const saveOpen = (claim) => ({ target }) => {
    if (!target.isConnected) return; // the view has changed since
    if (target.open) open.add(claim);
    else open.delete(claim);
    replaceAddress("claims", { claim: [...open] });
  };
  const claims = [...Map.groupBy(verdicts, (row) => row.claim)];
  const origins = [...Map.groupBy(claims, ([, [first]]) => (first.origin === "ours" ? "Ours" : "The paper's"))];
  return [
    heading("Claims", "What the paper says and what we say, and whether these results support it in each setting. " +
      "Opposite: they show the contrary. Intervals are wider than the board's, because a claim may be judged four times.",
    sqlLink("SELECT * FROM verdict_rows")),
    ...(claims.length ? [] : [make("p", { class: "note" }, "No claim can be judged yet.")]),
    ...origins.map(([title, group]) => make("section", { class: "claims" }, make("h2", {}, title),
      ...group.map(([claim, rows]) => makeClaim(claim, rows, open.has(claim), saveOpen(claim))))),
  ];
}

const nameSetting = (row) => [nameTable(row), settingsOf(row.settings)].filter(Boolean).join(", ");

function makeClaim(claim, rows, open, ontoggle) {
  const [first] = rows;
  const scale = findScale(rows.flatMap((row) => [row.low, row.high, row.mean]));
  const printedScale = findScale(rows.flatMap((row) => [row.low, row.high, row.mean, row.printed]));
  const counts = [...Map.groupBy(rows, (row) => row.decision)].map(([decision, group]) =>
    make("span", { class: `word ${kindOf(decision)}` }, `${decision} ${group.length}`));
  const lines = rows.map((row) => ({ ...row, kind: kindOf(row.decision) }));
  const lineHeight = Math.max(4, Math.min(10, 90 / rows.length));
  return make("details", { class: "claim", open, ontoggle },
    make("summary", {},
      make("span", { class: "text" }, make("b", {}, first.text), make("small", {}, first.source === "ours" ? "" : first.source)),
      drawIntervals(lines, scale, lineHeight),
      make("span", { class: "counts" }, ...counts)),
    makeTable(`Settings of: ${first.text}`,
      ["setting", { num: `difference, ${first.unit}` }, "", { num: "n" }, "verdict"],
      lines.map((line) => [
        [nameSetting(line), " ", make("small", {}, [
          line.comparison.replaceAll("conventional", "own rule"), line.budget === null ? null : `after ${count(line.budget, "step")} of pretraining`,
        ].filter(Boolean).join(", "))],
        { num: difference(line.mean, line.low, line.high) },
        drawIntervals([{ ...line, mark: line.printed }], printedScale),
        { num: String(line.n ?? "–") },
        [makeWord(line.decision), make("small", {}, ` ${line.why}${line.confirmatory ? "; confirmatory" : ""}`)],
      ])),
    rows.every((row) => row.printed === null) ? null
      : make("p", { class: "quiet" }, "The vertical mark is the difference that the paper prints."),
    ...nextSteps(rows));
}

function nextSteps(rows) {
  const commands = [...new Set(rows.map((row) => row.next).filter(Boolean))];
  if (commands.length) return [make("h3", {}, "What would decide it"), ...commands.map((command) => makeCode(command, "launch"))];
  const isOpen = rows.some((row) => row.decision === "undecided");
  return isOpen ? [make("p", { class: "quiet" }, "No launch of a profile here, within reach and within a plan, would decide the open verdicts.")] : [];
}
