"use strict";
// Addresses and views: all that a view shows stands in the address.

const EVERY = 3000; // milliseconds between looks at a live database

const findViews = () => ({
  board: ["Board", showBoard],
  compare: ["Compare", showCompare],
  rules: ["Rules", showRules],
  claims: ["Claims", showClaims],
  maps: ["Maps", showMaps],
  budgets: ["Budgets", showBudgets],
  trials: ["Trials", showTrials],
  trial: ["Trial", showTrial],
  sql: ["SQL", showSql],
  about: ["About", showAbout],
});

const answerTitle = document.title;
let said = null; // where it is told that a view loads
let turn = 0;

function readAddress() {
  const [, path, search] = location.hash.match(/^#\/?([^?]*)\??(.*)$/s) ?? [null, "", ""];
  return { path, search: new URLSearchParams(search) };
}

// The state of a view that changed by itself: no step back for each letter that is typed.
function keepAddress(view, values) {
  history.replaceState(null, "", address(view, values));
}

async function showView(moved) {
  const mine = (turn += 1);
  const [answer, view] = [document.getElementById("answer"), document.getElementById("view")];
  const views = findViews();
  const { path, search } = readAddress();
  const [title, show] = Object.hasOwn(views, path) ? views[path] : [null, showUnknown];
  stopRun("stopped");
  for (const item of document.querySelectorAll("header nav a")) {
    const own = item.getAttribute("href") === address(path === "trial" ? "trials" : path);
    if (own) item.setAttribute("aria-current", path === "trial" ? "true" : "page");
    else item.removeAttribute("aria-current");
  }
  answer.hidden = path !== "";
  view.hidden = path === "";
  if (path === "") {
    said.textContent = "";
    document.title = answerTitle;
    view.replaceChildren();
    if (moved) focusHeading(answer);
    return;
  }
  document.title = `${title ?? "Not found"} · lcma`;
  view.setAttribute("aria-busy", "true");
  const slow = setTimeout(() => (said.textContent = "Loading…"), 150);
  let content;
  try {
    content = await show(search, path);
  } catch (error) {
    content = [
      heading(title ?? "Not found", "This view could not be shown."),
      make("p", { class: "note bad", role: "alert" }, error.message),
    ];
  }
  clearTimeout(slow);
  if (mine !== turn) return;
  disposeCharts();
  view.replaceChildren(...content.flat().filter(Boolean));
  view.removeAttribute("aria-busy");
  said.textContent = "";
  document.title = `${view.querySelector("h1").textContent} · lcma`;
  watchCharts(view);
  if (moved) focusHeading(view);
}

// The same view drawn anew, with the focus on what has it or will have this name.
async function refreshView(name = document.activeElement?.name) {
  await showView(false);
  if (name) document.querySelector(`#view [name="${name}"]`)?.focus();
}

async function showUnknown(search, path) {
  return [heading("Not found", `There is no view “${path}”.`), make("p", {}, link("To the board", "board"))];
}

function focusHeading(main) {
  const own = main.querySelector("h1");
  own.setAttribute("tabindex", "-1");
  own.focus({ preventScroll: true });
  scrollTo(0, 0);
}

async function watchLive() {
  const note = make("p", { class: "live", role: "status" });
  document.querySelector("header").append(note);
  let version = null;
  for (;;) {
    try {
      const found = await (await fetch("status.json", { cache: "no-store" })).json();
      const left = found.left ? `, ${found.left} left` : "";
      const text = found.running ? `Live: ${count(found.running, "job")} running${left}` : "Live: nothing runs";
      if (note.textContent !== text) note.textContent = text;
      if (version !== null && found.version !== version) {
        await loadScript(`database.js?${encodeURIComponent(found.version)}`);
        endWorker("the database changed");
        if (readAddress().path === "") location.reload(); // the page itself is made anew
        else if (readAddress().path !== "sql") await refreshView();
      }
      version = found.version;
    } catch {
      note.textContent = "Not live: the server does not answer";
    }
    await new Promise((resolve) => setTimeout(resolve, EVERY));
  }
}

document.addEventListener("DOMContentLoaded", () => {
  said = make("p", { id: "said", role: "status" });
  document.querySelector("header").append(said);
  document.querySelector("a.skip")?.addEventListener("click", (event) => {
    event.preventDefault(); // its place would take the view's in the address
    focusHeading(document.querySelector("main:not([hidden])"));
  });
  addEventListener("hashchange", () => showView(true));
  showView(false);
  if (document.body.dataset.live) watchLive();
});
