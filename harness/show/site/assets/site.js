"use strict";
const LINKS = 30;
// Sorting, filtering, the slider and copying. Pages are whole without it.

const nav = document.querySelector("header nav");
const own = nav.querySelector("[aria-current]");
if (own) nav.scrollLeft = own.offsetLeft - (nav.clientWidth - own.offsetWidth) / 2;

const sortable = [...document.querySelectorAll("table.sortable")];
const unsorted = new Map(sortable.map((table) => [table, [...table.tBodies[0].rows]]));

function sort(table, name, down) { // or, without a name, back to the order that the page came with
  const heads = [...table.tHead.rows[0].cells];
  for (const head of heads) head.removeAttribute("aria-sort");
  const column = heads.findIndex((head) => head.dataset.column === name);
  const kind = heads[column]?.querySelector("[data-sort]")?.dataset.sort;
  const value = (row) => {
    const cell = row.cells[column];
    const raw = cell.dataset.value ?? cell.textContent.trim();
    if (kind === "text") return raw.toLowerCase();
    const number = parseFloat(raw.replace("+", ""));
    return Number.isNaN(number) ? Infinity : number;
  };
  const rows = [...unsorted.get(table)];
  if (kind) {
    heads[column].setAttribute("aria-sort", down ? "descending" : "ascending");
    const values = new Map(rows.map((row) => [row, value(row)]));
    rows.sort((one, other) => {
      const [a, b] = [values.get(one), values.get(other)];
      if (a === Infinity || b === Infinity) return (a === Infinity) - (b === Infinity);
      return (down ? -1 : 1) * (a < b ? -1 : a > b ? 1 : 0);
    });
  }
  table.tBodies[0].append(...rows);
}

let onSort = sort; // the leaderboard sorts all of its tables
for (const table of sortable) {
  for (const head of table.tHead.rows[0].cells) {
    head.querySelector("[data-sort]")?.addEventListener("click", () => {
      onSort(table, head.dataset.column, head.getAttribute("aria-sort") === "ascending");
    });
  }
}

