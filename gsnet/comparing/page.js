"use strict";
// Draws a comparison: everything that is shown comes from the element "data".
const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const column = (key) => data.columns.find((one) => one.key === key);
// Colours that people who see fewer of them can tell apart (Okabe and Ito), without the yellow.
const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#5b6875", "#7a5195"];
// From disagreement to agreement.
const AGREEMENT = [[0, "#b35806"], [0.25, "#f1a340"], [0.5, "#f7f7f7"], [0.75, "#92c5de"], [1, "#2166ac"]];
const FEW = 12;
const FONT = { family: "system-ui, -apple-system, Segoe UI, Roboto, Helvetica Neue, sans-serif", size: 13, color: "#1d2733" };
// The buttons by name: left to itself the library offers one that sends the figures to its makers' server.
const CONFIG = { responsive: true, displaylogo: false, plotlyServerURL: "",
  modeBarButtons: [["toImage", "zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d"]] };

function element(tag, text, attributes = {}) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

// Plotly reads a few tags in texts: names are to be shown as they are.
const plain = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
const shortened = (name, most) => (name.length <= most ? name : `${name.slice(0, most / 2 - 1)}…${name.slice(-most / 2)}`);
const title = (one) => (one.unit ? `${one.label}, ${one.unit}` : one.label);

function figureText(value, one) {
  if (value === null || value === undefined) return "–";
  if (typeof value === "string") return value;
  const shown = value / one.scale;
  if (Number.isInteger(shown) && one.scale === 1) return shown.toLocaleString("en");
  if (shown !== 0 && (Math.abs(shown) >= 1e6 || Math.abs(shown) < 1e-3)) return shown.toExponential(3);
  return shown.toPrecision(Math.max(4, String(Math.trunc(Math.abs(shown))).length));
}

// A structure in lines of blocks, as a label over a figure can hold it.
function wrapped(structure) {
  const lines = [""];
  for (const block of (structure || "").split(/(?<=\))(?=\w)/)) {
    if (lines.at(-1).length + block.length > 70) lines.push("");
    lines[lines.length - 1] += block;
  }
  const shown = lines.slice(0, 14).map(plain);
  return shown.concat(lines.length > 14 ? ["…"] : []).join("<br>");
}

function hover(name, structure, figures) {
  const lines = [`<b>${plain(shortened(name, 70))}</b>`, ...figures.map(plain)];
  return lines.join("<br>") + (structure ? `<br><br>${wrapped(structure)}` : "");
}

const HOVER = { align: "left", bgcolor: "#ffffff", bordercolor: "#5b6875", font: { ...FONT, size: 12 } };

function layout(x, y, more = {}) {
  const axis = { gridcolor: "#e8edf1", zeroline: false, linecolor: "#aab4be", showline: true, automargin: true, ticks: "outside",
    tickcolor: "#aab4be" };
  return { font: FONT, margin: { l: 70, r: 24, t: 36, b: 60 }, paper_bgcolor: "#fff", plot_bgcolor: "#fff", hoverlabel: HOVER,
    hovermode: "closest", legend: { orientation: "h", y: -0.2, yanchor: "top", x: 0 },
    xaxis: { ...axis, ...x }, yaxis: { ...axis, ...y }, ...more };
}

function axis(one, logarithmic) {
  const made = { title: { text: title(one) } };
  return logarithmic ? { ...made, type: "log", dtick: "D2", tickformat: "~g", minexponent: 6 } : made;
}

// Whether figures lie so far apart that a logarithmic axis shows them better.
function isWide(values) {
  const known = values.filter((v) => v !== null && v !== undefined);
  return known.length > 1 && Math.min(...known) > 0 && Math.max(...known) / Math.min(...known) > 20;
}

// Networks against what they cost.

function choose(select, columns, changed) {
  for (const one of columns) select.append(element("option", one.label, { value: one.key }));
  select.addEventListener("change", changed);
}

function networkPoints(places, x, y, few) {
  // Names of neighbours stand above and below in turn, and point inwards.
  const along = [...places].sort((a, b) => x.values[a] - x.values[b]);
  const sides = places.map((i) => {
    const turn = along.indexOf(i);
    return `${turn % 2 ? "bottom" : "top"} ${turn < along.length / 2 ? "right" : "left"}`;
  });
  return {
    x: places.map((i) => x.values[i] / x.scale),
    y: places.map((i) => y.values[i] / y.scale),
    text: few ? places.map((i) => plain(shortened(data.rows[i].name, 26))) : undefined,
    hovertext: places.map((i) => hover(data.rows[i].name, data.rows[i].structure,
      [y, x].map((one) => `${title(one)}: ${figureText(one.values[i], one)}`))),
    hoverinfo: "text", textposition: few ? sides : undefined, textfont: { size: 11, color: "#5b6875" }, cliponaxis: false,
  };
}

