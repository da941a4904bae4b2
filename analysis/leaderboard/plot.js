// The plot: the rows that pass, of one panel (a network on a data set), and their Pareto front.
async function buildPlot(data, open) {
  Bokeh.set_log_level("warn");
  await Bokeh.embed.embed_item({ ...data.plot, target_id: "plot" });
  const drawn = Bokeh.documents.at(-1);
  const names = ["rows", "front", "quality", "costs", "qualities"];
  const plot = Object.fromEntries(names.map((name) => [name, drawn.get_model_by_name(name)]));
  plot.rows.selected.properties.indices.change.connect(() => {
    const [first] = plot.rows.selected.indices;
    if (first === undefined) return;
    open(plot.rows.data.id[first]);
    plot.rows.selected.indices = [];
  });
  return plot;
}

// Panels of the rows that pass, with the number of rows in each; the chosen one, else the largest.
function panelOf(rows, state) {
  const sizes = new Map();
  for (const row of rows) sizes.set(row.plotted.group, (sizes.get(row.plotted.group) ?? 0) + 1);
  const panels = [...sizes].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
  return { panels, chosen: sizes.has(state.group) ? state.group : (panels[0]?.[0] ?? "") };
}

function candidates(rows) {
  const counted = rows.filter((row) => row.plotted.counts && row.values.mean !== null);
  return counted.map((row) => ({ row, cost: row.plotted.cost ?? NaN, quality: row.plotted.better * row.values.mean }));
}

function showPlot(plot, rows, state, data, open) {
  const { panels, chosen } = panelOf(rows, state);
  const inside = rows.filter((row) => row.plotted.group === chosen);
  const points = inside.filter((row) => row.plotted.cost > 0 && row.values.mean !== null);
  const best = front(candidates(inside));
  const scale = inside[0]?.values.metric === "accuracy" ? 100 : 1;
  showPanels(panels, chosen);
  showWords(inside, points, best, chosen);
  showLegend(points, data);
  showFront(best, open);
  if (!plot) return;
  const look = (row) => data.looks[row.plotted.key];
  plot.quality.axis_label = scale === 100 ? "Test accuracy, %" : "Bits per character (lower is better)";
  plot.front.data = { x: best.map(({ cost }) => cost), y: best.map(({ row }) => scale * row.values.mean) };
  plot.rows.data = {
    x: points.map((row) => row.plotted.cost),
    y: points.map((row) => scale * row.values.mean),
    color: points.map((row) => look(row).color),
    line: points.map(opacity),
    fill: points.map((row) => opacity(row) * data.fills[row.values.kind]),
    marker: points.map((row) => look(row).marker),
    angle: points.map((row) => look(row).angle),
    id: points.map((row) => row.values.id),
    name: points.map((row) => row.plotted.name),
    result: points.map((row) => row.plotted.result),
    cost: points.map((row) => row.plotted.training),
    about: points.map((row) => row.plotted.about),
  };
  frame(plot.costs, plot.rows.data.x.map(Math.log), Math.exp);
  frame(plot.qualities, plot.rows.data.y, (value) => value);
}

// Set a range to what is drawn, a twentieth wider at both ends; without points it stays as it was.
function frame(range, values, back) {
  if (!values.length) return;
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const room = (high - low) / 20 || 0.05;
  const [start, end] = [back(low - room), back(high + room)];
  range.setv({ start, end, reset_start: start, reset_end: end });
}

const opacity = (row) => (row.plotted.counts ? 1 : 0.35);

function showPanels(panels, chosen) {
  const options = panels.map(([name, size]) => new Option(`${name} (${size})`, name, false, name === chosen));
  document.getElementById("group").replaceChildren(...options);
}

function showWords(inside, points, best, chosen) {
  const without = inside.length - points.length;
  const words = [`${points.length} point${points.length === 1 ? "" : "s"} of ${chosen}`];
  words.push(`${best.length} on the Pareto front`);
  if (without) words.push(`${without} row${without === 1 ? " has" : "s have"} no training FLOPs or no result`);
  document.getElementById("plot-words").textContent = inside.length ? `${words.join("; ")}.` : "No row passes the filters.";
}

function showLegend(points, data) {
  const names = new Map(points.map((row) => [row.plotted.key, row.facet.method]));
  const methods = [...names].sort((a, b) => a[1].localeCompare(b[1]));
  const entries = methods.map(([key, name]) => element("li", symbol(data.looks[key].path, data.looks[key].color, 1), name));
  const kinds = Object.keys(data.fills).filter((kind) => points.some((row) => row.values.kind === kind));
  entries.push(...kinds.map((kind) => element("li", symbol(data.circle, "#777777", data.fills[kind]), kind)));
  document.getElementById("legend").replaceChildren(...entries);
}

function symbol(path, color, opacity) {
  const space = "http://www.w3.org/2000/svg";
  const picture = document.createElementNS(space, "svg");
  picture.setAttribute("viewBox", "-0.8 -0.8 1.6 1.6");
  picture.setAttribute("aria-hidden", "true");
  const outline = picture.appendChild(document.createElementNS(space, "path"));
  const drawn = { d: path, fill: color, "fill-opacity": opacity, stroke: color, "stroke-width": 0.12 };
  for (const [name, value] of Object.entries(drawn)) outline.setAttribute(name, value);
  return picture;
}

function showFront(best, open) {
  const entries = best.map(({ row }) => {
    const button = Object.assign(element("button", row.plotted.name), { type: "button", className: "open" });
    button.dataset.id = row.values.id;
    button.addEventListener("click", () => open(row.values.id));
    return element("li", button, ` ${row.plotted.result} at ${row.plotted.training} (${row.plotted.about})`);
  });
  document.getElementById("front").replaceChildren(...entries);
}
