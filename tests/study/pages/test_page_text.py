"""The page's text: what did not run is said in words, and what a file says is what the page counts."""

import copy
import json
from pathlib import Path

import pytest

from fedrela.core.errors import InvalidInput
from fedrela.study import config
from fedrela.study.pages import answers, page, plots, sections
from fedrela.study.pages.evidence import gather
from fedrela.study.pages.tables import Table
from fedrela.study.runs import result_files
from fedrela.study.runs.cells import expand

LINES = Path(page.ROOT / "study" / "results" / "digits-methods.jsonl").read_text(encoding="utf-8").splitlines()
ROWS = [json.loads(line) for line in LINES]
TRUNK = next(line for line, row in zip(LINES, ROWS, strict=True) if row["arm"] == "trunk")
OF_ONE_SEED = [row for row in ROWS if row["seed"] == 1 and row["method"] in ("fedavg", "oracle", "centralised")]


def counted(text, name):
    """The last column of a study's line under "What ran"."""
    return next(line for line in text.splitlines() if f"longtail {name}` |" in line).split("|")[3].strip()


def page_of(folder, rows):
    for row in rows:
        result_files.append(folder / "some.jsonl", row)
    return page.write(folder)


def test_markdown_aligns_words_left_and_numbers_right():
    table = Table("t", ("name", "n"), (("a", "1"), ("b", "2")))
    assert table.markdown() == "| name | n |\n| --- | ---: |\n| a | 1 |\n| b | 2 |"


def test_without_results_every_shipped_study_is_listed_as_not_run(tmp_path):
    text = page.write(tmp_path)
    for name in config.shipped():
        study, _ = config.load(name)
        assert counted(text, name) == f"0 of {len(list(expand(study, '')))}"
        assert study.title in text
    assert "The setting to judge by has not run yet" in text
    assert (
        text.count("Has not run: ") == len(page.HEADLINES) + len(page.PEOPLE) + len(page.HARD) + len(page.CLOSING) + 2
    )
    assert "pictures/" not in text


def test_the_questions_come_in_the_readers_order():
    text = page.write()
    headings = [line[3:] for line in text.splitlines() if line.startswith("## ")]
    assert [heading.split()[0] for heading in headings[:8]] == ["Does", "In", "On", "How", *["What"] * 3, "When"]
    assert headings[-2:] == ["On your own data", "What ran, and what did not"]


def test_a_trunk_alone_is_counted_but_not_compared(tmp_path):
    (tmp_path / "digits-methods.jsonl").write_text(TRUNK + "\n", encoding="utf-8")
    text = page.write(tmp_path)
    assert counted(text, "digits-methods").startswith("1 of ")
    assert "No comparison has all of its branches yet." in text
    assert "**Incomplete: 1 of " in text


def test_a_torn_last_line_is_a_cell_that_did_not_run(tmp_path):
    (tmp_path / "digits-methods.jsonl").write_text(TRUNK + "\n" + LINES[1][:100], encoding="utf-8")
    assert counted(page.write(tmp_path), "digits-methods").startswith("1 of ")


def test_a_result_of_no_shipped_study_is_shown_under_its_files_name(tmp_path):
    (tmp_path / "mine.jsonl").write_text(TRUNK.replace('"lr": 0.03', '"lr": 0.04') + "\n", encoding="utf-8")
    text = page.write(tmp_path)
    assert "\n### Other results in mine.jsonl\n" in text
    assert "learning rate 0.04" in text


def test_a_damaged_file_makes_no_page(tmp_path):
    (tmp_path / "quick.jsonl").write_text("{}\n" + TRUNK + "\n", encoding="utf-8")
    with pytest.raises(InvalidInput, match="line 1"):
        page.write(tmp_path)


def test_one_seed_has_no_interval_and_is_called_one_seed(tmp_path):
    text = page_of(tmp_path, OF_ONE_SEED)
    results = text.split("## Does it help?")[1].split("## On your own data")[0]
    assert "±" not in results
    assert "[" not in results.replace("![", "").replace("](", "")
    assert "nan" not in results.lower().split()
    assert "of the 0 with an interval, surely higher in 0, surely lower in 0" in results
    gaps = results.split("## How far")[1].split("## What")[0]
    kinds = ("Pooled data, cross-entropy (PyTorch) | 1 |", "federated oracle, global class counts | 1 |")
    assert all(kind in gaps for kind in kinds)
    assert "balanced softmax" not in gaps


