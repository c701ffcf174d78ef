"use strict";
// The table of a comparison, which sorts; what it is drawn with stands in page.js.

const order = { key: null, down: false };

function best(one) {
  const known = one.values.filter((v) => typeof v === "number");
  if (!one.better || known.length < 2) return null;
  return one.better > 0 ? Math.max(...known) : Math.min(...known);
}

function drawHead(head) {
  const row = element("tr");
  const first = { key: "name", label: "network", unit: "" };
  for (const one of [first, ...data.columns]) {
    const cell = element("th", undefined, { scope: "col" });
    const button = element("button", one.label, { type: "button" });
    button.addEventListener("click", () => sortBy(one));
    cell.append(button, element("small", one.unit));
    cell.dataset.key = one.key;
    row.append(cell);
  }
  if (data.rows.some((r) => r.failed && !r.error)) row.append(element("th", "failed"));
  head.append(row);
}

function sortBy(one) {
  // What is better comes first.
  const down = order.key === one.key ? !order.down : (one.better || 0) > 0;
  Object.assign(order, { key: one.key, down });
  drawRows();
}

function sortedPlaces() {
  const places = data.rows.map((_, i) => i);
  if (order.key === null) return places;
  const values = order.key === "name" ? data.rows.map((r) => r.name) : column(order.key).values;
  const sign = order.down ? -1 : 1;
  return places.sort((a, b) => {
    const [left, right] = [values[a], values[b]];
    const missing = (left === null) - (right === null);
    if (missing || left === null) return missing || a - b;
    const larger = typeof left === "string" ? left.localeCompare(right, "en", { numeric: true }) : left - right;
    return sign * larger || a - b;
  });
}

function nameCell(place) {
  const row = data.rows[place];
  const cell = element("td", undefined, { class: "name", title: row.name });
  const button = element("button", row.name, { type: "button" });
  button.addEventListener("click", () => toggleStructure(cell.parentElement, row));
  cell.append(row.structure ? button : row.name);
  return cell;
}

function toggleStructure(line, row) {
  if (line.nextSibling && line.nextSibling.className === "structure") {
    line.nextSibling.remove();
    return;
  }
  const shown = element("tr", undefined, { class: "structure" });
  const cell = element("td", undefined, { colspan: line.parentElement.parentElement.tHead.rows[0].cells.length });
  cell.append(element("code", row.structure));
  shown.append(cell);
  line.after(shown);
}

function drawRows() {
  const body = byId("table").tBodies[0];
  const wanted = byId("filter").value.toLowerCase();
  const bests = new Map(data.columns.map((one) => [one.key, best(one)]));
  const hasFailures = data.rows.some((r) => r.failed && !r.error);
  body.replaceChildren();
  for (const place of sortedPlaces()) {
    const row = data.rows[place];
    if (!row.name.toLowerCase().includes(wanted)) continue;
    const line = element("tr");
    line.append(nameCell(place));
    if (row.error) {
      line.append(element("td", row.failed, { class: "failed", colspan: data.columns.length + hasFailures }));
    } else {
      for (const one of data.columns) {
        const value = one.values[place];
        const kind = value === null ? "none" : value === bests.get(one.key) ? "best" : typeof value === "string" ? "text" : "";
        const exact = typeof value === "number" ? { title: String(value) } : {};
        line.append(element("td", figureText(value, one), { class: kind, ...exact }));
      }
      if (hasFailures) line.append(element("td", row.failed || "", { class: "failed" }));
    }
    body.append(line);
  }
  for (const cell of byId("table").tHead.rows[0].cells) {
    const sorted = cell.dataset.key === order.key && order.key !== null;
    cell.setAttribute("aria-sort", sorted ? (order.down ? "descending" : "ascending") : "none");
  }
}

function drawTable() {
  drawHead(byId("table").tHead);
  const filter = byId("filter");
  filter.hidden = data.rows.length <= FEW;
  filter.addEventListener("input", drawRows);
  drawRows();
}
