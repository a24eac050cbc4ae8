"use strict";
// Draws the charts of a page in the colours of its style sheet, again when these change.

const dark = matchMedia("(prefers-color-scheme: dark)");

function draw() {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  const [ink, muted, line] = ["--ink", "--muted", "--line"].map(colour);
  const config = {
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
  for (const [id, spec] of Object.entries(window.lcmaCharts)) {
    const place = document.getElementById(id);
    window
      .vegaEmbed(place, spec, { ast: true, actions: false, renderer: "canvas", defaultStyle: false, config, tooltip: false })
      .catch((error) => {
        place.textContent = "This chart could not be drawn; its numbers are below.";
        console.error(error);
      });
  }
}

draw();
dark.addEventListener("change", draw);
