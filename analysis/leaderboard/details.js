// The dialog: all that is known of a row, what to cite for it, and what to cite for the suite.
function openDetails(title, ...contents) {
  const dialog = document.getElementById("details");
  document.getElementById("details-title").textContent = title;
  document.getElementById("details-body").replaceChildren(...contents);
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
  document.getElementById("details-title").focus();
}

function detailsOf(row, data) {
  const list = document.createElement("dl");
  for (const [name, title, , kind] of data.fields) {
    const value = row.values[name];
    if (kind === "data" || name === "bibtex" || value === null || value === "") continue;
    list.append(element("dt", title), element("dd", valueOf(name, value, data)));
  }
  const { result, training, about } = row.plotted;
  const parts = [element("p", `${result}, training ${training}; ${about}`)];
  if (row.values.erratum) parts[0].className = "notice";
  parts.push(element("details", element("summary", "Cite this row"), citation(bibtexOf(row.values, data))), list);
  if (row.values.layer_names) parts.push(layers(row.values));
  if (row.values.configuration) {
    parts.push(element("h3", "Configuration"), element("pre", JSON.stringify(row.values.configuration, null, 1)));
  }
  return parts;
}

function valueOf(name, value, data) {
  if (["url", "paper_link", "code"].includes(name)) return linkTo(value, value);
  if (name === "citation" || name === "source") return linkTo(data.links[value], value);
  if (typeof value === "boolean") return value ? "yes" : "no";
  return typeof value === "number" ? value.toLocaleString("en", { maximumSignificantDigits: 8 }) : value;
}

function linkTo(address, text) {
  if (!address) return text;
  return Object.assign(element("a", text), { href: address, rel: "noopener noreferrer" });
}

function layers({ layer_names: names, layer_sparsities: sparsities }) {
  const lines = names.map((name, index) => {
    const meter = Object.assign(document.createElement("meter"), { min: 0, max: 1, value: sparsities[index] });
    meter.setAttribute("aria-hidden", "true");
    const head = Object.assign(element("th", name), { scope: "row" });
    return element("tr", head, element("td", `${(100 * sparsities[index]).toFixed(1)} %`), element("td", meter));
  });
  const table = element("table", element("caption", "Sparsity of each layer, achieved"), element("tbody", ...lines));
  return Object.assign(table, { className: "layers" });
}

function citation(text) {
  const source = Object.assign(element("pre", text), { className: "bibtex", tabIndex: 0 });
  const button = Object.assign(element("button", "Copy"), { type: "button" });
  const said = document.createElement("output");
  button.addEventListener("click", () => copy(text, source, said));
  return element("section", source, element("p", button, " ", said));
}

// Where the clipboard is refused, the text is selected instead.
async function copy(text, source, said) {
  try {
    await navigator.clipboard.writeText(text);
    said.textContent = "Copied.";
  } catch {
    if (source) getSelection().selectAllChildren(source);
    said.textContent = source ? "Selected: copy it with your keyboard." : "Copy the page's address.";
  }
}
