"use strict";
const LINKS = 30;
// Sorting, filtering, the slider and copying. Pages are whole without it.

const nav = document.querySelector("header nav");
const own = nav.querySelector("[aria-current]");
if (own) nav.scrollLeft = own.offsetLeft - (nav.clientWidth - own.offsetWidth) / 2;

for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  const value = (row, column, kind) => {
    const cell = row.cells[column];
    const raw = cell.dataset.value ?? cell.textContent.trim();
    if (kind === "text") return raw.toLowerCase();
    const number = parseFloat(raw.replace("+", ""));
    return Number.isNaN(number) ? Infinity : number;
  };
  heads.forEach((head, column) => {
    const button = head.querySelector("button[data-sort]");
    button?.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      const body = table.tBodies[0];
      const kind = button.dataset.sort;
      const rows = [...body.rows].map((row) => [value(row, column, kind), row]);
      rows.sort(([a], [b]) => {
        if (a === Infinity || b === Infinity) return (a === Infinity) - (b === Infinity);
        return (down ? -1 : 1) * (a < b ? -1 : a > b ? 1 : 0);
      });
      body.append(...rows.map(([, row]) => row));
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
    });
  });
}

const filters = document.getElementById("filters");
if (filters) {
  const index = window.lcmaBoard.parts.map(([page, flow, dataset, numbers]) => [
    page, flow, dataset, numbers.map((number) => window.lcmaBoard.names[number]),
  ]);
  const here = decodeURIComponent(location.pathname.split("/").pop()) || "index.html";
  const kinds = ["flow", "dataset", "name"];
  const values = { flow: new Set(), dataset: new Set(), name: new Set() };
  for (const [, flow, dataset, names] of index) {
    values.flow.add(flow);
    values.dataset.add(dataset);
    for (const name of names) values.name.add(name);
  }
  const asked = new URLSearchParams(location.hash.slice(1));
  for (const kind of kinds) {
    for (const one of [...values[kind]].sort()) filters[kind].append(new Option(one, one));
    if (values[kind].has(asked.get(kind))) filters[kind].value = asked.get(kind);
  }
  const apply = () => {
    const want = Object.fromEntries(kinds.map((kind) => [kind, filters[kind].value]));
    const fits = (one, wanted) => !wanted || one === wanted;
    let shown = 0;
    for (const group of document.querySelectorAll("section.group")) {
      const whole = fits(group.dataset.flow, want.flow) && fits(group.dataset.dataset, want.dataset);
      let some = 0;
      for (const row of group.querySelectorAll("[data-name]")) {
        row.hidden = !(whole && fits(row.dataset.name, want.name));
        if (!row.hidden && row.tagName === "TR") some += 1;
      }
      group.hidden = some === 0;
      shown += some;
    }
    const any = kinds.some((kind) => want[kind]);
    const hash = new URLSearchParams(Object.entries(want).filter(([, one]) => one)).toString();
    document.getElementById("shown").textContent = `${shown} row${shown === 1 ? "" : "s"} on this page`;
    const pages = new Set();
    for (const [page, flow, dataset, names] of index) {
      const fit = fits(flow, want.flow) && fits(dataset, want.dataset);
      if (any && page !== here && fit && (!want.name || names.includes(want.name))) pages.add(page);
    }
    const list = document.getElementById("elsewhere");
    const item = (...content) => {
      const made = document.createElement("li");
      made.append(...content);
      return made;
    };
    const links = [...pages].slice(0, LINKS).map((page) => {
      const link = document.createElement("a");
      link.href = `${page}#${hash}`;
      link.textContent = (page.match(/-(\d+)\.html$/) ?? [0, 1])[1];
      link.setAttribute("aria-label", `more on page ${link.textContent}`);
      return item(link);
    });
    const rest = pages.size - links.length;
    list.replaceChildren(item("More on pages"), ...links, ...(rest > 0 ? [item(`and ${rest} others`)] : []));
    list.hidden = pages.size === 0;
    history.replaceState(null, "", hash ? `#${hash}` : location.pathname.split("/").pop() || ".");
  };
  filters.addEventListener("change", apply);
  filters.addEventListener("submit", (event) => event.preventDefault());
  filters.addEventListener("reset", () => setTimeout(apply));
  apply();
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
