"""What the package says of itself, in one place each. `.ci/package` builds and installs it."""

import ast
import re
import tomllib
from importlib import resources

from scripts import ROOT, SCRIPTS

from upscale_cli import __version__

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def citation() -> dict[str, str]:
    """Return the top-level keys of CITATION.cff and their values."""
    text = (ROOT / "CITATION.cff").read_text("utf-8")
    return dict(re.findall(r"^([\w-]+): *(.*)$", text, re.MULTILINE))


def test_the_citation_has_what_its_format_requires() -> None:
    # https://citation-file-format.github.io, schema 1.2.0: these four are required.
    keys = citation()
    assert keys["cff-version"] == "1.2.0"
    assert keys["message"]
    assert keys["title"]
    assert keys["authors"] == ""
    assert "authors:\n  - name: The upscale developers\n" in (ROOT / "CITATION.cff").read_text("utf-8")
    assert keys["license"] == PROJECT["project"]["license"]
    assert set(keys) <= {"cff-version", "message", "title", "authors", "type", "license", "keywords"}


def test_the_version_stands_in_one_place() -> None:
    assert PROJECT["project"]["dynamic"] == ["version"]
    assert PROJECT["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "upscale_cli.__version__"}
    assert "version" not in citation()
    files = [*(ROOT / "upscale_cli").rglob("*.py"), *(ROOT / "docs" / "man").iterdir(), ROOT / "pyproject.toml"]
    found = [
        path.name for path in files if re.search(rf'["\' ]{re.escape(__version__)}["\' ]', path.read_text("utf-8"))
    ]
    assert found == ["__init__.py"]
    tree = ast.parse((ROOT / "upscale_cli" / "__init__.py").read_text("utf-8"))
    assert sum("__version__ =" in ast.unparse(node) for node in tree.body) == 1


def test_types_and_man_pages_are_package_data() -> None:
    assert resources.files("upscale_cli").joinpath("py.typed").is_file()
    tools = PROJECT["tool"]["setuptools"]
    assert "py.typed" in tools["package-data"]["upscale_cli"]
    assert tools["data-files"] == {"share/man/man1": ["docs/man/*.1"]}
    assert {path.stem for path in ROOT.glob(tools["data-files"]["share/man/man1"][0])} == set(SCRIPTS)


def test_the_metadata_is_complete() -> None:
    project = PROJECT["project"]
    for key in ("description", "readme", "requires-python", "license", "authors", "keywords", "classifiers"):
        assert project[key], key
    assert (ROOT / project["readme"]).is_file()
    assert "Typing :: Typed" in project["classifiers"]
