// What the reader chose, and the same as the part of the address after "#", so that a view can be linked.
function defaults() {
  return { search: "", facets: {}, at: "", sparsity: "", budget: 1, tolerance: 10, group: "", order: [], columns: null, row: "" };
}

// Inside a report the page has no address of its own to write to.
function setAddress(hash) {
  if (location.protocol === "data:") return;
  history.replaceState(null, "", hash ? `#${hash}` : location.pathname + location.search);
}

function toHash(state) {
  const words = new URLSearchParams();
  if (state.search) words.set("search", state.search);
  for (const [name, chosen] of Object.entries(state.facets)) for (const value of chosen) words.append(name, value);
  if (state.at === "sparsity") words.set("at-sparsity", state.sparsity);
  if (state.at === "flops") words.set("at-flops", `${state.budget}~${state.tolerance}`);
  if (state.group) words.set("panel", state.group);
  for (const [name, direction] of state.order) words.append("order", `${name}:${direction}`);
  if (state.columns) words.set("columns", state.columns.join(","));
  if (state.row) words.set("row", state.row);
  return words.toString();
}

// Whatever is not known is left out: a link may be of another leaderboard, or written by hand.
function fromHash(hash, data) {
  const words = new URLSearchParams(hash.replace(/^#/, ""));
  const state = defaults();
  const names = data.columns.map(([name]) => name);
  state.search = words.get("search") ?? "";
  for (const [name, , values] of data.facets) {
    const chosen = words.getAll(name).filter((value) => values.includes(value));
    if (chosen.length) state.facets[name] = new Set(chosen);
  }
  if (words.has("at-sparsity")) Object.assign(state, { at: "sparsity", sparsity: words.get("at-sparsity") });
  const [budget, tolerance] = (words.get("at-flops") ?? "").split("~").map(Number);
  if (budget > 0) Object.assign(state, { at: "flops", budget, tolerance: tolerance > 0 ? tolerance : 10 });
  state.group = words.get("panel") ?? "";
  state.order = words.getAll("order").map((one) => one.split(":"));
  state.order = state.order.filter(([name, direction]) => names.includes(name) && ["asc", "desc"].includes(direction));
  if (words.has("columns")) state.columns = words.get("columns").split(",").filter((name) => names.includes(name));
  state.row = words.get("row") ?? "";
  return state;
}
