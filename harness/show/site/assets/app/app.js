"use strict";
// Addresses and views. The whole state of a view is in its address.

const POLL_INTERVAL = 3000; // milliseconds between polls of a live server

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
let loadingNote = null; // says that a view is loading
let isAnswerOld = false; // newer results came than the first page shows
let lastRequest = 0; // number of the last view that was requested

function readAddress() {
  const [, path, search] = location.hash.match(/^#\/?([^?]*)\??(.*)$/s) ?? [null, "", ""];
  return { path, search: new URLSearchParams(search) };
}

// The state of a view by name, empty where the address does not name it.
const readState = (search, names) => Object.fromEntries(names.map((name) => [name, search.get(name) ?? ""]));

// Adds no entry to the history, so that Back does not undo single letters.
function replaceAddress(view, values) {
  history.replaceState(null, "", address(view, values));
}

async function showView(isNew) {
  const request = (lastRequest += 1);
  const { hash } = location;
  const { path, search } = readAddress();
  if (path === "" && isAnswerOld) {
    location.reload(); // the first page is not drawn by the script
    return;
  }
  const [answer, view] = [document.getElementById("answer"), document.getElementById("view")];
  const views = findViews();
  const [title, show] = Object.hasOwn(views, path) ? views[path] : [null, showUnknown];
  stopRun("stopped");
  for (const item of document.querySelectorAll("header nav a")) {
    const isCurrent = item.getAttribute("href") === address(path === "trial" ? "trials" : path);
    if (isCurrent) item.setAttribute("aria-current", path === "trial" ? "true" : "page");
    else item.removeAttribute("aria-current");
  }
  answer.hidden = path !== "";
  view.hidden = path === "";
  if (path === "") {
    loadingNote.textContent = "";
    document.title = answerTitle;
    view.replaceChildren();
    if (isNew) focusHeading(answer);
    return;
  }
  document.title = `${title ?? "Not found"} · lcma`;
  view.setAttribute("aria-busy", "true");
  const timer = setTimeout(() => { if (request === lastRequest) loadingNote.textContent = "Loading…"; }, 150);
  let content;
  try {
    content = await show(search, path);
  } catch (error) {
    content = [
      heading(title ?? "Not found", "This view could not be shown."),
      makeAlert(error),
    ];
  }
  clearTimeout(timer);
  if (request !== lastRequest) return; // another view was requested meanwhile
  if (location.hash !== hash) return showView(isNew); // a filter was changed meanwhile
  disposeCharts();
  // The address has the folds of claims.
  const findFolds = (state) => [...view.querySelectorAll(`details:not(.claim)${state} > summary`)];
  const open = new Set(isNew ? [] : findFolds("[open]").map((summary) => summary.textContent));
  view.replaceChildren(...content.flat().filter(Boolean));
  for (const summary of findFolds("")) summary.parentElement.open ||= open.has(summary.textContent);
  view.removeAttribute("aria-busy");
  loadingNote.textContent = "";
  document.title = `${view.querySelector("h1").textContent} · lcma`;
  watchCharts(view);
  if (isNew) focusHeading(view);
}

// Draws the same view again, and keeps the focus of a field, or moves it to that of this name.
async function refreshView(name = document.activeElement?.name) {
  const { selectionStart, selectionEnd } = document.activeElement ?? {};
  const request = lastRequest + 1;
  await showView(false);
  const field = name && document.querySelector(`#view [name="${name}"]`);
  if (!field || request !== lastRequest) return;
  field.focus();
  if (field.type === "search") field.setSelectionRange(selectionStart, selectionEnd);
}

async function showUnknown(search, path) {
  return [heading("Not found", `There is no view “${path}”.`), make("p", {}, link("To the board", "board"))];
}

function focusHeading(main) {
  const title = main.querySelector("h1");
  title.setAttribute("tabindex", "-1");
  title.focus({ preventScroll: true });
  scrollTo(0, 0);
}

async function watchLive() {
  const note = make("p", { class: "live", role: "status" });
  document.querySelector("header").append(note);
  let version = null;
  for (;;) {
    try {
      const answer = await fetch("status.json", { cache: "no-store" }).catch(() => null);
      if (!answer?.ok) throw new Error(answer ? await answer.text() : "the server does not answer");
      const status = await answer.json();
      const rest = status.left ? `, ${status.left} left` : "";
      const text = status.running ? `Live: ${count(status.running, "job")} running${rest}` : "Live: no job runs";
      if (note.textContent !== text) note.textContent = text;
      if (version !== null && status.version !== version) {
        await loadScript(`database.js?${encodeURIComponent(status.version)}`);
        endWorker("the database changed");
        isAnswerOld = true;
        if (readAddress().path !== "sql") await refreshView();
      }
      version = status.version;
    } catch (error) {
      note.textContent = `Not live: ${printable(error.message)}`;
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_INTERVAL));
  }
}

document.addEventListener("DOMContentLoaded", () => {
  loadingNote = make("p", { id: "loading", role: "status" });
  document.querySelector("header").append(loadingNote);
  document.querySelector("a.skip")?.addEventListener("click", (event) => {
    event.preventDefault(); // its #answer would replace the view in the address
    focusHeading(document.querySelector("main:not([hidden])"));
  });
  addEventListener("hashchange", () => showView(true));
  showView(false);
  if (document.body.dataset.live) watchLive();
});