const filters = document.getElementById("filters");
if (filters) {
  // What is searched, chosen, sorted and open stands in the address, so that a link shows the same.
  const { names, parts } = window.lcmaBoard;
  const here = decodeURIComponent(location.pathname.split("/").pop()) || "index.html";
  const kinds = ["flow", "dataset", "name"];
  const choices = [parts.map((part) => part[1]), parts.map((part) => part[2]), names.map(([label]) => label)];
  kinds.forEach((kind, k) => {
    for (const one of [...new Set(choices[k])].sort()) filters[kind].append(new Option(one, one));
  });
  const boxes = [...filters.querySelectorAll("[name=column]")];
  const boards = [...document.querySelectorAll("table.board")];
  const heads = boards.flatMap((table) => [...table.tHead.rows[0].cells]);
  for (const box of boxes) {
    box.parentElement.hidden = !heads.some((head) => head.dataset.column === box.value);
  }
  const folded = [...document.querySelectorAll("section.group details, .legend details, details.sql")];
  let sorted = ""; // a column, with a minus where it falls
  let columns = null; // those that were chosen; else the width of the window says

  const seen = (key) => {
    const own = heads.filter((head) => head.dataset.column === key);
    if (!own.length) return columns === null || columns.includes(key); // of tables on other pages
    return own.some((head) => getComputedStyle(head).display !== "none");
  };
  const tick = () => boxes.forEach((box) => (box.checked = seen(box.value)));
  const showColumns = () => {
    for (const table of boards) {
      table.classList.toggle("chosen", columns !== null);
      [...table.tHead.rows[0].cells].forEach((head, column) => {
        const key = head.dataset.column;
        if (key === "factorization") return;
        const hidden = columns !== null && !columns.includes(key);
        for (const row of table.rows) row.cells[column].hidden = hidden;
        table.classList.toggle(`no-${key}`, hidden);
      });
    }
    tick();
  };
  const sortAll = () => boards.forEach((table) => sort(table, sorted.replace(/^-/, ""), sorted.startsWith("-")));
  onSort = (table, name, down) => {
    if (!boards.includes(table)) return sort(table, name, down);
    sorted = (down ? "-" : "") + name;
    sortAll();
    write();
  };

  const address = () => {
    const found = new URLSearchParams();
    for (const kind of kinds) if (filters[kind].value) found.set(kind, filters[kind].value);
    if (filters.q.value.trim()) found.set("q", filters.q.value.trim());
    if (sorted) found.set("sort", sorted);
    if (columns) found.set("columns", columns.join(" "));
    return found;
  };
  const write = () => {
    const found = address();
    for (const link of document.querySelectorAll("nav.pager a")) link.hash = found.toString();
    const open = folded.filter((one) => one.open).map((one) => one.id);
    if (open.length) found.set("open", open.join(" "));
    const hash = found.toString();
    history.replaceState(null, "", hash ? `#${hash}` : location.pathname.split("/").pop() || ".");
  };
  const read = () => {
    const asked = new URLSearchParams(location.hash.slice(1));
    const known = [...kinds, "q", "sort", "columns", "open"];
    if (!known.some((key) => asked.has(key))) return false;
    for (const kind of kinds) {
      filters[kind].value = asked.get(kind) ?? "";
      if (filters[kind].selectedIndex < 0) filters[kind].value = "";
    }
    filters.q.value = asked.get("q") ?? "";
    const keys = new Set(heads.map((head) => head.dataset.column));
    const order = asked.get("sort") ?? "";
    sorted = keys.has(order.replace(/^-/, "")) ? order : "";
    columns = asked.has("columns") ? asked.get("columns").split(" ") : null;
    const open = (asked.get("open") ?? "").split(" ");
    for (const one of folded) one.open = open.includes(one.id);
    return true;
  };

  const atStart = (text) => { // of a word: "low" finds no "glow"
    const literal = text.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&");
    return new RegExp(`(?<![\\p{L}\\p{N}])${literal}`, "iu");
  };
  const filter = () => {
    const want = Object.fromEntries(kinds.map((kind) => [kind, filters[kind].value]));
    const words = filters.q.value.split(/\s+/).filter(Boolean).map(atStart);
    const is = (one, wanted) => !wanted || one === wanted;
    const has = (...texts) => words.every((word) => word.test(texts.join(" ")));
    let shown = 0;
    for (const group of document.querySelectorAll("section.group")) {
      const { flow, dataset, search } = group.dataset;
      const whole = is(flow, want.flow) && is(dataset, want.dataset);
      let some = 0;
      for (const row of group.querySelectorAll("[data-name]")) {
        row.hidden = !(whole && is(row.dataset.name, want.name) && has(search, row.dataset.search));
        if (!row.hidden && row.tagName === "TR") some += 1;
      }
      group.hidden = some === 0;
      shown += some;
    }
    document.getElementById("shown").textContent = `${shown} row${shown === 1 ? "" : "s"} on this page`;
    const any = words.length > 0 || kinds.some((kind) => want[kind]);
    const pages = new Set();
    for (const [page, flow, dataset, text, rows] of any ? parts : []) {
      const fit = page !== here && is(flow, want.flow) && is(dataset, want.dataset);
      const row = ([label, own]) => is(label, want.name) && has(text, own);
      if (fit && rows.some((number) => row(names[number]))) pages.add(page);
    }
    const list = document.getElementById("elsewhere");
    const item = (...content) => {
      const made = document.createElement("li");
      made.append(...content);
      return made;
    };
    const links = [...pages].slice(0, LINKS).map((page) => {
      const link = document.createElement("a");
      link.href = `${page}#${address()}`;
      link.textContent = (page.match(/-(\d+)\.html$/) ?? [0, 1])[1];
      link.setAttribute("aria-label", `more on page ${link.textContent}`);
      return item(link);
    });
    const rest = pages.size - links.length;
    list.replaceChildren(item("More on pages"), ...links, ...(rest > 0 ? [item(`and ${rest} others`)] : []));
    list.hidden = pages.size === 0;
  };
  const show = () => {
    filter();
    sortAll();
    showColumns();
  };
  filters.addEventListener("input", ({ target }) => {
    if (target.name === "column") {
      columns = boxes.filter((box) => box.checked).map((box) => box.value);
      showColumns();
    }
    filter();
    write();
  });
  filters.addEventListener("submit", (event) => event.preventDefault());
  filters.addEventListener("reset", () => setTimeout(() => {
    sorted = "";
    columns = null;
    show();
    write();
  }));
  for (const one of folded) one.addEventListener("toggle", write);
  document.getElementById("columns").addEventListener("toggle", tick);
  addEventListener("hashchange", () => {
    if (read()) show();
    if (address().size) write(); // also after an address of a place on the page
  });
  if (read()) write();
  show();
}

const slider = document.getElementById("slider");
if (slider) {
  const sections = [...document.querySelectorAll("section.budget")];
  const input = slider.querySelector("input");
  const output = slider.querySelector("output");
  const show = () => {
    sections.forEach((section, k) => (section.hidden = k !== Number(input.value)));
    const budget = sections[Number(input.value)].dataset.budget;
    output.textContent = `${budget} steps`;
    input.setAttribute("aria-valuetext", `${budget} steps`);
  };
  input.addEventListener("input", show);
  slider.addEventListener("submit", (event) => event.preventDefault());
  show();
}

for (const button of document.querySelectorAll("button.copy")) {
  const code = button.parentElement.querySelector("pre");
  button.addEventListener("click", async () => {
    getSelection().selectAllChildren(code);
    try {
      await navigator.clipboard.writeText(code.textContent);
    } catch {
      document.execCommand("copy");
    }
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy"), 2000);
  });
}

const every = Number(document.documentElement.dataset.refresh);
if (every) {
  // What was open stays open when the page looks again.
  const key = `open ${location.pathname}`;
  const folded = [...document.querySelectorAll("details[id]")];
  const open = (sessionStorage.getItem(key) ?? "").split(" ");
  for (const one of folded) {
    if (open.includes(one.id)) one.open = true;
    one.addEventListener("toggle", () => {
      sessionStorage.setItem(key, folded.filter((each) => each.open).map((each) => each.id).join(" "));
    });
  }
  const pause = document.getElementById("pause");
  const paused = () => pause.getAttribute("aria-pressed") === "true";
  pause.addEventListener("click", () => {
    pause.setAttribute("aria-pressed", String(!paused()));
    pause.textContent = paused() ? "Go on" : "Pause";
  });
  setInterval(() => {
    if (!paused() && !document.hidden && !getSelection().toString()) location.reload();
  }, every * 1000);
}
