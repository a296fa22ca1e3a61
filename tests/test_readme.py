"""What README.md and docs/ say can be done: commands, snippets and links.

Flags of every shown command are checked without running it. README's whole
sequence runs on something small: see `small` for what takes the place of hours
and of downloads.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PAGES = [
    README,
    ROOT / "CHANGELOG.md",
    *sorted(ROOT.glob("docs/*.md")),
    *sorted(ROOT.glob("benchmarks/*.md")),
    ROOT / "serving/README.md",
    ROOT / "datasets/real_fake_faces/README.md",
    ROOT / "saved_models/README.md",
]
MOST_LINES = 200
COMMANDS = sorted(
    path.stem
    for path in (ROOT / "dfk").glob("*.py")
    if path.read_text().endswith("cli.run(main)\n")
)


def blocks(page):
    """The fenced blocks of a page, in order: `(language, text)`."""
    return re.findall(r"^```(\w+)\n(.*?)^```$", page.read_text(), re.M | re.S)


def lines(page):
    """The commands in a page's shell blocks, continued lines joined.

    In a transcript they are what follows the prompt.
    """
    for language, text in blocks(page):
        if language == "sh":
            yield from text.replace("\\\n", " ").splitlines()
        elif language == "console":
            yield from re.findall(r"^\$ (.*)$", text, re.M)


def shown(page):
    """A page's commands of dfk: `[module, *arguments]`."""
    for line in lines(page):
        if line.startswith("python -m dfk."):
            yield shlex.split(line, comments=True)[2:]


# -- What is shown ----------------------------------------------------------


def test_the_readme_is_short():
    assert len(README.read_text().splitlines()) <= MOST_LINES


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_documented(command):
    named = f"python -m dfk.{command}"
    assert any(named in page.read_text() for page in PAGES)


def anchors(page):
    """The anchors that GitHub gives a page's headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.M)
    plain = [re.sub(r"[^\w\- ]", "", text.lower()) for text in headings]
    return {text.replace(" ", "-") for text in plain}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_page_holds_a_merge_conflict(page):
    assert not re.search("^(<{7} |={7}$|>{7} )", page.read_text(), re.M)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if re.match(r"https?://", target):
            continue
        path, _, anchor = target.partition("#")
        place = page.parent / path if path else page
        assert place.exists(), target
        if anchor:
            assert anchor in anchors(place), target


def test_the_readme_has_the_figures_of_the_results():
    results = (ROOT / "docs/results.md").read_text()
    for name, accuracy, auc in re.findall(
        r"^\| `?(\w+)`? \|.*\| ([\d.]+) % \| (\.\d+) \|$",
        README.read_text(),
        re.M,
    ):
        # The first row of that name is the fine-tuned one.
        row = re.search(rf"^\| `{name}`.*$", results, re.M).group()
        cells = [cell.strip() for cell in row.split("|")]
        assert cells[2].startswith(f"{accuracy}%"), name
        assert cells[3].startswith(f"0{auc}"), name


PARSE = """
import importlib, json, sys
from absl import flags
module, calls = sys.argv[1], json.loads(sys.argv[2])
importlib.import_module(module)
for arguments in calls:
    flags.FLAGS.unparse_flags()
    try:
        flags.FLAGS([module, *arguments])
    except flags.Error as error:
        print(*arguments, error)
assert "tensorflow" not in sys.modules
"""


@pytest.mark.parametrize(
    "module", sorted({words[0] for page in PAGES for words in shown(page)})
)
def test_the_flags_of_shown_commands_are_the_commands_own(module):
    calls = [
        arguments
        for page in PAGES
        for name, *arguments in shown(page)
        if name == module
    ]
    # A process of its own: the flags of all commands share one namespace.
    result = subprocess.run(
        [sys.executable, "-c", PARSE, module, json.dumps(calls)],
        capture_output=True,
        text=True,
    )
    assert (result.returncode, result.stdout) == (0, ""), result.stderr


def test_detectors_to_be_trained_are_called_so():
    from dfk import models

    for page in PAGES:
        for module, *arguments in shown(page):
            for argument in arguments:
                flag, _, value = argument.partition("=")
                if (module, flag) == ("dfk.train", "--model"):
                    assert value in models.names()


# -- README's sequence, small -----------------------------------------------

SIZE = 40
# Pattern and replacement, for the commands of a module; then what is added. No
# two of README's runs may be the same training, or they cannot be compared.
SMALLER = {
    "dfk.train": [
        (r"--model=clip", "--model=cnn --unfreeze=none"),
        (r"--repeats=.*", "--repeats=1"),
        (r"--image_size=.*", f"--image_size={SIZE}"),
    ],
}
ADDED = {
    "dfk.train": [f"--image_size={SIZE}", "--epochs=1"],
    "dfk.audit": ["--nopeople"],
    "dfk.export": ["--name=clip"],
    "dfk.serve": ["--port=0"],
}
# A small random detector in place of the built-in one, whose backbone is
# downloaded.
BUILT_IN = f"""
from dfk import models
from dfk.models import built_in

