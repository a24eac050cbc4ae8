"use strict";
// The rules: what each does in a window, and where it ranks in each table.

const RULES_SQL = `SELECT rule, count(*) AS n, sum(than = 'better') AS better, sum(than = 'worse') AS worse
FROM board_rows WHERE n > 0 GROUP BY rule ORDER BY better DESC, worse, rule`;

async function showRules(search) {
  const [rules, board] = await Promise.all([readRules(), readBoard()]);
  const ranked = Map.groupBy(board.filter((row) => row.n > 0), (row) => row.rule);
  const openRule = search.get("rule");
  const list = (listed) => make("ul", { class: "cards" }, ...rules.filter((row) => row.listed === listed)
    .map((row) => makeRule(row, ranked.get(row.rule) ?? [], row.rule === openRule)));
  return [
    heading("Rules", "A rule chooses which half of the dimensions leaves at each split. Each picture is eight by eight " +
      "positions of a channel; if the three channels differ, each is drawn. Rules that read maps or images are drawn by an example.", sqlLink(RULES_SQL)),
    makeLegend(),
    list(1),
    rules.some((row) => !row.listed) ? makeSection("Other words and patterns in these results", list(0)) : null,
  ];
}

function makeRule({ rule, about, picture, side, listed }, rows, open) {
  const countRows = (word) => rows.filter((row) => row.than === word).length;
  const words = ["better", "worse", "neither"].filter(countRows).map((word) => `${word} in ${countRows(word)}`);
  const list = make("details", { open }, make("summary", {}, `Where it ranks in ${count(rows.length, "row")}`),
    makeTable(`Where ${rule} ranks`, ["table", { num: "place" }, { num: "difference" }, "verdict"],
      rows.map((row) => [
        [link(nameTable(row), "board", { table: row.table_number }), make("small", {}, ` ${nameMaps(row)}`)],
        { num: `${row.place} of ${row.places}` },
        { num: row.is_own ? "own rule" : difference(row.difference, row.low, row.high) },
        makeWord(row.than),
      ])));
  return make("li", {},
    make("div", { class: "channels" }, ...(picture ? drawChannels({ picture, side }) : [])),
    make("div", {},
      make(listed ? "h2" : "h3", {}, rule),
      listed ? make("p", {}, about) : null,
      words.length ? make("p", { class: "quiet" }, `Against the flow's own rule, in ${count(rows.length, "row")}: ${words.join(", ")}.`) : null,
      rows.length ? list : make("p", { class: "quiet" }, "Not in these results.")));
}
