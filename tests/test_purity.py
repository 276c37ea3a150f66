"""The codec package is pure, and its arrows point one way.

Bytes and values come in, values and bytes go out: no sockets, files, threads, chance, and no clock
but the one that is handed in. What third parties import is theirs; our own sources are judged.
"""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import inverterproto
import inverterproto.alphaess
import inverterproto.deye

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "inverterproto"
SOURCES = sorted(PACKAGE.rglob("*.py"))

FORBIDDEN = {
    "asyncio",
    "concurrent",
    "http",
    "logging",
    "multiprocessing",
    "os",
    "queue",
    "random",
    "sched",
    "secrets",
    "select",
    "selectors",
    "signal",
    "socket",
    "socketserver",
    "sqlite3",
    "ssl",
    "subprocess",
    "tempfile",
    "threading",
    "time",
    "urllib",
    "uuid",
}
CLOCKS = {"now", "today", "utcnow"}
"""Methods of `datetime` and `date` that read the clock."""

THIRD_PARTIES = {"construct", "crcmod", "msgspec"}
EXTRAS = {"numpy"}
"""What is imported only when it is used: importing all of us does not load it."""
FAMILIES = ("deye", "alphaess")
KNOW_THE_FAMILIES = {"__init__", "families"}
"""The modules outside the families that may name them."""


def module_of(path: Path) -> str:
    """Return a source's module name within the package: `deye.frame`."""
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


def imports(tree: ast.AST) -> Iterator[str]:
    """Yield all modules that a source imports, at its head or later."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "a relative import hides where it leads"
            module = node.module or ""
            yield from (f"{module}.{alias.name}" for alias in node.names)


def own_imports(path: Path) -> set[str]:
    """Return what a source imports of our own package, without the package's name."""
    found = imports(ast.parse(path.read_text()))
    return {name.removeprefix("inverterproto.") for name in found if name.startswith("inverterp")}


def family_of(module: str) -> str:
    """Return the family to which a module belongs, or nothing for a shared one."""
    first = module.partition(".")[0]
    return first if first in FAMILIES else ""


@pytest.mark.parametrize("path", SOURCES, ids=module_of)
def test_a_source_imports_nothing_that_does_io_or_knows_the_time(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert not {name.partition(".")[0] for name in imports(tree)} & FORBIDDEN


@pytest.mark.parametrize("path", SOURCES, ids=module_of)
def test_a_source_imports_only_the_standard_library_and_the_declared_parties(path: Path) -> None:
    roots = {name.partition(".")[0] for name in imports(ast.parse(path.read_text()))}
    assert roots <= THIRD_PARTIES | EXTRAS | sys.stdlib_module_names | {"inverterproto"}


@pytest.mark.parametrize("path", SOURCES, ids=module_of)
def test_a_source_reads_no_clock_and_prints_nothing(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            assert node.func.attr not in CLOCKS, f"line {node.lineno}"
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in {"print", "input"}, f"line {node.lineno}"


@pytest.mark.parametrize("path", SOURCES, ids=module_of)
def test_the_families_do_not_know_each_other_and_shared_files_know_neither(path: Path) -> None:
    module = module_of(path)
    own = family_of(module)
    known = {family_of(name) for name in own_imports(path)} - {"", own}
    assert not known or module in KNOW_THE_FAMILIES


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_does_not_lean_on_the_registry(family: str) -> None:
    for path in (PACKAGE / family).rglob("*.py"):
        roots = {name.partition(".")[0] for name in own_imports(path)}
        assert not roots & {"families", "decoding"}, path


def test_the_library_does_not_know_the_programs() -> None:
    assert not any("inverterproto_cli" in path.read_text() for path in SOURCES)


IMPORT_ALL = """
import importlib, json, sys
for party in {parties}:
    importlib.import_module(party)
before = set(sys.modules)
for module in {modules}:
    importlib.import_module(module)
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def loaded(modules: list[str], parties: list[str]) -> set[str]:
    """Return what a fresh interpreter loads for some modules, and not already for the parties."""
    script = IMPORT_ALL.format(parties=parties, modules=modules)
    done = subprocess.run(  # noqa: S603 - our own interpreter and script
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(json.loads(done.stdout))


def test_importing_all_of_it_loads_nothing_that_does_io() -> None:
    modules = [f"inverterproto.{module_of(path)}".removesuffix(".__init__") for path in SOURCES]
    found = loaded(modules, sorted(THIRD_PARTIES))
    assert set(modules) <= found
    assert not {name.partition(".")[0] for name in found} & EXTRAS
    # `datetime` loads the module `time` for itself; that our sources do not is tested above.
    assert not {name.partition(".")[0] for name in found} & (FORBIDDEN - {"time"})


def test_importing_the_package_alone_loads_no_family_and_no_third_party() -> None:
    found = loaded(["inverterproto"], [])
    assert not {name for name in found if name.startswith(("inverterproto.d", "inverterproto.a"))}
    assert not {name.partition(".")[0] for name in found} & THIRD_PARTIES


@pytest.mark.parametrize(("family", "other"), [FAMILIES, FAMILIES[::-1]])
def test_who_speaks_one_family_does_not_load_the_other(family: str, other: str) -> None:
    found = loaded([f"inverterproto.{family}.frame"], [])
    assert not any(name.startswith(f"inverterproto.{other}") for name in found)


def test_the_public_names_are_there_and_no_others() -> None:
    for package in (inverterproto, inverterproto.deye, inverterproto.alphaess):
        assert set(package.__all__) <= set(dir(package))
        assert all(getattr(package, name) is not None for name in package.__all__)
        with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
            _ = package.nonsense
