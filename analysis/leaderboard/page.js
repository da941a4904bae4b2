"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const body = document.querySelector("#results tbody");
  const rows = [...body.querySelectorAll("tr[data-row]")];
  const filters = [...document.querySelectorAll("[data-filter]")];
  const search = document.getElementById("search");
  const count = document.getElementById("count");
  const shown = () => [...body.querySelectorAll("tr[data-row]:not([hidden])")].map((row) => data[row.dataset.row]);

  function filter() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      const chosen = filters.every((select) => !select.value || row.dataset[select.dataset.filter] === select.value);
      row.hidden = !(chosen && words.every((word) => text.includes(word)));
    }
    count.textContent = `${shown().length} of ${rows.length} rows`;
  }

  function compare(a, b) {
    const [x, y] = [Number(a), Number(b)];
    return Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b) : x - y;
  }

  function sort(head) {
    const index = head.cellIndex;
    const direction = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
    for (const other of head.parentNode.cells) other.setAttribute("aria-sort", "none");
    head.setAttribute("aria-sort", direction === 1 ? "ascending" : "descending");
    const key = (row) => row.cells[index].dataset.key;
    // What has no value comes last in both directions.
    const order = (a, b) => (key(a) === "") - (key(b) === "") || direction * compare(key(a), key(b));
    body.append(...rows.sort(order));
  }

  function csv(list) {
    const names = Object.keys(data[0] ?? {});
    const quote = (value) => `"${String(value ?? "").replaceAll('"', '""')}"`;
    return [names, ...list.map((row) => names.map((name) => row[name]))].map((line) => line.map(quote).join(",")).join("\n") + "\n";
  }

  function download(kind) {
    const content = kind === "csv" ? csv(shown()) : JSON.stringify(shown(), null, 1);
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([content], { type: kind === "csv" ? "text/csv" : "application/json" }));
    link.download = `leaderboard.${kind}`;
    link.click();
    URL.revokeObjectURL(link.href);
  }

  document.getElementById("controls").addEventListener("input", filter);
  document.getElementById("controls").addEventListener("submit", (event) => event.preventDefault());
  for (const head of document.querySelectorAll("#results thead th")) head.firstElementChild.addEventListener("click", () => sort(head));
  for (const button of document.querySelectorAll("[data-download]")) button.addEventListener("click", () => download(button.dataset.download));
  filter(); // a browser may have kept the choices of an earlier visit
})();
