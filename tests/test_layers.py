"""Which layer may import what, who may talk, and what `--help` waits for: held by reading every module."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from itertools import product
from pathlib import Path

import pytest
from scripts import ROOT, SCRIPTS

MODULES = sorted((ROOT / "upscale_cli").rglob("*.py"))

LAYERS: dict[str, set[str]] = {
    "errors": set(),
    "plugins": {"errors"},
    "blas": {"threadpoolctl"},
    "methods": {"numpy", "plugins", "errors"},
    "machine": {"numpy", "psutil", "errors"},
    "api": {"numpy", "machine", "methods", "blas", "errors"},
    "testing": {"numpy", "pytest", "hypothesis", "api", "methods", "errors"},
    "learning": {"numpy", "api", "methods", "errors"},
    "image": {"numpy", "PIL", "methods", "errors"},
    "codecs": {
        "numpy",
        "PIL",
        "isal",
        "pillow_heif",
        "pillow_jxl",
        "imagecodecs",
        "nibabel",
        "pydicom",
        "image",
        "machine",
        "methods",
        "plugins",
        "errors",
    },
    "places": {"fsspec", "aiohttp", "codecs", "machine", "errors"},
    "work": {"numpy", "onnx", "onnxruntime", "places", "codecs", "image", "machine", "methods", "errors"},
    "batch": {
        *("dask", "distributed", "__version__"),
        *("work", "places", "codecs", "machine", "methods", "blas", "plugins", "errors"),
    },
    "compare": {"numpy", "PIL", "learning", "work", "places", "codecs", "image", "methods", "errors"},
    "commands": {
        *("click", "tqdm", "__version__"),
        *("compare", "batch", "work", "places", "codecs", "machine", "learning", "methods", "errors"),
    },
    "__init__": {"api", "methods", "errors"},
    "__main__": {"commands"},
}
"""What a layer may import besides itself and the standard library."""

TALK = {
    "print",
    "input",
    "exit",
    "quit",
    "SystemExit",
    "sys.exit",
    "os._exit",
    "sys.stdin",
    "sys.stdout",
    "sys.stderr",
}
"""Words that belong to commands alone."""

FILES = {
    "open",
    "load",
    "save",
    "savez",
    "savez_compressed",
    "fromfile",
    "tofile",
    "memmap",
    "read_bytes",
    "read_text",
}
"""Words that methods do without, as names or after a dot."""


STANDARD = frozenset(sys.stdlib_module_names)
VARIADIC = {"struct.pack", "zip", "has", "np.ndarray", "Image.frombuffer", "rename"}
"""Functions that take any number of alike arguments, and those of others that take many by position alone."""


def imported(node: ast.AST) -> Iterator[str]:
    """What a statement imports: `.layer` or `.name` of this package, else a top-level module.

    A layer and a module of the standard library may have one name, as `codecs` does.
    """
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom) and node.module == "upscale_cli":
        names = [f"upscale_cli.{alias.name}" for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        names = ["relative" if node.level else str(node.module)]
    else:
        return
    for name in names:
        first, _, rest = name.partition(".")
        yield f".{rest.split('.')[0]}" if first == "upscale_cli" else first


READERS = {"methods/shipped.py"}
"""Modules of methods that read files all the same: those of the package."""


def dotted(node: ast.AST) -> str:
    """Return a name with what it belongs to, such as sys.stdout; `ast.unparse` takes longer."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def faults(layer: str, source: str, reads: bool = False) -> list[str]:
    """Where a module of a layer breaks the rules, a line each. Imports inside functions count like all others."""
    found = []
    for node in ast.walk(ast.parse(source)):
        line = f"line {getattr(node, 'lineno', 0)}"
        for name in imported(node):
            own = name.startswith(".")
            if name[own:] not in (LAYERS[layer] | {layer} if own else LAYERS[layer] - LAYERS.keys() | STANDARD):
                found.append(f"{line}: {layer} imports {name}")
        word = dotted(node)
        if layer != "commands" and word in TALK:
            found.append(f"{line}: {layer} says {word}")
        if layer == "methods" and not reads and word.rpartition(".")[2] in FILES:
            found.append(f"{line}: {layer} calls {word}")
    return found


def test_each_module_keeps_to_its_layer() -> None:
    found = {}
    for path in MODULES:
        place = path.relative_to(ROOT / "upscale_cli")
        layer = place.parts[0].removesuffix(".py")
        assert layer in LAYERS, f"{layer} is a new layer: say in LAYERS what it may import"
        found[str(place)] = faults(layer, path.read_text("utf-8"), place.as_posix() in READERS)
    assert {place: broken for place, broken in found.items() if broken} == {}


