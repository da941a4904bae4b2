// What is shown, as files: the twins of files.py for CSV and JSON, a booktabs table, and the entries that the rows rest on.
const FORMULA = /^[=+\-@\t\r]/; // a spreadsheet would compute these

function csvCell(value) {
  if (value === null) return "";
  let text = typeof value === "object" ? JSON.stringify(value) : String(value);
  if (typeof value === "string" && FORMULA.test(text)) text = `'${text}`;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function asCsv(rows, fields) {
  const lines = [fields, ...rows.map((row) => fields.map((name) => row[name]))];
  return lines.map((line) => line.map(csvCell).join(",") + "\n").join("");
}

function asJson(rows, data) {
  const fields = Object.fromEntries(data.fields.map(([name, title, words, kind]) => [name, { title, words, kind }]));
  return JSON.stringify({ ...data.about, fields, rows }, null, 1) + "\n";
}

const TEX = {
  "\\": "\\textbackslash{}", "{": "\\{", "}": "\\}", "&": "\\&", "%": "\\%", "$": "\\$", "#": "\\#", "_": "\\_",
  "~": "\\textasciitilde{}", "^": "\\textasciicircum{}", "<": "\\textless{}", ">": "\\textgreater{}", '"': "\\textquotedbl{}",
  "±": "$\\pm$", "×": "$\\times$", "Σ": "$\\Sigma$", "−": "$-$", "–": "--", "○": "$\\circ$", "●": "$\\bullet$", "◐": "$\\odot$",
}; // prettier-ignore

function tex(text) {
  return [...text].map((character) => TEX[character] ?? character).join("");
}

// titles: of the columns, numbers: which of them are aligned right, lines: texts of the rows.
function asLatex(titles, numbers, lines, caption) {
  const row = (cells) => `${cells.map(tex).join(" & ")} \\\\`;
  return [
    "% Needs \\usepackage{booktabs}.",
    "\\begin{table}", "\\centering", `\\caption{${tex(caption)}}`,
    `\\begin{tabular}{${numbers.map((number) => (number ? "r" : "l")).join("")}}`, "\\toprule",
    row(titles), "\\midrule", ...lines.map(row), "\\bottomrule", "\\end{tabular}", "\\end{table}", "",
  ].join("\n"); // prettier-ignore
}

// Of a row its method's paper and its source; the suite where its records made the number.
function bibtexOf(row, data) {
  const known = [row.citation, row.source].filter((key) => Object.hasOwn(data.bibtex, key)).map((key) => data.bibtex[key]);
  return [...new Set([...(row.kind === "reported" ? [] : [data.about.bibtex]), ...known, row.bibtex])].filter(Boolean).join("\n\n");
}

// The suite and its paper, then what the rows rest on, each once.
function asBibtex(rows, data) {
  const entries = [data.about.bibtex, data.bibtex[data.paper], ...rows.flatMap((row) => bibtexOf(row, data).split(/\n\n(?=@)/))];
  return [...new Set(entries)].filter(Boolean).join("\n\n") + "\n";
}

function download(name, type, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: `${type};charset=utf-8` }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000); // the browser may still be reading it
}
