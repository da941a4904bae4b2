// The page: rows from the data, DataTables for the table, and one state that the form, the table, the plot and the address share.
const data = JSON.parse(document.getElementById("data").textContent);
const DataTable = itables.jQuery.fn.dataTable;
const byId = (id) => document.getElementById(id);
const narrow = matchMedia("(max-width: 640px)");
const dark = matchMedia("(prefers-color-scheme: dark)");

// Columns of numbers are lists; of texts and data, places in a list of the different ones.
function unpack(columns, count) {
  const made = Array.from({ length: count }, () => ({}));
  for (const [name, column] of Object.entries(columns)) {
    const values = Array.isArray(column) ? column : column.at.map((place) => column.of[place]);
    for (let index = 0; index < count; index++) made[index][name] = values[index];
  }
  return made;
}

const count = data.rows.id?.at.length ?? 0;
const [values, texts, keys, facets, plotted] = ["rows", "texts", "keys", "facet", "plotted"].map((part) => unpack(data[part], count));
// What a search looks through: what stands in a wide table, and what can be filtered by.
const seen = data.columns.filter(([, , , start]) => start !== "hidden").map(([name]) => name);
const rows = values.map((own, index) => {
  const row = { values: own, texts: texts[index], keys: keys[index], facet: facets[index], plotted: plotted[index] };
  const words = [...seen.map((name) => row.texts[name]), ...Object.values(row.facet), own.place, own.erratum, own.id];
  return { ...row, searched: words.join("\n").toLowerCase() };
});
const byRow = new Map(rows.map((row) => [row.values.id, row]));
let state = defaults();
let plot = null;

// -- the table --

// What is missing comes last in both directions.
const compare = (a, b) => (typeof a === "string" ? a.localeCompare(b, "en", { numeric: true }) : a - b);
const last = (sign) => (a, b) => (a === null) - (b === null) || (a === null ? 0 : sign * compare(a, b));
Object.assign(DataTable.ext.type.order, { "last-asc": last(1), "last-desc": last(-1) });

const isNumber = (name) => Array.isArray(data.keys[name]);
const startsShown = (start) => start === "everywhere" || (start === "wide" && !narrow.matches);

function heading(title, better) {
  if (!better) return title;
  const arrow = better === "higher" ? "↑" : "↓";
  return `${title} <span class="better"><span aria-hidden="true">${arrow} better</span><span class="sr">, ${better} is better</span></span>`;
}

function fillMethod(cell, row) {
  const button = Object.assign(element("button", row.texts.method), { type: "button", className: "open" });
  button.dataset.id = row.values.id;
  button.setAttribute("aria-haspopup", "dialog");
  cell.scope = "row";
  cell.replaceChildren(button);
  const marks = [row.values.erratum && ["erratum", row.values.erratum], row.values.digitised && ["read off", "read off a picture"]];
  for (const [word, reason] of marks.filter(Boolean)) {
    cell.append(" ", Object.assign(element("span", word), { className: "mark", title: reason }));
  }
}

const table = new DataTable("#results", {
  data: rows,
  columns: data.columns.map(([name, title, better, start]) => ({
    name,
    title: heading(title, better),
    ariaTitle: better ? `${title}, ${better} is better` : title,
    data: (row, type) => (type === "sort" || type === "type" ? row.keys[name] : row.texts[name]),
    render: DataTable.render.text(),
    type: "last",
    cellType: name === "method" ? "th" : "td",
    className: `${isNumber(name) ? "number" : "words"} column-${name}`,
    createdCell: name === "method" ? (cell, _, row) => fillMethod(cell, row) : undefined,
    orderSequence: better === "higher" ? ["desc", "asc", ""] : ["asc", "desc", ""],
    searchable: false, // by DataTables: passes() is what searches
    visible: startsShown(start),
  })),
  autoWidth: false,
  order: [],
  pageLength: 50,
  lengthMenu: [25, 50, 100, { label: "all", value: -1 }],
  layout: {
    topStart: "info",
    topEnd: { buttons: [{ extend: "colvis", text: "Columns", columnText: (_, index) => data.columns[index][1] }, ...exporters()] },
    bottomStart: "pageLength",
    bottomEnd: "paging",
  },
  language: {
    info: "Rows _START_ to _END_ of _TOTAL_",
    infoEmpty: "No rows",
    infoFiltered: "(of _MAX_ in all)",
    lengthMenu: "_MENU_ rows a page",
    zeroRecords: "No row passes the filters.",
    emptyTable: "No data: no records were found.",
  },
});
table.search.fixed("filters", (_, row) => passes(row, state));

const shownRows = () => table.rows({ search: "applied", order: "applied" }).data().toArray();

function exporters() {
  const columns = () => data.columns.filter((_, index) => table.column(index).visible());
  const write = {
    CSV: ["csv", "text/csv", (shown) => asCsv(shown.map((row) => row.values), data.fields.map(([name]) => name))],
    JSON: ["json", "application/json", (shown) => asJson(shown.map((row) => row.values), data)],
    LaTeX: ["tex", "application/x-tex", (shown) => {
      const names = columns().map(([name]) => name);
      const lines = shown.map((row) => names.map((name) => row.texts[name]));
      return asLatex(columns().map(([, title]) => title), names.map(isNumber), lines, data.about.title);
    }],
    BibTeX: ["bib", "application/x-bibtex", (shown) => asBibtex(shown.map((row) => row.values), data)],
  }; // prettier-ignore
  return Object.entries(write).map(([text, [ending, type, make]]) => ({
    text,
    titleAttr: `Download what is shown as ${text}`,
    action: () => download(`leaderboard.${ending}`, type, make(shownRows())),
  }));
}

