"""What SECURITY.md says of limits and formats is what the code does."""

import hashlib
import importlib
import re
from pathlib import Path

import upscale_cli
from upscale_cli.codecs import npy, picture
from upscale_cli.codecs.formats import FORMATS
from upscale_cli.commands.upscale import cli
from upscale_cli.methods import network
from upscale_cli.work import estimate, parameter_files

TEXT = (Path(__file__).parents[1] / "SECURITY.md").read_text("utf-8")
ROWS = {name: int(number.replace(",", "")) for number, name in re.findall(r"\| ([\d,]+) \| `([\w.]+)` \|", TEXT)}
LIMIT = re.compile("(MAX|MOST|LARGEST|LONGEST|MANY|ENTRIES)")


def test_the_limits_are_those_of_the_code() -> None:
    assert len(ROWS) == TEXT.partition("## What is shipped")[0].count("| `")
    for name, said in ROWS.items():
        module, _, constant = name.rpartition(".")
        assert getattr(importlib.import_module(f"upscale_cli.{module}"), constant) == said, name


def test_no_limit_is_left_out() -> None:
    for module in (picture, npy, estimate, parameter_files, network):
        short = module.__name__.removeprefix("upscale_cli.")
        own = {f"{short}.{name}" for name in vars(module) if LIMIT.match(name)}
        assert own - ROWS.keys() <= {"codecs.npy.LARGEST", "codecs.picture.MANY", "work.parameter_files.MAX_NAMES"}, (
            short
        )


def test_the_weights_are_those_that_are_told() -> None:
    folder = Path(upscale_cli.__file__).parent / "methods/kernels"
    there = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob("*.np[yz]")}
    assert dict(re.findall(r"\| ([\w-]+\.np[yz]) \| `(\w{64})` \|", TEXT)) == there


def test_the_options_raise_the_limits_that_are_named() -> None:
    limits = {"--max-pixels": "work.estimate.MAX_PIXELS", "--max-source-pixels": "codecs.picture.MAX_SOURCE_PIXELS"}
    for name, limit in limits.items():
        option = next(p for p in cli.params if name in p.opts)
        assert option.default == ROWS[limit]
        assert f"`{name}` raises it" in TEXT


def test_the_formats_are_those_that_are_parsed() -> None:
    said = re.search(r"only these formats are parsed, by their content: (.+?)\.\n", TEXT, re.DOTALL)
    assert said is not None
    assert re.split(r",\s+", said[1]) == list(FORMATS)
