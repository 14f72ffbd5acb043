"""Completion: every candidate, through Click's protocol; and keystrokes in bash, zsh and fish, where installed."""

import os
import select
import shutil
import subprocess
import time
from pathlib import Path

import click
import numpy as np
import pytest
from breaking import open_terminal
from click.shell_completion import get_completion_class
from scripts import SCRIPTS, command, with_scripts

from upscale_cli import METHODS
from upscale_cli.codecs.formats import FORMATS
from upscale_cli.commands import completion

completion.install()
CHOICES = {(row.name, p.name): p.words for row in METHODS.values() for p in row.parameters if p.words}
ONE_OF_EACH = list({(name, words): (method, name) for (method, name), words in CHOICES.items()}.values())
"""A method for each parameter of its words: the same ones belong to many filters."""


def offered(line: str, monkeypatch: pytest.MonkeyPatch, cuts: str = "=:") -> list[str]:
    """Return the candidates at the end of a line that bash has split into words."""
    for sign in cuts:
        line = line.replace(sign, f" {sign} ")
    words = line.split(" ") if not cuts else [word for word in line.split(" ") if word] + [""] * line.endswith("  ")
    if line.endswith(" ") and words[-1]:
        words += [] if words[-1] in cuts else [""]
    monkeypatch.setenv("COMP_WORDS", "\n".join(words))
    monkeypatch.setenv("COMP_CWORD", str(len(words) - 1))
    kind = get_completion_class("bash")
    said = kind(command(words[0]), {}, words[0], "").complete()
    return [each.partition(",")[2] if each.startswith("plain,") else each for each in said.splitlines()]


