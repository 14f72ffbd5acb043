"""Write `docs/commands.md` and the pages in `docs/man` from the commands: `python docs/make_manual.py [FOLDER]`."""

import re
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import click
from click.testing import CliRunner

from upscale_cli.commands.options import Command
from upscale_cli.methods import METHODS
from upscale_cli.methods.parameters import REQUIRED, Parameter, shown

HERE = Path(__file__).parent
SCRIPTS = tomllib.loads((HERE.parent / "pyproject.toml").read_text("utf-8"))["project"]["scripts"]
WORDS = {"upscale": ("upscale_cli.commands.report",)}
"""The modules of commands that are begun by a word after the name of a script."""
EXIT_STATUS = {
    "0": "All is done.",
    "1": "At least one image failed; the others are written.",
    "2": "Wrong usage; nothing was done.",
    "130, 143, 129": "Interrupted, terminated, hung up; no part of a file is left.",
    "141": "The reader closed the pipe.",
}


def command(name: str) -> Command:
    """Return the command that a script runs."""
    found = import_module(f"upscale_cli.commands.{SCRIPTS[name].partition(':')[2]}").cli
    assert isinstance(found, Command)
    return found


def context(this: Command) -> click.Context:
    """Return a context in which help is 80 columns wide, whatever the terminal is."""
    return this.make_context(str(this.name), [], resilient_parsing=True, terminal_width=80)


def further(name: str) -> list[Command]:
    """Return the commands that begin with the name of a script."""
    return [import_module(module).cli for module in WORDS.get(name, ())]


def help_page() -> str:
    """Return the page with the help of every command, and the table of methods."""
    parts = [
        "# Commands",
        "This page lists all options, as `--help` shows them. `python docs/make_manual.py` writes it.",
    ]
    for name in SCRIPTS:
        ctx = context(command(name))
        parts += [f"## {name}", f"```text\n{ctx.command.get_help(ctx).rstrip()}\n```"]
        if any("--methods" in p.opts for p in ctx.command.params):
            table = CliRunner().invoke(ctx.command, ["--methods"]).stdout
            parts += [f"### {name} --methods", f"```text\n{table.rstrip()}\n```"]
        for each in further(name):
            parts += [f"### {each.name}", f"```text\n{each.get_help(context(each)).rstrip()}\n```"]
    return "\n\n".join(parts) + "\n"


def man_page(name: str) -> str:
    """Return the man page of a command, in the macros of man(7)."""
    this = command(name)
    about, _, rest = this.intro.partition("\n\n")
    examples, _, usage = rest.partition("\n\nUsage: ")
    synopsis, arguments = re.split(r" {2,}", usage.strip(), maxsplit=1)
    lines = [
        f'.TH {name.upper()} 1 "" "upscale" "User commands"',
        ".SH NAME",
        f"{_text(name)} \\- {_text(about[0].lower() + about[1:].rstrip('.'))}",
    ]
    lines += [".SH SYNOPSIS", f".B {_text(synopsis.split()[0])}", _text(" ".join(synopsis.split()[1:]))]
    lines += [
        ".SH DESCRIPTION",
        _text(about),
        ".PP",
        _text(f"{arguments}."),
        ".PP",
        _text(this.outro),
        ".SH OPTIONS",
        "Defaults are shown in brackets.",
    ]
    lines += _options(this)
    if any("--methods" in p.opts for p in this.params):
        lines += [".SH METHODS"]
        for method in METHODS.values():
            factors = f" {_sentence(method.demands)}" if method.demands else ""
            lines += [
                ".TP",
                f".B {_text(method.name)}",
                _text(f"{_sentence(method.summary)} For {method.when}.{factors} Source: {method.source}."),
            ]
            for p in method.parameters:
                lines += [".RS", *_entry(p), ".RE"] if not p.common else []
        lines += [".PP", _text("Many methods have these parameters, as --methods NAME tells:")]
        for p in dict.fromkeys(p for method in METHODS.values() for p in method.parameters if p.common):
            lines += _entry(p)
    for each in further(name):
        about, _, rest = each.intro.partition("\n\nUsage: ")
        lines += [
            f".SH {str(each.name).upper()}",
            _text(about.partition("\n")[0]),
            ".PP",
            f".B {_text(rest.strip())}",
        ]
        lines += _options(each)
    lines += [".SH EXAMPLES", ".nf", *(_text(line[2:]) for line in examples.splitlines()), ".fi", ".SH EXIT STATUS"]
    for status, meaning in EXIT_STATUS.items():
        lines += [".TP", f".B {status}", _text(meaning)]
    others = [f".BR {_text(other)} (1)" for other in SCRIPTS if other != name]
    lines += [".SH SEE ALSO", *(f"{other}," for other in others[:-1]), others[-1]]
    return "\n".join(lines) + "\n"


def _options(this: Command) -> list[str]:
    """Describe the options of a command."""
    ctx, lines = context(this), list[str]()
    for param in this.get_params(ctx):
        if isinstance(param, click.Option) and (record := param.get_help_record(ctx)) is not None:
            lines += [".TP", f".B {_text(record[0])}", _text(record[1])]
    return lines


def _entry(p: Parameter) -> list[str]:
    """Describe a parameter: its option, what it does, its allowed values and its default."""
    domain = "" if p.file else f" Can be {p.domain}."
    default = "" if p.file or p.default in (None, REQUIRED) else f" Default: {shown(p.default)}."
    option = f"--{p.name} FILE" if p.file else f"-p {p.name}="
    return [".TP", f".B {_text(option)}", _text(f"{_sentence(p.summary)}{domain}{default}")]


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:].rstrip('.')}."


def _text(text: str) -> str:
    """Escape text so that roff prints it as it is."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{escaped}" if escaped.startswith((".", "'")) else escaped


def pages() -> dict[str, str]:
    """Return the text of every page, by its path in this folder."""
    return {"commands.md": help_page()} | {f"man/{name}.1": man_page(name) for name in SCRIPTS}


def main() -> None:
    """Write all pages into the folder given as an argument, or beside this script."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE
    for place, text in pages().items():
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_text(text, "utf-8")


if __name__ == "__main__":
    main()