def test_the_gap_needs_no_re_labeled_branch_of_the_oracle(tmp_path):
    rows = [row for row in OF_ONE_SEED if (row["method"], row["arm"]) != ("oracle", "relabeled")]
    overall = {row["arm"]: row["measured"]["overall"] for row in rows if row["method"] == "fedavg"}
    kept = next(row for row in rows if (row["method"], row["arm"]) == ("oracle", "kept"))["measured"]["overall"]
    line = next(line for line in page_of(tmp_path, rows).splitlines() if "| federated oracle" in line)
    shown = [f"{100 * (kept - overall[arm]):+.1f}" for arm in ("kept", "relabeled")]
    assert [cell.strip() for cell in line.split("|")[5:7]] == shown


def test_a_group_that_could_not_be_measured_is_a_dash_everywhere(tmp_path):
    rows = copy.deepcopy(OF_ONE_SEED)
    for row in rows:
        row["measured"] |= {"few": None, "per_class": [*row["measured"]["per_class"][:-1], None]}
    text = page_of(tmp_path, rows)
    assert "nan" not in text.lower().replace("+", " ").replace("-", " ").split()
    assert "- the few:" not in text
    compared = gather(tmp_path)["digits-methods"].compared
    plots.draw_differences(compared, tmp_path / "d.png")
    plots.draw_classes(compared, tmp_path / "c.png")
    assert (tmp_path / "d.png").stat().st_size > 0


def test_the_headline_is_a_sentence_with_its_seeds(tmp_path):
    for row in ROWS:
        if row["method"] == "fedavg":
            result_files.append(tmp_path / "some.jsonl", row)
    studies = gather(tmp_path)
    (sentence,) = sections.answer(studies, "digits-methods")
    assert sentence.startswith("**digits, 50:1, α 0.1: with re-labels, overall accuracy +")
    assert sentence.endswith("(mean over seeds 1, 2, 3).")
    (missing,) = sections.answer(studies, "cifar10-lt")
    assert "`fedrela study longtail cifar10-lt`" in missing


def test_the_page_begins_with_how_close_to_pooled_data_and_the_price(tmp_path):
    text = page_of(tmp_path, cifar := [*headline_rows()])
    first, table = text.split("\n\n")[3:5]
    assert first.startswith("With every label on its device, re-labels close the distance from FedAvg to ")
    (line,) = (line for line in table.splitlines() if line.startswith("| CIFAR-10, 50:1, α 0.3, 70 rounds | 1, 2, 3 |"))
    arms = {
        arm: sum(row["measured"]["overall"] for row in cifar if row["arm"] == arm and row["method"] == "fedavg") / 3
        for arm in ("kept", "relabeled")
    }
    pooled = {
        name: sum(row["measured"]["overall"] for row in cifar if row["method"] == name) / 3
        for name in ("centralised", "centralised-balanced")
    }
    levels = [f"{100 * level:.1f}" for level in (*arms.values(), *pooled.values())]
    assert [cell.strip() for cell in line.split("|")[3:7]] == levels
    way = (arms["relabeled"] - arms["kept"]) / (pooled["centralised"] - arms["kept"])
    assert f"training on the pooled data by {100 * way:.0f} % on CIFAR-10." in first
    assert line.split("|")[7].strip() == f"{100 * way:.0f} %"
    ahead = pooled["centralised-balanced"] - arms["relabeled"]
    assert f"is {100 * ahead:.1f} points ahead of them." in first
    assert "points of the most common 30 %." in first
    (item,) = answers.near(gather(tmp_path), page.HEADLINES)
    plots.draw_distance([item], tmp_path / "n.png")
    assert (tmp_path / "n.png").stat().st_size > 0


def test_what_one_study_lacks_and_another_has_is_not_missing(tmp_path):
    text = page_of(tmp_path, headline_rows())  # of cifar10-privacy, too, which asks for nothing that sees more
    assert "ahead overall" in text
    assert "Nothing that sees more has run for" not in text


def headline_rows():
    path = page.ROOT / "study" / "results" / "cifar10-lt.jsonl"
    return result_files.read(path).values()


def test_without_pooled_data_the_page_begins_with_what_re_labels_changed(tmp_path):
    text = page_of(tmp_path, [row for row in headline_rows() if row["arm"] != "reference"])
    assert text.split("\n\n")[2].startswith("**CIFAR-10, 50:1, α 0.3: with re-labels, overall accuracy +")


def test_what_fell_is_named_and_what_it_cost_is_counted(tmp_path):
    rows = copy.deepcopy(OF_ONE_SEED)
    for row in rows:
        if row["arm"] == "relabeled":
            row["measured"] |= {"overall": 0.0, "many": 0.0}
    text = page_of(tmp_path, rows)
    assert "- overall accuracy: -" in text
    assert "higher with re-labels in 0 of 2 comparisons" in text
    assert "- FedAvg, FedReLa; digits, 50:1, α 0.1, seed 1: -" in text
    assert "The largest price of common classes: -" in text