@pytest.mark.parametrize(
    ("layer", "source"),
    [
        ("methods", "from PIL import Image"),
        ("methods", "import os, tqdm"),
        ("methods", "import upscale_cli.codecs.picture"),
        ("methods", "from upscale_cli import api"),
        ("methods", "def f():\n    from upscale_cli.codecs import png"),
        ("methods", "with open('x') as f:\n    pass"),
        ("methods", "np.load('kernel.npy')"),
        ("methods", "print(1)"),
        ("work", "from upscale_cli.batch.plan import Job"),
        ("codecs", "import click"),
        ("places", "if not there:\n    raise SystemExit(1)"),
        ("batch", "from upscale_cli.commands import terminal"),
        ("batch", "import sys\nsys.exit(1)"),
        ("compare", "from upscale_cli.batch.run import Run"),
        ("compare", "print(1)"),
        ("batch", "sys.stderr.write('x')"),
        ("api", "from upscale_cli.codecs.picture import Picture"),
        ("errors", "from upscale_cli.methods import METHODS"),
        ("commands", "from .. import batch"),
    ],
)
def test_a_broken_rule_is_found(layer: str, source: str) -> None:
    assert faults(layer, source)


def test_the_layers_stand_on_each_other() -> None:
    """`LAYERS` is listed from the ground up: no layer may import one that comes later, so there is no circle."""
    below: set[str] = set()
    for layer, may in LAYERS.items():
        assert may & LAYERS.keys() <= below
        below.add(layer)


@pytest.mark.parametrize(
    ("script", "option"),
    [
        ("upscale", "--methods"),
        *product(SCRIPTS, ["--help"]),
        *(pytest.param(script, "--version", marks=pytest.mark.long) for script in SCRIPTS),
    ],
)
def test_help_waits_for_nothing_large(script: str, option: str) -> None:
    code = """
import os
import sys
from importlib import import_module
module, function, option = sys.argv[1:]
sys.argv = [module, option]
os._exit = sys.exit  # there is something left to see
try:
    getattr(import_module(module), function)()
except SystemExit as end:
    sys.stderr.write(f"{end.code}:")
sys.stderr.write(" ".join({"numpy", "PIL", "tqdm"} & set(sys.modules)))
"""
    command = [sys.executable, "-c", code, *SCRIPTS[script].split(":"), option]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert run.stdout
    assert run.stderr == "0:"


def test_the_design_shows_every_module() -> None:
    design = (ROOT / "docs" / "design.md").read_text("utf-8")
    house = design.split("## The house")[1].split("\n## ")[0]
    named = [path.name for path in MODULES if path.name != "__init__.py"]
    assert [name for name in named if not re.search(rf"(?<!\w){re.escape(name)}", house)] == []


def imports_when_loaded(path: Path) -> set[str]:
    """The modules of the package that a module imports while it is imported, by their names."""
    package, found = "upscale_cli", set()
    queue: list[ast.AST] = list(ast.parse(path.read_text("utf-8")).body)
    while queue:
        node = queue.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(package):
            found |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
        queue += ast.iter_child_nodes(node)
    return found


def test_no_module_imports_itself_by_way_of_others() -> None:
    names = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in MODULES
    }
    graph = {name: imports_when_loaded(path) & names.keys() - {name} for name, path in names.items()}
    TopologicalSorter(graph).prepare()  # raises CycleError


def too_long(path: Path) -> list[str]:
    """Return what is too long: 350 lines a module, 60 a function without its docstring, 4 arguments a call."""
    text = path.read_text("utf-8")
    place, found = str(path.relative_to(ROOT)), []
    if (lines := len(text.splitlines())) > 350:
        found.append(f"{place} has {lines} lines")
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            first = node.body[1 if ast.get_docstring(node) and len(node.body) > 1 else 0]
            if (lines := (node.end_lineno or 0) - first.lineno + 1) > 60:
                found.append(f"{place}: {node.name} has {lines} lines")
        if isinstance(node, ast.Call) and len(node.args) > 4 and ast.unparse(node.func) not in VARIADIC:
            given = [argument for argument in node.args if not isinstance(argument, ast.Starred)]
            if len(given) > 4:
                found.append(f"{place}: {ast.unparse(node)}")
    return found


def test_modules_functions_and_calls_are_short() -> None:
    assert [found for path in MODULES for found in too_long(path)] == []


def test_files_wait_for_no_store_and_no_cluster(tmp_path: Path) -> None:
    """What the extras bring is imported for a URL or an ONNX file alone, so it need not be installed."""
    code = (
        "import sys\n"
        "absent = 'fsspec s3fs aiohttp botocore dask distributed onnx onnxruntime'\n"
        "sys.modules.update(dict.fromkeys(absent.split()))\n"
        "from upscale_cli.commands.upscale import main; main()"
    )

    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        line = [sys.executable, "-c", code, *arguments]
        return subprocess.run(line, capture_output=True, text=True, cwd=tmp_path, timeout=60)  # noqa: PLW1510

    sample = str(ROOT / "sample_images" / "scene.png")
    assert run(sample, "-o", "a.png", "--executor", "processes").returncode == 0
    assert run(sample, "-o", "b.png", "-m", "learned").returncode == 0
    refused = run("s3://bucket/a.png", "-o", "a.png")
    assert (refused.returncode, refused.stderr) == (
        2,
        "upscale: \"s3://bucket/a.png\" needs an extra: pip install 'upscale-cli[cloud]'.\n",
    )
