"""The reference is complete: every option, method and parameter is in help, documents and man pages."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from scripts import ROOT, SCRIPTS, command

from upscale_cli import METHODS
from upscale_cli.methods import Method
from upscale_cli.methods.parameters import REQUIRED, shown

DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which the reference was written anew."""
    folder = tmp_path_factory.mktemp("manual")
    subprocess.run(
        [sys.executable, DOCS / "make_manual.py", folder],
        env=os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "200", "PATH": ""},
        check=True,
        timeout=60,
    )
    return folder


def test_the_reference_is_what_the_commands_say(written: Path) -> None:
    places = ["commands.md", *(f"man/{name}.1" for name in SCRIPTS)]
    assert sorted(path.relative_to(written).as_posix() for path in written.rglob("*.*")) == sorted(places)
    assert sorted(path.name for path in (DOCS / "man").iterdir()) == sorted(f"{name}.1" for name in SCRIPTS)
    for place in places:
        told = f"docs/{place} is not what the commands say: run python docs/make_manual.py"
        assert (written / place).read_text("utf-8") == (DOCS / place).read_text("utf-8"), told


def help_of(name: str) -> str:
    return CliRunner().invoke(command(name), ["--help", "all"]).stdout


def section(name: str) -> str:
    """What `docs/commands.md` has of a command."""
    return (DOCS / "commands.md").read_text("utf-8").split(f"\n## {name}\n")[1].split("\n## ")[0]


def man(name: str) -> str:
    """A man page as it reads."""
    return (DOCS / "man" / f"{name}.1").read_text("utf-8").replace("\\-", "-").replace("\\&", "")


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_option_is_in_help_documents_and_man_page(name: str) -> None:
    options = [p for p in command(name).params if isinstance(p, click.Option)]
    assert len(options) > 5
    for option in [opt for p in options for opt in p.opts] + ["-h", "--help"]:
        word = re.compile(rf"(?<![\w-]){option}(?![\w-])")
        for place, text in (("help", help_of(name)), ("commands.md", section(name)), ("man page", man(name))):
            assert word.search(text), f"{option} is not in the {place} of {name}"
    for p in options:
        assert p.help, f"{name} {p.opts} has no help"
        assert " ".join(p.help.split()) in " ".join(section(name).split()), p.opts


@pytest.mark.parametrize("row", METHODS.values(), ids=lambda row: row.name)
def test_every_method_and_parameter_is_in_help_documents_and_man_page(row: Method) -> None:
    table, page = " ".join(section("upscale").split()), " ".join(man("upscale").split())
    about = " ".join(CliRunner().invoke(command("upscale"), ["--methods", row.name]).stdout.split())
    assert f" {row.name} {row.when}" in table
    assert f".B {row.name} " in page
    for text in (row.when, row.source):
        assert text in page
    assert f"{row.name}: {row.summary} ({row.source})" in about
    for p in row.parameters:
        option = f"--{p.name} FILE" if p.file else f"-p {p.name}="
        assert f" {option} {p.summary}" in about
        assert f".B {option}" in page
        if not p.file:
            assert f"({p.domain})" in about
            assert p.domain in page
            assert p.default in (None, REQUIRED) or f"[{shown(p.default)}]" in about


@pytest.mark.parametrize("name", SCRIPTS)
def test_man_pages_can_be_read(name: str) -> None:
    if shutil.which("man") is None:
        pytest.skip("man is not installed")
    shown = subprocess.run(
        ["man", "--warnings", "-l", DOCS / "man" / f"{name}.1"],
        env={"MANWIDTH": "80", "LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (shown.returncode, shown.stderr) == (0, "")
    text = re.sub(".\b", "", shown.stdout)
    for heading in ("NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXAMPLES", "EXIT STATUS", "SEE ALSO"):
        assert f"\n{heading}\n" in text
    assert re.search(rf"^ +{name}\s+-\s+\w", text, re.MULTILINE)
