"""The guide to adding a method, followed to the letter in a copy of the checkout."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
GUIDE = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
BLOCK = re.compile(r"^```python\n# (\S+), (above|first in|a new file) ?(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def put(file: Path, where: str, name: str, code: str) -> None:
    """Do what the first line of a block says."""
    if where == "a new file":
        assert not file.exists()
        file.write_text(code, "utf-8")
        return
    text = file.read_text("utf-8")
    if where == "above":
        place, code = rf"^(?={name}\b)", f"{code}\n\n"
    else:
        place, code = rf"^{name}\b.*?= *\w*[({{\[]", f"\n{code.rstrip()}"
    text, count = re.subn(place, lambda found: f"{found[0]}{code}", text, flags=re.MULTILINE)
    assert count == 1, f"{file.name} has no one place {where} {name}"
    file.write_text(text, "utf-8")


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout to which the guide has been applied."""
    folder = tmp_path_factory.mktemp("copy")
    for name in ("upscale_cli", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    for file, where, name, code in BLOCK.findall(GUIDE):
        put(folder / file, where, name, code)
    return folder


def python(folder: Path, *arguments: str) -> str:
    """What Python prints that imports the package from a folder."""
    environment = os.environ | {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    run = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def test_every_block_is_followed() -> None:
    assert len(BLOCK.findall(GUIDE)) == GUIDE.count("```python") == 6


@pytest.mark.long
def test_the_new_method_passes_the_tests_that_are_there(copy: Path) -> None:
    files = ["tests/test_quadratic.py", "tests/test_contract.py", "upscale_cli/methods/weights.py"]
    said = python(copy, "-m", "pytest", "-vv", "-k", "quadratic", "-p", "no:cacheprovider", *files)
    print(said)
    assert "weights.quadratic PASSED" in said
    assert "TestQuadratic::test_it_describes_itself PASSED" in said
    assert "test_quadratic_is_the_b_spline_of_degree_2 PASSED" in said


def test_the_new_row_is_told_to_users(copy: Path) -> None:
    assert "quadratic " in python(copy, "-m", "upscale_cli", "--methods")


def test_the_new_row_keeps_its_promises(copy: Path) -> None:
    code = """
import numpy as np
from upscale_cli import METHODS, upscale
from upscale_cli.methods import resolve
from upscale_cli.methods.parameters import read_scale
from upscale_cli.methods.samples import Samples
row, dtype = METHODS["quadratic"], np.dtype(np.uint16)
parameters = row.read_parameters({})
source = np.random.default_rng(2).integers(0, 65536, (37, 29, 3), dtype)
scale, shape = resolve(row, source.shape, scale=read_scale("1.5x3"), parameters=parameters)
assert upscale(source, "1.5x3", "quadratic").shape == shape == (111, 44, 3)
assert (upscale(source, 1, "quadratic") == source).all()
assert (upscale(np.full((5, 4), 65535, dtype), 3, "quadratic") == 65535).all()
upsampler = row.make(source, scale=scale, size=shape[:2], samples=Samples(dtype, 3, dtype), parameters=parameters)
parts = [upsampler.rows(start, min(start + 7, 111)) for start in range(0, 111, 7)]
assert (np.concatenate(parts) == upsampler.rows(0, 111)).all()
"""
    python(copy, "-c", code)


@pytest.mark.long
def test_the_new_format_passes_the_tests_that_are_there(copy: Path) -> None:
    files = ["tests/test_qoi.py", "tests/test_formats.py", "tests/test_layers.py"]
    chosen = "(qoi or are_short) and not the_page_says"
    said = python(copy, "-m", "pytest", "-vv", "-k", chosen, "-p", "no:cacheprovider", *files)
    assert "test_a_qoi_is_enlarged PASSED" in said
    assert "test_formats.py" in said
