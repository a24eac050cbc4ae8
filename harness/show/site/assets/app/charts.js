"use strict";
// Charts by Vega, in the colours of the style sheet. They are drawn when they come into view, and again
// when the system switches to dark or light. Vega is large, so it is loaded with the first chart.

const charts = new Map(); // {spec, data, titles, view} by container
const darkness = matchMedia("(prefers-color-scheme: dark)");

// `spec` is a specification, or the name of one in specs.js. `label` describes the whole chart; `titles` are by axis.
function makeChart(spec, data, { label, caption = label, titles = {} }) {
  const container = make("div", { class: "vega", role: "img", "aria-label": label });
  charts.set(container, { spec, data, titles, view: null });
  return make("figure", { class: "chart" }, container, make("figcaption", {}, `${caption}.`));
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
  if (Array.isArray(value)) return value.map((part) => adapt(part, chart));
  if (value === null || typeof value !== "object") return value;
  const parts = Object.entries(value).map(([key, part]) => [key, adapt(part, chart, key)]);
  const adapted = Object.fromEntries(parts);
  // In all layers, because Vega would join different titles.
  if (value.field && Object.hasOwn(chart.titles, axis)) adapted.title = chart.titles[axis];
  return adapted;
}

// The configuration of pictures, adapted to a page.
function makeConfig() {
  const { config } = window.lcmaSpecs;
  const pageStyle = { axis: { ...config.axis, labelOverlap: true, labelSeparation: 6 }, legend: { ...config.legend, orient: "top" } };
  const font = getComputedStyle(document.documentElement).fontFamily;
  return { ...adapt({ ...config, ...pageStyle }, { titles: {} }), background: null, padding: { left: 0, top: 0, right: 0, bottom: 4 }, font }; // room for descenders
}

async function drawChart(container) {
  const chart = charts.get(container);
  try {
    await Promise.all([loadScript("vega.js"), loadScript("specs.js")]);
    if (!container.isConnected) return;
    const spec = { ...adapt(window.lcmaSpecs[chart.spec] ?? chart.spec, chart), datasets: chart.data };
    if (typeof spec.height === "object") spec.height = spec.height.step * new Set(chart.data[spec.data.name].map((row) => row.y ?? row.seed)).size;
    const options = {
      ast: true, actions: false, renderer: "canvas", defaultStyle: false, tooltip: false,
      logLevel: 1, // only errors, because a layer without data would warn
      config: makeConfig(),
    };
    chart.view?.finalize();
    chart.view = (await window.vegaEmbed(container, spec, options)).view;
  } catch (error) {
    container.textContent = `This chart could not be drawn: ${error.message}`;
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
  for (const container of view.querySelectorAll(".vega")) inView.observe(container);
}

function disposeCharts() {
  const view = document.getElementById("view");
  for (const [container, chart] of charts) {
    if (!view.contains(container)) continue;
    inView.unobserve(container);
    chart.view?.finalize();
    charts.delete(container);
  }
}

darkness.addEventListener("change", () => watchCharts(document.getElementById("view")));