function drawFront() {
  const [y, x] = [column(byId("front-y").value), column(byId("front-x").value)];
  const places = data.rows.map((_, i) => i).filter((i) => x.values[i] !== null && y.values[i] !== null);
  const line = (data.fronts[y.key] || {})[x.key] || [];
  const few = places.length <= FEW;
  const points = networkPoints(places, x, y, few);
  // Of networks that are alike in both the front has the first.
  const isOnFront = (i) => line.some((j) => x.values[j] === x.values[i] && y.values[j] === y.values[i]);
  const marker = { size: few ? 11 : 8, color: places.map((i) => (isOnFront(i) ? COLOURS[1] : COLOURS[0])), opacity: 0.85,
    line: { color: "#fff", width: 1 } };
  const traces = [{ ...points, type: "scatter", mode: few ? "markers+text" : "markers", marker, showlegend: false }];
  if (line.length > 1) {
    traces.unshift({ x: line.map((i) => x.values[i] / x.scale), y: line.map((i) => y.values[i] / y.scale), type: "scatter",
      mode: "lines", line: { shape: "hv", color: COLOURS[1], width: 1.5, dash: "dot" }, hoverinfo: "skip", showlegend: false });
  }
  const logarithmic = byId("front-log").checked;
  Plotly.react("front", traces, layout(axis(x, logarithmic), axis(y, false)), CONFIG);
}

function drawFronts() {
  const known = data.columns.filter((one) => one.values.filter((v) => typeof v === "number").length > 0);
  const costs = known.filter((one) => one.kind === "cost" || one.kind === "latency");
  const gains = known.filter((one) => one.kind === "score" || one.kind === "result");
  // Without scores costs are looked at against each other.
  const upwards = gains.length ? [...gains, ...costs.filter((one) => one.kind === "latency")] : [...costs].reverse();
  if (!costs.length || !upwards.length) return;
  const section = byId("front-section");
  section.hidden = false;
  if (!gains.length) section.querySelector("h2").textContent = "Costs";
  const scale = () => {
    byId("front-log").checked = isWide(column(byId("front-x").value).values);
    drawFront();
  };
  choose(byId("front-y"), upwards, drawFront);
  choose(byId("front-x"), costs, scale);
  byId("front-y").value = (gains.length ? upwards[0] : column("flops")).key;
  byId("front-log").addEventListener("change", drawFront);
  scale();
}

// Searches and trainings.

function panel(parent, heading, id) {
  const part = element("div");
  const figure = element("div", undefined, { id, class: "figure" });
  part.append(element("h3", heading), figure);
  parent.append(part);
  return figure;
}

function section(holder, heading) {
  const made = element("section");
  const bar = element("div", undefined, { class: "bar" });
  bar.append(element("h2", heading));
  const pair = element("div", undefined, { class: "pair" });
  made.append(bar, pair);
  holder.append(made);
  return { bar, pair };
}

const legend = (count) => ({ showlegend: count > 1 && count <= FEW });

function drawRises(figure, proxy, searches) {
  const traces = searches.map((search, i) => {
    // To its end, a search keeps its best.
    const rises = [...search.rises, [search.iterations, ...search.rises.at(-1).slice(1)]];
    return { x: rises.map((r) => r[0]), y: rises.map((r) => r[1]), type: "scatter", mode: "lines", name: plain(shortened(search.name, 50)),
      line: { shape: "hv", color: COLOURS[i % COLOURS.length], width: 2 }, hoverinfo: "text",
      hovertext: rises.map((r) => hover(search.name, r[2], [`iteration ${r[0]}`, `score ${figureText(r[1], { scale: 1 })}`])) };
  });
  Plotly.newPlot(figure, traces, layout({ title: { text: "iteration" }, rangemode: "tozero" },
    { title: { text: `best ${plain(proxy)}` } }, legend(searches.length)), CONFIG);
}

function drawSearchFront(figure, proxy, searches, key) {
  const traces = searches.filter((search) => search.fronts[key]).flatMap((search, i) => {
    const [table, one] = [search.front, search.columns.find((c) => c.key === key)];
    const colour = COLOURS[searches.indexOf(search) % COLOURS.length];
    const x = table[key].map((v) => v / one.scale);
    const line = search.fronts[key];
    const name = plain(shortened(search.name, 50));
    return [
      { x, y: table.score, type: "scatter", mode: "markers", name, legendgroup: String(i), hoverinfo: "text",
        marker: { color: colour, size: 6, opacity: 0.55 },
        hovertext: table.structure.map((s, j) => hover(search.name, s, search.columns.map((c) =>
          `${title(c)}: ${figureText(table[c.key][j], c)}`))) },
      { x: line.map((j) => x[j]), y: line.map((j) => table.score[j]), type: "scatter", mode: "lines", legendgroup: String(i),
        showlegend: false, hoverinfo: "skip", line: { shape: "hv", color: colour, width: 1.5 } },
    ];
  });
  const all = searches.flatMap((search) => search.front[key] || []);
  const one = searches.flatMap((search) => search.columns).find((c) => c.key === key);
  Plotly.react(figure, traces, layout(axis(one, isWide(all)), { title: { text: plain(proxy) } }, legend(searches.length)), CONFIG);
}

