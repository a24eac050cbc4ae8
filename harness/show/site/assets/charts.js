"use strict";
// Draws each chart of a page when it comes into view, in the colours of the style sheet, and again
// when these change. Vega is most of a page's bytes and work, so that it is loaded with the first.

const bundle = new URL("vega.js", document.currentScript.src).href;
const dark = matchMedia("(prefers-color-scheme: dark)");
let vega = null; // the promise of it
let specs = new Map();

function loadVega() {
  vega ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = bundle;
    script.onload = resolve;
    script.onerror = () => {
      vega = null; // the next chart tries again
      reject(new Error(`cannot load ${bundle}`));
    };
    document.head.append(script);
  });
  return vega;
}

function readColours() {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  const [ink, muted, line] = ["--ink", "--muted", "--line"].map(colour);
  return {
    background: null,
    font: style.fontFamily,
    view: { stroke: null },
    axis: { labelColor: muted, titleColor: ink, gridColor: line, domainColor: muted, tickColor: muted },
    legend: { labelColor: ink, titleColor: ink, orient: "top" },
    line: { color: colour("--mark"), strokeWidth: 2 },
    area: { color: colour("--mark") },
    point: { color: colour("--mark"), fill: colour("--mark") },
    tick: { color: colour("--mark") },
    rule: { color: colour("--base") },
    text: { color: ink },
    range: { category: ["--ink", ...Array.from({ length: 11 }, (_, k) => `--line-${(k % 6) + 1}`)].map(colour) },
  };
}

async function drawChart(place) {
  const spec = specs.get(place);
  try {
    await loadVega();
    const options = { ast: true, actions: false, renderer: "canvas", defaultStyle: false, tooltip: false };
    await window.vegaEmbed(place, spec, { ...options, config: readColours() });
  } catch (error) {
    place.textContent = "This chart could not be drawn; its numbers are below.";
    console.error(error);
  }
}

const seen = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting) continue;
    seen.unobserve(target);
    drawChart(target);
  }
}, { rootMargin: "200px" });

function draw() {
  seen.disconnect();
  specs = new Map(Object.entries(window.lcmaCharts).map(([id, spec]) => [document.getElementById(id), spec]));
  for (const place of specs.keys()) seen.observe(place);
}

draw();
dark.addEventListener("change", draw);
