"use strict";
// Charts by Vega, in the colours of the style sheet. They are drawn when they come into view, and again
// when the system switches to dark or light. Vega is large, so it is loaded with the first chart.

const charts = new Map(); // {spec, data, titles, view} by place
const darkness = matchMedia("(prefers-color-scheme: dark)");

// A chart, by its specification or the name of one. `label` describes the whole chart; `titles` are by axis.
function makeChart(spec, data, { label, caption = label, titles = {} }) {
  const place = make("div", { class: "vega", role: "img", "aria-label": label });
  charts.set(place, { spec, data, titles, view: null });
  return make("figure", { class: "chart" }, place, make("figcaption", {}, `${caption}.`));
}

// Points {x, y}: two numbers, or, without the title `y`, a number and a name on a line of its own.
function plotPoints(rows, mark, x, y, label) {
  const measure = (field, title) => ({ field, type: "quantitative", title: printable(title), scale: { zero: false } });
  return makeChart({
    data: { name: "rows" }, width: "container", height: y === null ? { step: 22 } : 300, mark: { color: "#0072B2", ...mark },
    encoding: { x: measure("x", x), y: y === null ? { field: "y", type: "nominal", title: null, sort: null } : measure("y", y) },
  }, { rows }, { label });
}

// Fixed colours of charts in pictures, and the variables of a page's colours.
const COLOURS = {
  "#222222": "--ink", "#6B6B6B": "--muted", white: "--bg", "#0072B2": "--mark", "#009E73": "--good",
  "#D55E00": "--bad", "#E4E4E4": "--line",
};

function readColour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

// The specification with the colours of the page and the titles of the chart.
function adapt(value, chart, axis = null) {
  if (typeof value === "string") return Object.hasOwn(COLOURS, value) ? readColour(COLOURS[value]) : value;
  if (Array.isArray(value)) return value.map((one) => adapt(one, chart));
  if (value === null || typeof value !== "object") return value;
  const parts = Object.entries(value).map(([key, one]) => [key, adapt(one, chart, key)]);
  const found = Object.fromEntries(parts);
  if (value.field && Object.hasOwn(chart.titles, axis)) found.title = chart.titles[axis]; // in all layers: Vega would join different titles
  return found;
}

// The configuration of pictures, adapted to a page.
function makeConfig() {
  const { config } = window.lcmaSpecs;
  const own = { axis: { ...config.axis, labelOverlap: true, labelSeparation: 6 }, legend: { ...config.legend, orient: "top" } };
  const font = getComputedStyle(document.documentElement).fontFamily;
  return { ...adapt({ ...config, ...own }, { titles: {} }), background: null, padding: { left: 0, top: 0, right: 0, bottom: 4 }, font }; // room for descenders
}

async function drawChart(place) {
  const chart = charts.get(place);
  try {
    await Promise.all([loadScript("vega.js"), loadScript("specs.js")]);
    if (!place.isConnected) return;
    const spec = { ...adapt(window.lcmaSpecs[chart.spec] ?? chart.spec, chart), datasets: chart.data };
    if (typeof spec.height === "object") spec.height = spec.height.step * new Set(chart.data[spec.data.name].map((one) => one.y ?? one.seed)).size;
    const options = {
      ast: true, actions: false, renderer: "canvas", defaultStyle: false, tooltip: false,
      logLevel: 1, // only errors: a layer without data would warn
      config: makeConfig(),
    };
    chart.view?.finalize();
    chart.view = (await window.vegaEmbed(place, spec, options)).view;
  } catch (error) {
    place.textContent = `This chart could not be drawn: ${error.message}`;
  }
}

const inView = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting) continue;
    inView.unobserve(target);
    drawChart(target);
  }
}, { rootMargin: "200px" });

function watchCharts(view) {
  for (const place of view.querySelectorAll(".vega")) inView.observe(place);
}

function disposeCharts() {
  const view = document.getElementById("view");
  for (const [place, chart] of charts) {
    if (!view.contains(place)) continue;
    inView.unobserve(place);
    chart.view?.finalize();
    charts.delete(place);
  }
}

darkness.addEventListener("change", () => watchCharts(document.getElementById("view")));
