// The filters: which rows pass, and the form that says so. A choice within one filter widens, several filters narrow.
function passes(row, state, except = "") {
  for (const [name, chosen] of Object.entries(state.facets)) {
    if (name !== except && chosen.size && !chosen.has(row.facet[name])) return false;
  }
  return atEqual(row, state) && state.words.every((word) => row.searched.includes(word));
}

function atEqual(row, state) {
  if (state.at === "sparsity") return row.facet.sparsity === state.sparsity;
  if (state.at !== "flops") return true;
  const { cost } = row.plotted;
  // The bounds themselves are within, whatever the last binary digit of a product says.
  return cost !== null && Math.abs(cost - state.budget) <= (state.tolerance / 100) * state.budget * (1 + 1e-9);
}

// One disclosure per filter with a box for each value, and beside it how many rows it would leave; what would leave none is not offered.
function buildFacets(data, state, changed) {
  const menus = data.facets.map(([name, title, values]) => {
    const chosen = document.createElement("span");
    const boxes = values.map((value) => {
      const box = Object.assign(document.createElement("input"), { type: "checkbox", name, value });
      const count = Object.assign(document.createElement("span"), { className: "count" });
      box.addEventListener("change", () => {
        const set = (state().facets[name] ??= new Set());
        if (box.checked) set.add(value);
        else set.delete(value);
        changed();
      });
      return { value, box, count, label: element("label", box, ` ${value} `, count) };
    });
    const legend = Object.assign(element("legend", title), { className: "sr" });
    const menu = element("details", element("summary", `${title}: `, chosen), element("fieldset", legend, ...boxes.map(({ label }) => label)));
    menu.className = "facet";
    return { name, menu, chosen, boxes };
  });
  const place = document.getElementById("facets");
  place.append(...menus.map(({ menu }) => menu));
  closeOneByOne(menus.map(({ menu }) => menu));
  return menus;
}

function closeOneByOne(menus) {
  for (const menu of menus) {
    menu.addEventListener("toggle", () => {
      if (menu.open) for (const other of menus) if (other !== menu) other.open = false;
    });
    menu.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      menu.open = false;
      menu.firstElementChild.focus();
    });
  }
  document.addEventListener("click", (event) => {
    for (const menu of menus) if (!menu.contains(event.target)) menu.open = false;
  });
}

function showFacets(menus, rows, state) {
  for (const { name, chosen, boxes } of menus) {
    const counts = new Map();
    for (const row of rows) if (passes(row, state, name)) counts.set(row.facet[name], (counts.get(row.facet[name]) ?? 0) + 1);
    const set = state.facets[name] ?? new Set();
    for (const { value, box, count, label } of boxes) {
      box.checked = set.has(value);
      count.textContent = counts.get(value) ?? 0;
      label.hidden = !counts.has(value) && !set.has(value);
    }
    chosen.textContent = set.size === 0 ? "all" : set.size === 1 ? [...set][0] : `${set.size} chosen`;
  }
}

// Text is text: whatever a row holds becomes no markup.
function element(name, ...children) {
  const made = document.createElement(name);
  made.append(...children);
  return made;
}
