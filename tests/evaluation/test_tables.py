import re
import subprocess
import sys

import pytest
from skilled import scores

from dfk.errors import UserError
from dfk.evaluation import tables
from dfk.evaluation.comparison import compare


def test_the_table_takes_the_place_between_the_markers(write_run, tmp_path):
    found = compare([write_run("a", scores(1))])
    page = tmp_path / "README.md"
    page.write_text(f"before\n{tables.BEGIN}\nold\n{tables.END}\nafter\n")
    for _ in range(2):
        tables.update(page, tables.markdown(found, "the command"))
    text = page.read_text()
    assert text.startswith(f"before\n{tables.BEGIN}\n<!-- the command -->\n|")
    assert text.endswith(f"\n{tables.END}\nafter\n")
    assert "old" not in text
    assert text.count("| `cnn` |") == 1


def test_a_file_without_markers_is_left_alone(tmp_path):
    page = tmp_path / "README.md"
    page.write_text("no place for a table")
    with pytest.raises(UserError, match=re.escape(tables.BEGIN)):
        tables.update(page, "table")
    assert page.read_text() == "no place for a table"


def test_a_file_that_is_not_in_utf_8_is_left_alone(tmp_path):
    page = tmp_path / "README.md"
    page.write_bytes("für".encode("latin-1"))
    with pytest.raises(UserError, match="save it"):
        tables.update(page, "table")


def test_the_command_prints_a_table_without_tensorflow(write_run):
    runs = [write_run("a", scores(1)), write_run("b", scores(2), model="x")]
    code = (
        "import sys\nfrom dfk import cli, compare\n"
        "try: cli.run(compare.main)\n"
        "finally: assert 'tensorflow' not in sys.modules"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code, *map(str, runs), "--markdown"],
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 0, answer.stderr
    assert f"python -m dfk.compare {runs[0]} {runs[1]} -->" in answer.stdout
    assert "| `x` |" in answer.stdout


def test_brackets_in_a_name_are_shown(write_run):
    runs = [
        write_run("a", scores(1), data_dir="/data/[bold]"),
        write_run("b", scores(2), data_dir="/data/faces"),
    ]
    answer = subprocess.run(
        [sys.executable, "-m", "dfk.compare", *map(str, runs)],
        capture_output=True,
        text=True,
    )
    assert answer.stdout.count("[bold]") == 3, answer.stderr