function drawSearches() {
  const proxies = [...new Set(data.searches.map((search) => search.proxy))];
  proxies.forEach((proxy, i) => {
    const searches = data.searches.filter((search) => search.proxy === proxy);
    const { bar, pair } = section(byId("searches"), `Searches by ${proxy}`);
    const rises = panel(pair, "Best score", `rises-${i}`);
    const front = panel(pair, "Pareto front over all costs", `search-front-${i}`);
    const costs = searches.flatMap((search) => search.columns).filter((c) => c.key !== "score");
    const each = costs.filter((c, place) => costs.findIndex((other) => other.key === c.key) === place);
    const select = element("select");
    const label = element("label", "front against ");
    label.append(select);
    bar.append(label);
    const draw = () => drawSearchFront(front, proxy, searches, select.value);
    choose(select, each, draw);
    drawRises(rises, proxy, searches);
    draw();
  });
}

// Columns of a training's log: what a figure is called, what is measured in validation, and in training.
const CURVES = [
  { heading: "Loss", unit: "loss", validation: "val_loss", training: "train_loss" },
  { heading: "Top-1 accuracy", unit: "top-1, %", validation: "val_acc1", training: "train_acc1" },
  { heading: "Average precision", unit: "AP", validation: "val_AP" },
];

function trainingTraces(curve) {
  return data.trainings.flatMap((one, i) => [[curve.validation, "solid", "validation"], [curve.training, "dot", "training"]]
    .filter(([key]) => key && one.epochs[key] && one.epochs[key].some((v) => v !== null))
    .map(([key, dash, what]) => ({ x: one.epochs.epoch, y: one.epochs[key], type: "scatter", connectgaps: true,
      mode: one.epochs.epoch.length > 1 ? "lines" : "markers", name: `${plain(shortened(one.name, 40))}, ${what}`,
      line: { color: COLOURS[i % COLOURS.length], dash, width: 2 }, hoverinfo: "text",
      hovertext: one.epochs[key].map((v, j) => hover(one.name, "", [`epoch ${one.epochs.epoch[j]}`,
        `${what}: ${figureText(v, { scale: 1 })}`])) })));
}

function drawTrainings() {
  if (!data.trainings.length) return;
  const { pair } = section(byId("trainings"), "Trainings");
  const longest = Math.max(...data.trainings.map((one) => one.epochs.epoch.length));
  const epochs = longest < 10 ? { dtick: 1 } : {};
  const drawn = CURVES.map((curve) => [curve, trainingTraces(curve)]).filter(([, traces]) => traces.length);
  // All places first: a figure takes the width that its place has when it is drawn.
  const places = drawn.map(([curve], i) => panel(pair, curve.heading, `training-${i}`));
  drawn.forEach(([curve, traces], i) => Plotly.newPlot(places[i], traces, layout({ title: { text: "epoch" }, ...epochs },
    { title: { text: curve.unit } }, { showlegend: data.trainings.length <= FEW }), CONFIG));
}

// Correlations.

function drawCorrelations() {
  const found = data.correlations;
  if (!found) return;
  byId("correlation-section").hidden = false;
  const few = found.names.length <= FEW;
  for (const [id, heading] of [["spearman", "Spearman"], ["kendall", "Kendall"]]) {
    const names = found.names.map(plain);
    const shown = found[id].map((row) => row.map((v) => (v === null ? "" : v.toFixed(2))));
    const trace = { type: "heatmap", z: found[id], x: names, y: names, zmin: -1, zmax: 1, colorscale: AGREEMENT,
      xgap: 1, ygap: 1, hoverinfo: "text", colorbar: { thickness: 12, outlinewidth: 0 },
      text: shown, texttemplate: few ? "%{text}" : undefined, textfont: { size: 11 },
      hovertext: shown.map((row, i) => row.map((v, j) =>
        `${names[i]} and ${names[j]}: ${v || "none"}, ${found.networks[i][j]} networks`)) };
    const side = { showgrid: false, ticks: "", showline: false, type: "category" };
    Plotly.newPlot(id, [trace], layout({ ...side, tickangle: -40 }, { ...side, autorange: "reversed" },
      { title: { text: heading, font: { size: 14 }, x: 0.02 }, margin: { l: 60, r: 10, t: 40, b: 60 } }), CONFIG);
  }
}

const count = data.rows.length;
byId("title").textContent = `${count} network${count === 1 ? "" : "s"} compared`;
document.title = byId("title").textContent;
byId("notes").append(...data.notes.map((note) => element("li", note)));
byId("footer").textContent = `Made by gsnet ${data.version}. Costs are of one image: FLOPs are multiply-accumulates, memory access is ` +
  "elements read and written plus weights, largest layer output is elements of one convolution or linear layer, " +
  "peak memory bytes of all maps at once, joined ones too. Latencies are of one image.";
drawTable();
drawFronts();
drawSearches();
drawTrainings();
drawCorrelations();
