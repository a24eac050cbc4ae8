"use strict";
// How the numbers were made, and the database as a file.

const METHOD = [
  "A flow with several scales lets half of its dimensions leave early at each split; a rule chooses which half.",
  "The paper's rule, here called low, pretrains the same flow without splits, averages what each dimension adds",
  "to the log-determinant, and lets the dimensions with the lowest contributions in each window leave.",
  "Every rule is trained with the same recipe and seeds, and is compared with the flow's own rule seed by seed:",
  "fewer bits per dimension are better.",
].join(" ");

async function readFact(name) {
  const [fact] = await select("SELECT value FROM site_facts WHERE name = ?", [name]);
  return fact?.value ?? null;
}

async function showAbout() {
  const [rows, terms, licences, sets] = await Promise.all([
    select("SELECT name, value FROM site_facts"), select("SELECT term, meaning FROM glossary"),
    select("SELECT name, licence FROM data_licences WHERE name IN (SELECT name FROM data_sets)"),
    select("SELECT name, variant, height, width, channels, train, holdout, test, digest FROM data_sets ORDER BY name, variant"),
  ]);
  const facts = Object.fromEntries(rows.map((row) => [row.name, row.value]));
  const save = make("button", { type: "button", class: "button" }, "Save results.sqlite");
  save.addEventListener("click", async () => saveFile("results.sqlite", await readDatabaseFile()));
  const linkFact = (name) => {
    const path = facts[name] ?? "";
    return /^https:\/\//.test(path) ? make("a", { href: path, rel: "noreferrer" }, path) : null;
  };
  const size = (value) => ({ num: value.toLocaleString("en") });
  const licenceOf = new Map(licences.map(({ name, licence }) => [name, licence]));
  return [
    heading("About", "How the numbers were made, and how they may be used."),
    makeSection("Method", make("p", { class: "prose" }, METHOD)),
    makeSection("The database",
      make("p", { class: "prose" }, "All content of this site comes from one SQLite file, which any tool can open: ",
        make("code", {}, "lcma board --db results.sqlite"), "."),
      make("p", {}, save, " ", link("Query it here", "sql"))),
    makeSection("Versions", makeFacts([
      ["results", facts.results],
      ["from", facts.first && `${facts.first} to ${facts.last}`],
      ["ranked by", facts.measure_about ?? facts.measure],
      ["lcma", facts.version],
      ["schema", facts.schema],
      ["paper", linkFact("paper")],
      ["code", linkFact("code")],
    ])),
    makeSection("Data sets", makeTable("Data sets",
      ["data set", "images", { num: "train" }, { num: "holdout" }, { num: "test" }, "licence"],
      sets.map((set) => [
        dataOf({ dataset: set.name, variant: set.variant }), `${set.channels}×${set.height}×${set.width}`,
        size(set.train), size(set.holdout), size(set.test), licenceOf.get(set.name) ?? "see its source",
      ]))),
    facts.bibtex ? makeSection("How to cite", makeCode(facts.bibtex, "BibTeX")) : null,
    makeSection("Glossary", makeFacts(terms.map(({ term, meaning }) => [term, meaning]))),
    makeSection("Licences", make("p", {}, make("a", { href: "licences.txt" }, "Licences of the libraries of this page"), ".")),
  ];
}
