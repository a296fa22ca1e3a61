"""The packages' order: what each may import."""

import ast
import configparser
import re
import sys
from importlib import metadata
from pathlib import Path

import dfk

ROOT = Path(dfk.__file__).parent
# From the bottom up. Packages of one line may not import each other, but for
# the first line's, which are small modules of one purpose.
ORDER = (
    {
        "cli",
        "errors",
        "files",
        "cache",
        "download",
        "progress",
        "provenance",
        "runs",
        "pages",
    },
    {"images"},
    {"data"},
    {"models"},
    {"training", "prediction"},
    {"evaluation"},
    {"serving", "auditing", "embedding"},
)
# The builder imports `dfk.data`, which opens it inside a function.
EXEMPT = {("data", "datasets")}


def level(name):
    """The line a package or module stands in; commands stand above all."""
    return next(
        (i for i, names in enumerate(ORDER) if name in names), len(ORDER)
    )


def imported(file):
    """All that a file imports, wherever it does, as dotted names."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                yield f"{node.module}.{alias.name}"
        elif isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name


def imports(file):
    """The packages and modules of dfk that a file imports."""
    for name in imported(file):
        package, _, rest = name.partition(".")
        if package == "dfk" and rest:
            yield rest.partition(".")[0]


def test_imports_go_down_only():
    upwards = []
    for file in sorted(ROOT.rglob("*.py")):
        own = file.relative_to(ROOT).parts[0].removesuffix(".py")
        for other in imports(file):
            allowed = (
                other == own
                or level(other) < level(own)
                or level(other) == level(own) == 0
                or other in ("__version__", "__detector_version__", "FORMAT")
                or (own, other) in EXEMPT
            )
            if not allowed:
                upwards.append(f"{file.relative_to(ROOT)} imports dfk.{other}")
    assert upwards == []


def test_every_package_has_its_place():
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert packages - {"datasets"} <= set.union(*ORDER)


def test_no_command_shares_its_name_with_a_package():
    commands = {path.stem for path in ROOT.glob("*.py")}
    assert not commands & {path.parent.name for path in ROOT.glob("*/*.py")}


def test_what_is_imported_is_required():
    config = configparser.ConfigParser()
    config.read(ROOT.parent / "setup.cfg")
    # And what one extra reads, which its module asks for where it is absent.
    lines = config["options"]["install_requires"].split()
    lines += config["options.extras_require"]["heif"].split()
    required = {re.split("[<>=]", line)[0] for line in lines}
    providers = metadata.packages_distributions()
    missing = set()
    for file in ROOT.rglob("*.py"):
        for name in imported(file):
            package = name.partition(".")[0]
            if package == "dfk" or package in sys.stdlib_module_names:
                continue
            names = providers.get(package, ())
            provided_by = {name.lower().replace("_", "-") for name in names}
            if not provided_by & required:
                missing.add(package)
    assert missing == set()
