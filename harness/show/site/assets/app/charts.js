"use strict";
// Charts by Vega, in the colours of the style sheet, drawn when they come into view and again when
// the system turns dark. Vega is large, and loaded with the first chart.

const charts = new Map(); // {spec, data, titles, scales, legend, view} by place
const darkness = matchMedia("(prefers-color-scheme: dark)");

// A chart by the name of its specification, or by this itself. ``said`` is all of it in words; titles are by axis,
// scales by "field:axis".
function makeChart(spec, data, { said, caption = said, titles = {}, scales = {}, legend = true }) {
  const place = make("div", { class: "vega", role: "img", "aria-label": said });
  charts.set(place, { spec, data, titles, scales, legend, view: null });
  return make("figure", { class: "chart" }, place, make("figcaption", {}, `${caption}.`));
}

// What a chart of pictures has as fixed colours, in a page's own.
const COLOURS = {
  "#222222": "--ink", "#6B6B6B": "--muted", white: "--bg", "#0072B2": "--mark", "#009E73": "--good",
  "#D55E00": "--bad", "#E4E4E4": "--line",
};

function readColour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

// The specification with the page's colours, and a chart's own titles, scales and legend.
function adapt(value, chart, axis = null) {
  if (typeof value === "string") return Object.hasOwn(COLOURS, value) ? readColour(COLOURS[value]) : value;
  if (Array.isArray(value)) return value.map((one) => adapt(one, chart));
  if (value === null || typeof value !== "object") return value;
  const parts = Object.entries(value).map(([key, one]) => [key, adapt(one, chart, key)]);
  const found = Object.fromEntries(parts);
  const key = `${value.field}:${axis}`;
  if (value.field && Object.hasOwn(chart.titles, axis)) found.title = chart.titles[axis]; // of all layers, or they are joined
  if (Object.hasOwn(chart.scales, key)) found.scale = chart.scales[key];
  if (value.field && !chart.legend && ["color", "strokeDash"].includes(axis)) found.legend = null;
  return found;
}

function makeConfig() {
  const [ink, muted, line, mark] = ["--ink", "--muted", "--line", "--mark"].map(readColour);
  return {
    background: null,
    font: getComputedStyle(document.documentElement).fontFamily,
    aria: false, // the place has the words
    view: { stroke: null },
    axis: {
      labelColor: muted, titleColor: ink, gridColor: line, domainColor: muted, tickColor: muted,
      titleFontWeight: "normal", labelFontSize: 12, titleFontSize: 12,
      labelOverlap: true, labelSeparation: 6,
    },
    legend: {
      labelColor: ink, titleColor: ink, orient: "top", symbolType: "stroke", symbolStrokeWidth: 2,
      labelLimit: 0, labelFontSize: 12,
    },
    line: { color: mark },
    point: { color: mark },
    circle: { color: mark },
    text: { color: ink, fontSize: 12 },
    range: { category: ["--ink", "--mark", "--bad", "--good", "--muted"].map(readColour) },
  };
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
      logLevel: 1, // errors; a warning is that a layer has no data
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
