"""The leaderboard as a reader has it: in a browser, from a file, without network."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import bibtexparser
import pandas as pd
import pytest
from bibtexparser.bparser import BibTexParser

from analysis.leaderboard.page import embedded
from analysis.pareto import front
from tests.browser import synthetic
from tests.browser.visits import DESKTOP, PHONE, Visit, write

COLUMN = "#results tbody tr > .column-{}"


def rows_of(board: Path) -> pd.DataFrame:
    """The rows that the page was made from, as leaderboard.json has them."""
    return pd.DataFrame(json.loads((board.parent / "leaderboard.json").read_text())["rows"])


def texts(page: Any, column: str) -> list[str]:
    return page.locator(COLUMN.format(column)).all_inner_texts()


def shown(page: Any) -> list[str]:
    """Ids of all rows that pass, in their order."""
    page.locator("select.dt-input").select_option("-1")
    buttons = page.locator("#results tbody button.open")
    return buttons.evaluate_all("all => all.map((button) => button.dataset.id)")


def choose(page: Any, facet: str, *values: str) -> None:
    page.locator(f"summary:has-text('{facet}:')").click()
    for value in values:
        page.locator(f"details.facet[open] input[value='{value}']").check()
    page.keyboard.press("Escape")


def press(page: Any, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def downloaded(page: Any, kind: str) -> str:
    with page.expect_download() as started:
        press(page, kind)
    return Path(started.value.path()).read_text(encoding="utf-8")


def until_sorted(head: Any, direction: str) -> None:
    """The table sorts a moment after the click."""
    from playwright.sync_api import expect  # where there is none, the fixtures skip what would come here

    expect(head).to_have_attribute("aria-sort", direction)


def test_a_report_can_hold_the_page(visit: Visit, board: Path, tmp_path: Path) -> None:
    """Reports show a page in a frame whose address it is; Chromium blocks one of more than 2 MB."""
    packed = base64.b64encode(embedded(board.read_text(encoding="utf-8")).encode()).decode()
    assert len(packed) < 2_000_000
    report = tmp_path / "report.html"
    report.write_text(f'<iframe title="leaderboard" src="data:text/html;base64,{packed}"></iframe>', encoding="utf-8")
    visit.page.goto(report.as_uri())
    frame = visit.page.frame_locator("iframe")
    frame.get_by_role("columnheader", name="Accuracy").wait_for()
    frame.locator("#results tbody tr").first.wait_for()


# -- sort, filter, search, compare --


def test_a_heading_sorts_best_first_then_worst_first(visit: Visit, board: Path) -> None:
    page = visit.open(board.as_uri())
    head = page.get_by_role("columnheader", name="Accuracy")
    rows = rows_of(board).set_index("id")["mean"]
    for direction, ascending in (("descending", False), ("ascending", True)):
        head.locator(".dt-column-order").click()
        until_sorted(head, direction)
        assert [rows[name] for name in shown(page)] == sorted(rows, reverse=not ascending)


def test_what_is_missing_comes_last_in_both_directions(visit: Visit, tmp_path: Path) -> None:
    points = synthetic.board(30)
    points.loc[points.index[::3], "train_x"] = float("nan")
    page = visit.open(write(points, tmp_path).as_uri())
    head = page.get_by_role("columnheader", name="Training FLOPs")
    for direction in ("ascending", "descending"):
        head.locator(".dt-column-order").click()
        until_sorted(head, direction)
        costs = texts(page, "train")
        assert [cost == "–" for cost in costs] == [False] * 20 + [True] * 10


def test_filters_narrow_and_choices_within_one_widen(visit: Visit, board: Path) -> None:
    page = visit.open(board.as_uri())
    rows = rows_of(board)
    choose(page, "Method", "RigL", "SET")
    choose(page, "Sparsity", "90 %")
    choose(page, "Kind", "reproduced")
    due = rows[rows["method"].isin(["rigl", "set"]) & (rows["sparsity"] == 0.9) & (rows["kind"] == "reproduced")]
    assert 0 < len(due) < len(rows)
    assert set(shown(page)) == set(due["id"])
    assert page.locator(".dt-info").inner_text() == f"Rows 1 to {len(due)} of {len(due)} (of 720 in all)"
    assert page.locator("summary:has-text('Method:')").inner_text() == "Method: 2 chosen"
    press(page, "Reset")
    assert len(shown(page)) == 720


def test_beside_each_value_is_the_number_of_rows_that_it_leaves(visit: Visit, board: Path) -> None:
    page = visit.open(board.as_uri())
    rows = rows_of(board)
    choose(page, "Data set", "mnist")
    page.locator("summary:has-text('Sparsity:')").click()
    labels = page.locator("details.facet[open] label").all_inner_texts()
    counts = rows.loc[rows["dataset"] == "mnist", "sparsity"].value_counts()
    assert [label.split() for label in labels] == [[f"{100 * s:g}", "%", str(counts[s])] for s in sorted(counts.index)]


def test_search_wants_every_word(visit: Visit, board: Path) -> None:
    page = visit.open(board.as_uri())
    page.get_by_role("searchbox", name="Search").fill("rigl ERK wrn22")
    rows = rows_of(board)
    due = rows[(rows["method"] == "rigl") & (rows["distribution"] == "erk") & (rows["model"] == "wrn22_2")]
    assert set(shown(page)) == set(due["id"])
    page.get_by_role("searchbox", name="Search").fill("nothing is called so")
    assert page.locator("#results tbody").inner_text() == "No row passes the filters."


def test_equal_sparsity(visit: Visit, board: Path) -> None:
    page = visit.open(board.as_uri())
    page.get_by_label("equal sparsity").check()
    page.locator("#at-sparsity").select_option("95 %")
    rows = rows_of(board)
    assert set(shown(page)) == set(rows.loc[rows["sparsity"] == 0.95, "id"])


@pytest.mark.parametrize(("budget", "tolerance"), [("0.5", "10"), ("0.2", "25"), ("1", "5")])
def test_equal_training_flops_within_a_tolerance_best_first(
    visit: Visit, board: Path, budget: str, tolerance: str
) -> None:
    page = visit.open(board.as_uri())
    choose(page, "Data set", "digits")
    page.get_by_label("equal training FLOPs").check()
    page.locator("#at-budget").fill(budget)
    page.locator("#at-tolerance").select_option(tolerance)
    rows = rows_of(board)
    near = (rows["train_x"] - float(budget)).abs() <= float(tolerance) / 100 * float(budget) + 1e-12
    due = rows[near & (rows["dataset"] == "digits")].sort_values("mean", ascending=False, kind="stable")
    assert len(due) > 0
    assert shown(page) == list(due["id"])


# -- the plot --


@pytest.mark.parametrize(
    "address", ["", "#method=RigL&method=Static", "#kind=reported", "#at-sparsity=98+%25", "#search=erk"]
)
def test_the_front_follows_the_filters_as_python_has_it(visit: Visit, board: Path, address: str) -> None:
    page = visit.open(board.as_uri() + address)
    rows = rows_of(board).set_index("id")
    for panel in page.locator("#group option").evaluate_all("all => all.map((one) => one.value)"):
        page.locator("#group").select_option(panel)
        passing = rows.loc[shown(page)]
        inside = passing[
            (passing["model"] + " on " + passing["dataset"] == panel) & ~passing["suspect"].str.contains("train_x")
        ]
        due = set(inside.index[front(inside["train_x"], inside["mean"])])
        listed = page.locator("#front button.open").evaluate_all("all => all.map((one) => one.dataset.id)")
        assert set(listed) == due
        assert len(listed) == len(due)
        assert f"{len(due)} on the Pareto front" in page.locator("#plot-words").inner_text()


def test_points_are_hollow_solid_or_pale_and_look_like_their_method(visit: Visit, board: Path) -> None:
    from analysis import style

    page = visit.open(board.as_uri() + "#dataset=mnist")
    drawn = pd.DataFrame(page.evaluate("({ ...Bokeh.documents.at(-1).get_model_by_name('rows').data })"))
    rows = rows_of(board).set_index("id").loc[drawn["id"]]
    fills = rows["kind"].map({"reported": 0, "reproduced": 1, "submitted": 0.35}).to_numpy()
    assert (drawn["fill"].to_numpy() == fills * drawn["line"].to_numpy()).all()
    assert list(drawn["line"] < 1) == [value == "train_x" for value in rows["suspect"]]
    assert list(drawn["color"]) == [style.look(method).color for method in rows["method"]]
    assert list(drawn["y"]) == pytest.approx(list(100 * rows["mean"]))
    assert page.locator("#legend li").all_inner_texts() == [
        *("Pruning", "RigL", "SET", "SNFS", "SNIP", "Static"),
        *("reported", "reproduced", "submitted"),
    ]


def place_of_point(page: Any, index: int) -> tuple[str, float, float]:
    """Id of a drawn point and where it is on the screen."""
    page.locator("#plot").scroll_into_view_if_needed()
    name, x, y = page.evaluate(
        """(index) => {
            const drawn = Bokeh.documents.at(-1);
            const { data } = drawn.get_model_by_name("rows");
            const view = [...Bokeh.index.query((one) => one.model.name === "plot")][0];
            const { x, y } = view.el.getBoundingClientRect();
            const { x_scale, y_scale } = view.frame;
            return [data.id[index], x + x_scale.compute(data.x[index]), y + y_scale.compute(data.y[index])];
        }""",
        index,
    )
    return name, x, y


def test_a_point_tells_what_it_is_and_opens_its_row(visit: Visit, board: Path) -> None:
    page = visit.open(board.as_uri() + "#dataset=mnist&method=RigL&at-sparsity=98+%25&distribution=uniform&length=1×")
    name, x, y = place_of_point(page, 0)
    page.mouse.move(x, y)
    tip = page.locator(".bk-tooltip-content").first
    assert "RigL" in tip.inner_text()
    assert "98 %; uniform; 1× training" in tip.inner_text()
    page.mouse.click(x, y)
    assert page.locator("#details").is_visible()
    assert f"row={name}" in page.url


# -- a row, and what to cite --


def test_a_row_opens_by_key_and_gives_the_focus_back(visit: Visit, board: Path) -> None:
    page = visit.open(board.as_uri() + "#kind=reproduced")
    button = page.locator("#results button.open").nth(3)
    row = rows_of(board).set_index("id").loc[button.get_attribute("data-id")]
    button.focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    assert page.locator("#details-title").inner_text() == row["label"]
    said = dict(zip(dialog.locator("dt").all_inner_texts(), dialog.locator("dd").all_inner_texts(), strict=True))
    assert said["Hardware"] == "two cores of a test"
    assert said["Commit"] == "0123abc"
    assert float(said["Mean"]) == pytest.approx(row["mean"])
    assert dialog.locator(".layers tr").count() == len(synthetic.LAYERS)
    assert json.loads(dialog.locator("pre").last.inner_text())["method"] == row["method"]
    page.keyboard.press("Escape")
    assert not dialog.is_visible()
    assert button.evaluate("(one) => one === document.activeElement")
    assert "row=" not in page.url


def test_anywhere_in_a_line_opens_it(visit: Visit, board: Path) -> None:
    page = visit.open(board.as_uri())
    page.locator(COLUMN.format("train")).nth(5).click()
    assert page.locator("#details-title").inner_text() == texts(page, "method")[5].split("\n")[0].removesuffix(
        " erratum"
    )


def test_an_erratum_is_marked_and_explained(visit: Visit, board: Path) -> None:
    page = visit.open(board.as_uri())
    page.get_by_role("searchbox", name="Search").fill("another sparsity")
    marked = page.locator("#results tbody tr")
    assert marked.count() == rows_of(board)["erratum"].ne("").sum() > 0
    assert page.locator("#results .mark").all_inner_texts() == ["erratum"] * marked.count()
    page.locator("#results button.open").first.click()
    assert "erratum: the printed cost is of another sparsity" in page.locator("#details-body .notice").inner_text()


def test_cite_a_row_and_the_suite(visit: Visit, board: Path) -> None:
    visit.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = visit.open(board.as_uri() + "#method=SET&kind=reported")
    page.locator("#results button.open").first.click()
    page.get_by_text("Cite this row").click()
    page.get_by_role("button", name="Copy", exact=True).click()
    page.get_by_text("Copied.").wait_for()
    assert keys_of(page.evaluate("navigator.clipboard.readText()")) == {"mocanu2018set", "evci2020rigl"}
    page.keyboard.press("Escape")
    press(page, "Cite the suite")
    assert keys_of(page.locator("#details .bibtex").inner_text()) == {"rigl_bench", "evci2020rigl"}


def keys_of(text: str) -> set[str]:
    """Keys of what is BibTeX in ``text``; all of it must be."""
    found = bibtexparser.loads(text, BibTexParser(ignore_nonstandard_types=False))
    assert not found.comments
    return {entry["ID"] for entry in found.entries}


# -- exports --


@pytest.fixture
def filtered(visit: Visit, board: Path) -> tuple[Any, pd.DataFrame]:
    """A page that shows some of its rows, worst first, and these rows."""
    page = visit.open(board.as_uri() + "#method=RigL&sparsity=90+%25&sparsity=80+%25&order=accuracy:asc")
    return page, rows_of(board).set_index("id", drop=False).loc[shown(page)]


def test_csv_is_of_what_is_shown_as_the_file_beside_the_page_has_it(filtered: tuple, board: Path) -> None:
    page, rows = filtered
    whole = pd.read_csv(board.parent / "leaderboard.csv", dtype="str", keep_default_na=False).set_index(
        "id", drop=False
    )
    got = pd.read_csv(io.StringIO(downloaded(page, "CSV")), dtype="str", keep_default_na=False)
    assert len(got) == 48
    pd.testing.assert_frame_equal(got, whole.loc[rows["id"]].reset_index(drop=True))


def test_json_is_of_what_is_shown_as_the_file_beside_the_page_has_it(filtered: tuple, board: Path) -> None:
    page, rows = filtered
    whole = json.loads((board.parent / "leaderboard.json").read_text())
    by_id = {row["id"]: row for row in whole["rows"]}
    assert json.loads(downloaded(page, "JSON")) == whole | {"rows": [by_id[name] for name in rows["id"]]}


def test_latex_is_the_table_that_is_seen(filtered: tuple) -> None:
    page, rows = filtered
    text = downloaded(page, "LaTeX")
    titles = [line for line in text.splitlines() if line.startswith("Method &")]
    body = text[text.index("\\midrule") : text.index("\\bottomrule")].splitlines()[1:]
    assert titles[0].startswith("Method & Accuracy, \\% & Sparsity & Training FLOPs & ")
    assert len(body) == len(rows)
    assert all(line.count(" & ") == titles[0].count(" & ") and line.endswith(" \\\\") for line in body)
    assert "$\\times$" in body[0]
    assert not set("±×–−Σ○●◐") & set(text)


def test_bibtex_is_what_the_rows_rest_on(filtered: tuple) -> None:
    page, _ = filtered
    assert keys_of(downloaded(page, "BibTeX")) == {"rigl_bench", "evci2020rigl"}
    press(page, "Reset")
    assert {"mocanu2018set", "lee2019snip"} < keys_of(downloaded(page, "BibTeX"))


# -- the view as an address --


def test_an_address_is_a_view(visit: Visit, board: Path) -> None:
    page = visit.open(board.as_uri())
    choose(page, "Method", "RigL", "SNFS")
    page.get_by_role("searchbox", name="Search").fill("erk")
    page.get_by_label("equal training FLOPs").check()
    page.locator("#at-budget").fill("0.4")
    page.locator("#group").select_option(index=1)
    page.get_by_role("button", name="Columns").click()
    page.locator(".dt-button-collection button", has_text="Hardware").click()
    page.keyboard.press("Escape")
    page.locator("#results button.open").first.click()
    before = (page.locator("#details-title").inner_text(), page.locator("#plot-words").inner_text())
    address, ids = page.url, None
    page.keyboard.press("Escape")
    ids = shown(page)
    page.goto("about:blank")
    page = visit.open(address)
    assert (page.locator("#details-title").inner_text(), page.locator("#plot-words").inner_text()) == before
    page.keyboard.press("Escape")
    assert shown(page) == ids
    assert page.get_by_role("columnheader", name="Hardware").is_visible()
    assert page.locator("#at-budget").input_value() == "0.4"


@pytest.mark.parametrize(
    "address",
    [
        "#row=nobody&method=<script>&order=x:y&columns=no&at-flops=NaN",
        "#at-sparsity=7&at-flops=-1~x",
        "#%E0%A4%A",
        "#&&==",
    ],
)
def test_an_address_of_something_else_shows_everything(visit: Visit, board: Path, address: str) -> None:
    page = visit.open(board.as_uri() + address)
    assert page.locator(".dt-info").inner_text() == "Rows 1 to 50 of 720"


def test_columns_can_be_shown_and_hidden(visit: Visit, board: Path) -> None:
    page = visit.open(board.as_uri())
    assert not page.get_by_role("columnheader", name="Peak parameters").is_visible()
    page.get_by_role("button", name="Columns").click()
    page.locator(".dt-button-collection button", has_text="Peak parameters").click()
    page.locator(".dt-button-collection button", has_text="Length").click()
    page.keyboard.press("Escape")
    assert page.get_by_role("columnheader", name="Peak parameters").is_visible()
    assert not page.get_by_role("columnheader", name="Length").is_visible()


# -- what is hostile, apart, or not there --


EVIL = (
    "<img src=x onerror=hacked=1>",
    "</script><script>hacked=1</script>",
    '"><svg onload=hacked=1>',
    '=HYPERLINK("x")',
    "{{hacked}} ${hacked} <!--",
    "\u202egro.live\u0000\u200b",
    "50 % & _x_ \\input{y} ~^#$",
)


def test_what_data_says_is_text_everywhere(visit: Visit, tmp_path: Path) -> None:
    points = synthetic.board(len(EVIL))
    for name in ("label", "variant", "source", "place", "hardware", "contact", "dataset", "erratum"):
        points[name] = EVIL
    points["code"] = points["url"] = ["javascript:hacked=1"] * len(EVIL)
    points["configuration"] = [{text: [text]} for text in EVIL]
    points["method"] = ""
    page = visit.open(write(points, tmp_path).as_uri())
    for index in range(len(EVIL)):
        page.locator("#results button.open").nth(index).click()
        links = page.locator("#details a").evaluate_all("all => all.map((one) => one.href)")
        assert all(link.startswith("https://arxiv.org/") for link in links)
        page.keyboard.press("Escape")
    for panel in page.locator("#group option").evaluate_all("all => all.map((one) => one.value)"):
        page.locator("#group").select_option(panel)
        _, x, y = place_of_point(page, 0)
        page.mouse.move(x, y)
        page.locator(".bk-tooltip-content").first.wait_for()
    titles = set(page.locator("#results tbody button.open").all_inner_texts())
    assert f"{EVIL[0]}, {EVIL[0]}" in titles
    assert any("\\u202egro.live\\u0000\\u200b" in title for title in titles)
    assert page.evaluate("typeof hacked") == "undefined"
    assert page.locator("#results img, #results svg, #results script").count() == 0
    csv = pd.read_csv(io.StringIO(downloaded(page, "CSV")), keep_default_na=False)
    assert '\'=HYPERLINK("x")' in set(csv["label"])
    assert not any(str(text).startswith("=") for column in csv for text in csv[column])
    assert "\\textbackslash{}input\\{y\\}" in downloaded(page, "LaTeX")


def test_another_version_stands_apart(visit: Visit, tmp_path: Path) -> None:
    points = synthetic.board(60)
    points.loc[points["method"] == "rigl", "comparability_version"] = 0
    page = visit.open(write(points, tmp_path).as_uri())
    assert page.locator(".dt-info").inner_text().endswith("of 50")
    assert "RigL" not in page.locator("#results tbody").inner_text()
    page.get_by_text("10 rows of another comparability version").click()
    assert page.locator("#apart tbody tr").count() == 10


def test_no_rows_are_said(visit: Visit, tmp_path: Path) -> None:
    page = visit.open(write(synthetic.board(6)[:0], tmp_path).as_uri())
    assert page.locator("#results tbody").inner_text() == "No data: no records were found."
    assert page.locator("#plot-words").inner_text() == "No row passes the filters."


# -- by whom it is read --


@pytest.mark.parametrize("visit", [PHONE, DESKTOP, (320, 640)], indirect=True)
def test_nothing_is_wider_than_the_screen(visit: Visit, board: Path) -> None:
    page = visit.open(board.as_uri())
    width = page.viewport_size["width"]
    assert page.evaluate("document.documentElement.scrollWidth") == width
    choose(page, "Method", "RigL")
    page.locator("summary:has-text('Distribution:')").click()
    page.get_by_label("equal training FLOPs").check()
    assert page.evaluate("document.documentElement.scrollWidth") == width
    page.locator("#results button.open").first.click()
    assert page.locator("#details").bounding_box()["width"] <= width
    assert page.evaluate("document.documentElement.scrollWidth") == width


@pytest.mark.parametrize("visit", [PHONE], indirect=True)
def test_a_phone_starts_with_what_matters_and_scrolls_to_it(visit: Visit, board: Path) -> None:
    page = visit.open(board.as_uri())
    assert [title.split("\n")[0] for title in page.get_by_role("columnheader").all_inner_texts()] == [
        *("Method", "Accuracy, %", "Sparsity", "Training FLOPs"),
    ]
    assert page.locator(".scroll").first.evaluate("(one) => getComputedStyle(one).overflowX") == "auto"


FOCUSED = """() => {
    const one = document.activeElement;
    return one.id || one.innerText?.split("\\n")[0] || one.ariaLabel;
}"""


def test_everything_can_be_done_by_keys_in_the_order_that_is_seen(visit: Visit, board: Path) -> None:
    page = visit.open(board.as_uri())
    seen = []
    for _ in range(60):
        page.keyboard.press("Tab")
        seen.append(page.evaluate(FOCUSED))
    wanted = ["Skip to the results", "cite-suite", "search", "Kind: all", "Length: all", "reset", "group"]
    wanted += ["Columns▼", "CSV", "BibTeX"]
    places = [seen.index(name) for name in wanted]
    assert places == sorted(places)
    head = page.get_by_role("columnheader", name="Accuracy")
    head.locator(".dt-column-order").focus()
    page.keyboard.press("Enter")
    until_sorted(head, "descending")
    page.locator("summary:has-text('Method:')").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    assert page.locator("summary:has-text('Method:')").inner_text() == "Method: Pruning"
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.innerText") == "Method: Pruning"


def test_whoever_listens_is_told(visit: Visit, board: Path) -> None:
    page = visit.open(board.as_uri())
    unnamed = page.evaluate(
        """() => [...document.querySelectorAll("button, input, select, [role=button], [role=region], dialog, table")]
            .filter((one) => !one.closest(".bk-root, #plot") && one.checkVisibility())
            .filter((one) => !one.innerText?.trim() && !one.labels?.length)
            .filter((one) => !one.ariaLabel && !one.getAttribute("aria-labelledby"))
            .map((one) => one.outerHTML.slice(0, 100))"""
    )
    assert unnamed == []
    for place in (".dt-info", "#plot-words", "#said"):
        assert page.locator(place).first.get_attribute("aria-live") == "polite"
    button = page.get_by_role("button", name="Training FLOPs, lower is better: Activate to sort", exact=True)
    assert button.is_visible()
    assert page.locator("#results tbody tr th[scope=row]").count() == 50
    assert page.locator("#plot").get_attribute("aria-labelledby") == "plot-words"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("visit", [DESKTOP, PHONE], indirect=True)
def test_axe_finds_nothing_to_complain_about(visit: Visit, axe: Any, board: Path, scheme: str) -> None:
    """Names, roles, contrast, order of headings: the page as it opens, with a filter chosen, and with a row's details."""
    visit.page.emulate_media(color_scheme=scheme)
    page = visit.open(board.as_uri())
    steps = [lambda: None, lambda: choose(page, "Method", "RigL"), page.locator("#results button.open").first.click]
    for step in steps:
        step()
        assert [(found["id"], found["nodes"][0]["html"]) for found in axe.run(page).response["violations"]] == []


def test_it_follows_a_dark_theme(browser: Any, board: Path) -> None:
    context = browser.new_context(color_scheme="dark", reduced_motion="reduce")
    page = context.new_page()
    page.goto(board.as_uri())
    page.wait_for_selector("html[data-ready=all]", state="attached")
    light = page.evaluate(
        "[document.body, document.querySelector('#results td')].map((one) => getComputedStyle(one).color)"
    )
    assert all(min(map(int, color[4:-1].split(", "))) > 180 for color in light)
    assert page.evaluate("document.getAnimations().length") == 0
    context.close()