def load():
    detector = models.build("cnn", {SIZE}, "none")
    calibration = models.Calibration(images=(999, 999))
    models.score_layer(detector).calibration = calibration
    return detector

built_in.load = load
"""
WITH_BUILT_IN = f"""
from dfk import cli
cli.start_tensorflow()
{BUILT_IN}
import runpy, sys
runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
"""
# What `make quickstart` runs, on the folder instead of the sample.
QUICKSTART = f"""
import functools, subprocess
from dfk import cli, data, quickstart
from test_readme import small

class Popen(subprocess.Popen):
    def __init__(self, command, *args, **options):
        super().__init__(small(command), *args, **options)

subprocess.Popen = Popen
data.load = functools.partial(data.load, data_dir="FACES", image_size={SIZE})
cli.run(quickstart.main)
"""
# What a snippet calls `images`.
IMAGES = f"import numpy; images = numpy.zeros([2, {SIZE}, {SIZE}, 3])\n"
BEFORE = IMAGES + BUILT_IN
# Shown in README, but not for this test to run.
ELSEWHERE = (
    *("make test", "docker compose", "pip install"),
    # tests/models/test_built_in.py does.
    "python -m dfk.predict --card",
)


def small(command):
    """Makes a command of dfk, `[python, -m, module, ...]`, a small one."""
    if command[1:2] != ["-m"] or not command[2].startswith("dfk."):
        return command
    python, _, module, *arguments = command
    if module == "dfk.predict" or "default" in arguments:
        return [python, "-c", WITH_BUILT_IN, module, *arguments]
    for pattern, replacement in SMALLER.get(module, []):
        arguments = [
            made
            for argument in arguments
            for made in re.sub(f"^{pattern}$", replacement, argument).split()
        ]
    own = {argument.partition("=")[0] for argument in arguments}
    arguments += [
        flag
        for flag in ADDED.get(module, [])
        if flag.partition("=")[0] not in own
    ]
    if module == "dfk.train" and "--data_dir" not in own:
        arguments.append("--data_dir=FACES")
    return [python, "-m", module, *arguments]


class Reader:
    """Somebody who types what README shows, from top to bottom."""

    def __init__(self, place):
        self.place = place
        path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
        self.environment = {**os.environ, "PYTHONPATH": path}
        self.server = None
        self.address = None
        self.printed = {}

    def read(self, page):
        for language, text in blocks(page):
            if language == "python":
                self.run([sys.executable, "-c", BEFORE + text])
            elif language == "sh":
                for line in text.splitlines():
                    self.type(line)

    def type(self, line):
        if line.startswith(ELSEWHERE):
            return
        words = shlex.split(line, comments=True)
        if words == ["make", "quickstart"]:
            self.run([sys.executable, "-c", QUICKSTART])
            return
        assert words[:2] == ["python", "-m"], f"Who tests this? {line}"
        command = small([sys.executable, *words[1:]])
        if words[2] == "dfk.serve":
            self.serve(command)
        else:
            self.printed[shlex.join(words)] = self.run(command)

    def run(self, command):
        if self.address:
            command = [
                c.replace("localhost:8500", self.address) for c in command
            ]
        done = subprocess.run(
            command,
            cwd=self.place,
            env=self.environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        return done.stdout

    def serve(self, command):
        self.server = subprocess.Popen(
            command,
            cwd=self.place,
            env=self.environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        for line in self.server.stdout:
            if line.startswith("Serving on "):
                self.address = line.split()[-1]
                return
        raise AssertionError("The server ended.")

    def stop(self):
        if self.server:
            self.server.terminate()
            self.server.wait(30)


@pytest.fixture(scope="module")
def reader(faces_dir, tmp_path_factory):
    place = tmp_path_factory.mktemp("reader")
    shutil.copytree(faces_dir, place / "FACES")
    shutil.copy(ROOT / "dfk/examples/photograph.jpg", place / "photo.jpg")
    reader = Reader(place)
    try:
        reader.read(README)
        yield reader
    finally:
        reader.stop()


@pytest.mark.slow
def test_the_readme_works_from_top_to_bottom(reader):
    place = reader.place
    assert (place / "drawn/photo-faces.png").is_file()
    assert (place / "heat/photo-heat.png").is_file()
    assert (place / "runs/quickstart/report.html").is_file()
    for name in ("clip", "default"):
        assert (place / "saved_models" / name / "1").is_dir()


@pytest.mark.slow
def test_the_json_shown_has_the_fields_of_an_answer(reader):
    (example,) = (text for kind, text in blocks(README) if kind == "json")
    (printed,) = (
        text for line, text in reader.printed.items() if "--json" in line
    )
    shown, answer = json.loads(example), json.loads(printed)
    assert list(shown) == list(answer)
    assert list(shown["faces"][0]) == list(answer["faces"][0])
    assert shown["faces"][0]["box"] == answer["faces"][0]["box"]