def options(name: str) -> list[str]:
    """Every option of a command, by its long name."""
    return [max(p.opts, key=len) for p in command(name).params if isinstance(p, click.Option)]


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_option_of_every_command(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert sorted(offered(f"{name} --", monkeypatch)) == sorted(options(name))
    for option in options(name):
        assert option in offered(f"{name} {option[:-1]}", monkeypatch)


def test_every_method(monkeypatch: pytest.MonkeyPatch) -> None:
    for line in ("upscale -m ", "upscale --method=", "upscale-evaluate -m "):
        assert offered(line, monkeypatch) == list(METHODS)
    assert offered("upscale -m le", monkeypatch) == ["learned"]


@pytest.mark.parametrize("method", METHODS)
def test_every_parameter(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    own = [f"{p.name}=" for p in METHODS[method].parameters if not p.file]
    assert offered(f"upscale -m {method} -p ", monkeypatch) == own
    all_of_them = [f"{p.name}=" for p in METHODS[method].parameters]
    assert offered(f"upscale-evaluate -m {method}:", monkeypatch) == all_of_them
    for p in METHODS[method].parameters:
        assert p.file or f"{p.name}=" in offered(f"upscale -m {method} -p {p.name[:-1]}", monkeypatch)
        assert not p.file or f"--{p.name}" in offered(f"upscale --{p.name}", monkeypatch)


@pytest.mark.parametrize(("method", "name"), ONE_OF_EACH)
def test_every_choice(method: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    words = list(CHOICES[method, name])
    assert offered(f"upscale -m {method} -p {name}=", monkeypatch) == words
    for word in words:
        begun = [each for each in words if each.startswith(word)]
        assert offered(f"upscale -m {method} -p {name}={word}", monkeypatch) == begun
        whole = offered(f"upscale -m {method} -p {name}={word}", monkeypatch, cuts="")
        assert whole == [f"{name}={each}" for each in begun]
        assert offered(f"upscale-evaluate -m {method}:{name}={word}", monkeypatch) == begun


def test_the_choices_are_those_that_are_known() -> None:
    assert CHOICES["transposed-conv", "edge"] == ("repeat", "zero")
    assert CHOICES["lanczos", "a"] == ("2", "3", "4", "5", "6", "7", "8")
    assert {name for _, name in CHOICES} == {
        *("position", "a", "padding", "edge", "size", "window", "grid", "rounding", "order", "restore"),
        *("content", "ensemble"),
    }


def test_formats_files_and_the_second_of_several_parameters(monkeypatch: pytest.MonkeyPatch) -> None:
    assert offered("upscale -f ", monkeypatch) == [row.name for row in FORMATS.values() if row.writable]
    assert offered("upscale -f jp", monkeypatch) == ["jpeg", "jpeg2000"]
    for line in ("upscale ph", "upscale --kernel ph", "upscale -o ph", "upscale-fit ph"):
        assert offered(line, monkeypatch) == ["file,ph"]
    assert offered("upscale-evaluate -m bicubic:b=0,c", monkeypatch) == ["0,c="]


# With keys, in shells.

SET_UP = {
    "bash": ("bash --norc --noprofile -i", "PS1='$ '"),
    "zsh": ("zsh -f -i", "PS1='$ '; unsetopt PROMPT_SP; autoload -U compinit; compinit -u -D"),
}
LINES = [
    ("upscale -m tra\t-p ed\tr\t-f np\t", "upscale -m transposed-conv -p edge=repeat -f npy"),
    ("upscale --meth\t=bili\t", "upscale --method=bilinear"),
    ("upscale --ker\tmi\t", "upscale --kernel mine.npy"),
    ("upscale-evaluate -m learned:si\tl\t", "upscale-evaluate -m learned:size=large"),
]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """One with the commands, of a folder with a kernel."""
    np.save(tmp_path / "mine.npy", np.ones((2, 2)))
    return with_scripts(tmp_path / "bin") | {"TERM": "dumb"}


def script(shell: str, name: str) -> str:
    """The command that prints the completion of a command."""
    return f"_{name.upper().replace('-', '_')}_COMPLETE={shell}_source {name}"


def typed(shell: str, keys: str, folder: Path, environment: dict[str, str]) -> str:
    """Type keys at a shell in a terminal, and return the line that they (and completion, on a tab) produced."""
    start, set_up = SET_UP[shell]
    load = f'eval "$({script(shell, keys.split(maxsplit=1)[0])})"'
    main, terminal = open_terminal()
    process = subprocess.Popen(
        start.split(),
        cwd=folder,
        env=environment,
        start_new_session=True,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
    )
    os.close(terminal)
    seen, end = b"", time.monotonic() + 60

    def until(mark: bytes) -> None:
        nonlocal seen
        while mark not in seen:
            assert select.select([main], [], [], end - time.monotonic())[0], seen
            seen += os.read(main, 1 << 16)

    try:
        # The marks are not in what is typed, only in what is printed.
        os.write(main, f"{set_up}; {load}; echo rea''dy\n".encode())
        until(b"ready\r\n")
        os.write(main, keys.encode() + b"\x01echo '<'-\x05 -'>'\n")
        until(b"->\r\n")
    finally:
        process.kill()
        process.wait()
        os.close(main)
    return seen.decode().rpartition("<-")[2].partition("->")[0].strip()


@pytest.mark.parametrize(
    ("shell", "keys", "line"),
    [
        # Each shell starts the command for every tab: two lines are typed in every run, by turns.
        pytest.param(shell, *each, marks=[pytest.mark.long] * (number not in (shell == "zsh", 3)))
        for shell in SET_UP
        for number, each in enumerate(LINES)
    ],
)
def test_keys(shell: str, keys: str, line: str, tmp_path: Path, environment: dict[str, str]) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    assert typed(shell, keys, tmp_path, environment) == line


@pytest.mark.long
@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("upscale -m bil", ["bilinear\tblends the 2 x 2 nearest pixels"]),
        ("upscale --method=bil", ["--method=bilinear\tblends the 2 x 2 nearest pixels"]),
        (
            "upscale -m transposed-conv -p padding=same-u",
            ["padding=same-upper\tsame, same-upper, same-lower: exactly the scale; a number: cropped on each side"],
        ),
        (
            "upscale -m transposed-conv -p dil",
            ["dilation=\tspacing between kernel elements (an integer of at least 1, or two as 3x2)"],
        ),
        ("upscale --kernel mi", ["mine.npy"]),
    ],
)
def test_fish(line: str, words: list[str], tmp_path: Path, environment: dict[str, str]) -> None:
    if shutil.which("fish") is None:
        pytest.skip("fish is not installed")
    code = f"{script('fish', 'upscale')} | source; complete -C '{line}'"
    done = subprocess.run(
        ["fish", "--no-config", "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.splitlines() == words