// -- the state --

const menus = buildFacets(data, () => state, changed);

function changed() {
  state.words = state.search.toLowerCase().split(/\s+/).filter(Boolean);
  table.draw();
  const shown = shownRows();
  showFacets(menus, rows, state);
  showPlot(plot, shown, state, data, openRow);
  remember();
}

function remember() {
  const hash = toHash(state);
  setAddress(hash);
}

// From the address to everything else.
function apply() {
  state = fromHash(location.hash, data);
  byId("search").value = state.search;
  const sparsities = [...byId("at-sparsity").options].map(({ value }) => value);
  if (state.at === "sparsity" && !sparsities.includes(state.sparsity)) state.at = "";
  state.sparsity = state.sparsity || byId("at-sparsity").value;
  byId("at-sparsity").value = state.sparsity;
  byId("at-budget").value = state.budget;
  byId("at-tolerance").value = state.tolerance;
  showComparison();
  setOrder(state.order);
  showColumns(state.columns);
  changed();
  if (byRow.has(state.row)) openRow(state.row);
  else byId("details").close();
}

function showColumns(chosen) {
  data.columns.forEach(([name, , , start], index) => {
    const shown = chosen?.includes(name) ?? startsShown(start);
    if (shown !== table.column(index).visible()) table.column(index).visible(shown, false);
  });
  state.columns = chosen; // each of these calls has set it
}

function setOrder(order) {
  const names = data.columns.map(([name]) => name);
  table.order(order.map(([name, direction]) => [names.indexOf(name), direction]));
}

function showComparison() {
  for (const radio of document.querySelectorAll("[name=at]")) radio.checked = radio.value === state.at;
  for (const kind of ["sparsity", "flops"]) {
    for (const label of document.querySelectorAll(`.of-${kind}`)) label.hidden = state.at !== kind;
  }
}

// Compared at equal something, rows are ranked within their data set and model.
function ranked() {
  const [metric] = data.columns.find(([name]) => Object.hasOwn(data.metrics, name));
  return [["dataset", "asc"], ["model", "asc"], [metric, data.metrics[metric] > 0 ? "desc" : "asc"]];
}

function openRow(id) {
  const row = byRow.get(id);
  state.row = id;
  remember();
  openDetails(row.texts.method, ...detailsOf(row, data));
}

// -- what the reader does --

byId("search").addEventListener("input", (event) => {
  state.search = event.target.value;
  changed();
});
byId("compare").addEventListener("input", ({ target }) => {
  if (target.name === "at") {
    state.at = target.value;
    state.order = state.at ? ranked() : [];
    setOrder(state.order);
  }
  state.sparsity = byId("at-sparsity").value;
  state.budget = Number(byId("at-budget").value);
  state.tolerance = Number(byId("at-tolerance").value);
  showComparison();
  changed();
});
byId("controls").addEventListener("submit", (event) => event.preventDefault());
byId("reset").addEventListener("click", () => {
  setAddress("");
  apply();
});
byId("group").addEventListener("change", (event) => {
  state.group = event.target.value;
  changed();
});
byId("cite-suite").addEventListener("click", () => openDetails("Cite the suite and the paper", citation(asBibtex([], data))));
byId("copy-link").addEventListener("click", () => copy(location.href, null, byId("said")));
byId("details").addEventListener("close", () => {
  state.row = "";
  remember();
});
byId("results").addEventListener("click", ({ target }) => {
  const line = target.closest("tbody tr");
  const row = line && !String(getSelection()) && table.row(line).data();
  if (row) openRow(row.values.id);
});
table.on("order", () => {
  state.order = table.order().filter(([, direction]) => direction).map(([index, direction]) => [data.columns[index][0], direction]);
  remember();
});
table.on("column-visibility", () => {
  state.columns = data.columns.map(([name]) => name).filter((_, index) => table.column(index).visible());
  remember();
});
addEventListener("hashchange", apply);

// -- the start --

function followTheme() {
  document.documentElement.classList.toggle("dark", dark.matches); // as the style sheet of DataTables asks for
}
dark.addEventListener("change", followTheme);
followTheme();
const scroll = byId("results").parentNode;
Object.assign(scroll, { tabIndex: 0, className: `${scroll.className} scroll` });
scroll.setAttribute("role", "region");
scroll.setAttribute("aria-label", "Table of results");
for (const value of data.facets.find(([name]) => name === "sparsity")[2]) byId("at-sparsity").add(new Option(value));

// For whoever measures the page: what can be used by now.
function ready(part) {
  document.documentElement.dataset.ready = part;
  performance.mark(part);
}

apply();
ready("table");
buildPlot(data, openRow).then((built) => {
  plot = built;
  changed();
  ready("all");
});
