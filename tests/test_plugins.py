"""Methods, filters, formats and executors of another installed package: a real distribution, outside this one."""

import os
import pickle
import struct
import subprocess
import sys
from collections import namedtuple
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scripts import SCRIPTS

from upscale_cli import METHODS, UpscaleError, upscale
from upscale_cli.errors import UsageError
from upscale_cli.methods import find_method
from upscale_cli.plugins import Registry

MODULE = '''\
"""A package that brings a filter, a method, and a method with an array."""

import numpy as np

from upscale_cli import METHODS
from upscale_cli.methods.filters import Filter, NamedFilter
from upscale_cli.methods.method import Method
from upscale_cli.methods.parameters import REQUIRED, ArrayValue, Number, Parameter
from upscale_cli.methods.placement import Nearest


def box(width):
    return Filter(lambda x: np.sign(width / 2 - np.abs(x)) / 2 + 0.5, 1.0)


def make_copy(source, /, *, scale, size, samples, parameters):
    return Nearest(source, size)


def make_stamp(source, /, *, scale, size, samples, parameters):
    stamping = METHODS["transposed-conv"]
    settings = stamping.read_parameters({"kernel": parameters["stamp"]})
    return stamping.make(source, scale=scale, size=size, samples=samples, parameters=settings)


BOX = NamedFilter(
    name="outer-box",
    summary="averages what a pixel covers",
    when="tests of plug-ins",
    source="box filter",
    make=box,
    parameters=(Parameter(name="width", kind=Number(1, 2), default=1.0, summary="of the box"),),
)

COPY = Method(
    name="outer-copy",
    summary="repeats pixels",
    when="tests of plug-ins",
    source="nearest neighbour",
    make=make_copy,
    values="copied",
    resizable=True,
)

STAMP = Method(
    name="outer-stamp",
    summary="stamps an array",
    when="tests of plug-ins",
    source="transposed convolution",
    make=make_stamp,
    parameters=(Parameter(name="stamp", kind=ArrayValue("an array (kh, kw)"), default=REQUIRED, summary="weights."),),
    integer_scale=True,
    keeps_constants=False,
    interpolates=False,
    symmetric=False,
)
'''

ENTRY_POINTS = """\
[upscale_cli.filters]
outer-box = outer_methods:BOX

[upscale_cli.methods]
outer-copy = outer_methods:COPY
outer-stamp = outer_methods:STAMP
"""


FORMAT_MODULE = '''\
"""A package that brings a file format, GREY: four letters, width, height, and grey samples of 8 bits."""

import struct

import numpy as np

from upscale_cli.codecs.format import Format
from upscale_cli.codecs.formats import has
from upscale_cli.codecs.picture import Picture
from upscale_cli.image.pixels import Frame

HEADER = struct.Struct("<4sHH")


class GreyPicture(Picture):
    def __init__(self, stream, format, reading):
        super().__init__(stream, format, reading)
        _, self.width, self.height = HEADER.unpack(stream.read(HEADER.size))
        self.channels = self.itemsize = self.decoded = self.count = 1

    def decode(self):
        self.stream.seek(HEADER.size)
        samples = np.frombuffer(self.stream.read(), np.uint8)
        yield Frame(samples.reshape(self.height, self.width, 1), "L")


def open(stream, format, reading):
    return GreyPicture(stream, format, reading)


def write(stream, frames, how):
    frame = next(frames)
    stream.write(HEADER.pack(b"GREY", frame.shape[1], frame.shape[0]))
    for rows in frame.strips():
        stream.write(rows.data)


GREY = Format(
    name="outer-grey",
    title="Grey",
    codec="outer_format",
    sniff=has(b"GREY"),
    extensions=(".grey",),
    stores=frozenset({("L", "uint8")}),
    longest=65_535,
    strips="one",
)
'''

EXECUTOR_MODULE = '''\
"""A package that brings a kind of executor: threads that count their jobs in a file."""

import os
from concurrent.futures import ThreadPoolExecutor

from upscale_cli.batch.executors import ExecutorKind


class Counting(ThreadPoolExecutor):
    def __init__(self, jobs, address):
        assert address in ("", "somewhere")
        super().__init__(jobs)

    def submit(self, work, /, *arguments):
        with open(os.environ["OUTER_JOBS"], "a") as file:
            file.write("job\\n")
        return super().submit(work, *arguments)


THREADS = ExecutorKind(name="outer-threads", summary="threads that are counted", start=Counting)
'''

OTHER_ENTRY_POINTS = """\
[upscale_cli.formats]
outer-grey = outer_format:GREY

[upscale_cli.executors]
outer-threads = outer_executor:THREADS
"""


def distribution(folder: Path, name: str, entry_points: str, **modules: str) -> Path:
    """Write an installed distribution into a folder, as pip would."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", "utf-8")
    (info / "entry_points.txt").write_text(entry_points, "utf-8")
    for module, code in modules.items():
        (folder / f"{module}.py").write_text(code, "utf-8")
    return folder


@pytest.fixture
def outer(tmp_path: Path) -> Path:
    """The folder of a distribution with a filter and two methods."""
    return distribution(tmp_path / "outer", "outer-methods", ENTRY_POINTS, outer_methods=MODULE)


@pytest.fixture
def installed(outer: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """That distribution on this process's path, and `METHODS` as it was before in the end."""
    before = dict(METHODS)
    monkeypatch.syspath_prepend(str(outer))
    monkeypatch.setattr(METHODS, "_problems", None)
    yield
    METHODS.clear()
    METHODS.update(before)
    METHODS._loaded.clear()
    sys.modules.pop("outer_methods", None)


def command(folder: Path, *arguments: object, status: int = 0) -> subprocess.CompletedProcess[str]:
    """Run `upscale` where the distributions of a folder are installed."""
    line = [sys.executable, "-m", "upscale_cli", *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(folder)}
    run = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == status, run.stdout + run.stderr
    return run


# From Python.


@pytest.mark.usefixtures("installed")
def test_a_method_and_a_filter_of_another_package_are_found_by_name() -> None:
    source = np.arange(6).reshape(2, 3)
    assert "outer-copy" not in METHODS
    by_name: Any = "outer-copy"
    np.testing.assert_array_equal(upscale(source, 2, by_name), upscale(source, 2, "nearest"))
    np.testing.assert_array_equal(upscale(source, 3, METHODS["outer-box"]), upscale(source, 3, "nearest"))
    np.testing.assert_array_equal(
        upscale(source, 2, METHODS["outer-stamp"], stamp=[[1, 2], [3, 4]]),
        upscale(source, 2, "transposed-conv", kernel=[[1, 2], [3, 4]]),
    )
    assert list(METHODS)[-3:] == ["outer-copy", "outer-box", "outer-stamp"]
    assert METHODS["outer-box"] is METHODS.find("outer-box")


@pytest.mark.usefixtures("installed")
def test_parameters_of_another_packages_filter_are_checked() -> None:
    with pytest.raises(UsageError, match=r"outer-box: width=3 is not 1 to 2\."):
        upscale(np.eye(3), 2, METHODS["outer-box"], width=3)
    with pytest.raises(UsageError, match=r"outer-stamp needs stamp: weights\."):
        upscale(np.eye(3), 2, METHODS["outer-stamp"])


@pytest.mark.usefixtures("installed")
def test_methods_can_be_pickled() -> None:
    METHODS.load_plugins()
    assert {"outer-copy", "outer-box", "outer-stamp"} < METHODS.keys()
    for method in METHODS.values():
        again = pickle.loads(pickle.dumps(method))
        assert again == method
        assert again is not method
        given: dict[str, Any] = {p.name: {} if p.archive else 1 for p in method.parameters if p.file}
        assert again.read_parameters(given) == method.read_parameters(given)


@pytest.mark.usefixtures("installed")
def test_a_misspelt_name_is_compared_with_plug_ins_too() -> None:
    with pytest.raises(UsageError, match=r'Did you mean "outer-copy"\?$'):
        find_method("outer-cpoy")
    with pytest.raises(UsageError, match=r"Methods: .*, outer-box, outer-copy, outer-stamp\.$"):
        find_method("qqq")


CONTRACT = '''\
import numpy as np

from upscale_cli.methods import find_method
from upscale_cli.testing import MethodContract


class TestBox(MethodContract):
    method = find_method("outer-box")


class TestStamp(MethodContract):
    method = find_method("outer-stamp")

    def arrays(self, shape, scale):
        return {"stamp": np.array([[1.0, -2.0, 0.5], [0.25, 1.0, 2.0]])}


class TestLiar(MethodContract):
    """It says that it commutes with flips, and stamps to one side."""

    method = find_method("outer-stamp")._replace(symmetric=True)

    def arrays(self, shape, scale):
        return {"stamp": np.array([[1.0, -2.0, 0.5], [0.25, 1.0, 2.0]])}
'''


@pytest.mark.long
def test_the_contract_holds_methods_of_another_package(outer: Path) -> None:
    (outer / "test_outer.py").write_text(CONTRACT, "utf-8")
    line = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=no", "test_outer.py"]
    environment = os.environ | {"PYTHONPATH": str(outer)}
    run = subprocess.run(line, cwd=outer, env=environment, capture_output=True, text=True, timeout=300, check=False)
    failed = [text for text in run.stdout.splitlines() if text.startswith("FAILED")]
    assert failed, run.stdout + run.stderr
    assert all("TestLiar" in text for text in failed), run.stdout
    assert any("test_flips_and_transposition" in text for text in failed)
    assert any("test_it_describes_itself" in text for text in failed)


# From the command line.


@pytest.mark.long
def test_the_command_uses_and_lists_them(outer: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "in.npy", np.arange(12.0).reshape(3, 4))
    np.save(tmp_path / "k.npy", np.ones((2, 2)))
    table = command(outer, "--methods").stdout
    assert all(f"\n  {name} " in table for name in ("outer-box", "outer-copy", "outer-stamp"))
    assert "-p width=" in command(outer, "--methods", "outer-box").stdout
    assert "-p stamp=FILE" in command(outer, "--methods", "outer-stamp").stdout
    made = tmp_path / "out.npy"
    line = [tmp_path / "in.npy", "-o", made, "--overwrite"]
    command(outer, *line, "-m", "outer-copy")
    np.testing.assert_array_equal(np.load(made), upscale(np.arange(12.0).reshape(3, 4), 2, "nearest"))
    command(outer, *line, "-m", "outer-box", "-p", "width=1")
    assert np.load(made).shape == (6, 8)
    command(outer, *line, "-m", "outer-stamp", "-p", f"stamp={tmp_path / 'k.npy'}")
    np.testing.assert_array_equal(np.load(made), upscale(np.arange(12.0).reshape(3, 4), 2, "nearest"))
    several = [tmp_path / "in.npy", outer, "-o", tmp_path / "folder", "-m", "outer-copy", "-j", "2"]
    np.save(outer / "other.npy", np.ones((2, 2)))
    command(outer, *several)
    assert len(list((tmp_path / "folder").rglob("*.npy"))) == 2


def test_an_array_of_our_own_methods_may_be_given_with_p_too(tmp_path: Path) -> None:
    np.save(tmp_path / "in.npy", np.eye(3))
    np.save(tmp_path / "k.npy", np.ones((2, 2)))
    line = [tmp_path / "in.npy", "-m", "transposed-conv", "-o"]
    command(tmp_path, *line, tmp_path / "a.npy", "-p", f"kernel={tmp_path / 'k.npy'}")
    command(tmp_path, *line, tmp_path / "b.npy", "--kernel", tmp_path / "k.npy")
    assert (tmp_path / "a.npy").read_bytes() == (tmp_path / "b.npy").read_bytes()


@pytest.mark.parametrize("option", ["--help", pytest.param("--version", marks=pytest.mark.long)])
@pytest.mark.parametrize("script", SCRIPTS)
def test_start_up_does_not_look_for_plug_ins(script: str, option: str) -> None:
    module, _, function = SCRIPTS[script].partition(":")
    code = f"""
import os, sys
sys.argv = [{script!r}, {option!r}]
os._exit = sys.exit
from {module} import {function}
try:
    {function}()
except SystemExit:
    sys.stderr.write(str("importlib.metadata" in sys.modules))
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert run.stderr == "False"


@pytest.fixture
def formats(tmp_path: Path) -> Path:
    """The folder of a distribution with a format and a kind of executor."""
    modules = {"outer_format": FORMAT_MODULE, "outer_executor": EXECUTOR_MODULE}
    return distribution(tmp_path / "packages", "outer-formats", OTHER_ENTRY_POINTS, **modules)


def grey(samples: Any) -> bytes:
    """A file of the format of the other package."""
    height, width = samples.shape
    return b"GREY" + struct.pack("<HH", width, height) + bytes(samples.tobytes())


def test_a_format_of_another_package_is_read_and_written(formats: Path, tmp_path: Path) -> None:
    small = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20
    large = small.repeat(2, axis=0).repeat(2, axis=1)
    images = tmp_path / "images"
    (images / "below").mkdir(parents=True)
    (images / "a.grey").write_bytes(grey(small))
    (images / "below" / "b.png").write_bytes(grey(small))
    Image.fromarray(small).save(images / "c.png")
    (images / "d.txt").write_text("no image")
    # By its extension in a folder, and by its content whatever its extension is.
    command(formats, images, "-m", "nearest", "-o", tmp_path / "made")
    made = {str(path.relative_to(tmp_path / "made")) for path in (tmp_path / "made").rglob("*") if path.is_file()}
    assert made == {"a.grey", str(Path("below", "b.grey")), "c.png"}
    assert (tmp_path / "made" / "a.grey").read_bytes() == grey(large)
    assert (tmp_path / "made" / "below" / "b.grey").read_bytes() == grey(large)
    # With -f, by the name of the output, and to a format of ours.
    for name, options in (("f", ["-f", "outer-grey"]), ("g", ["-f", "grey"]), ("h.grey", [])):
        command(formats, images / "c.png", "-m", "nearest", *options, "-o", tmp_path / name)
        assert (tmp_path / name).read_bytes() == grey(large)
    command(formats, images / "a.grey", "-m", "nearest", "-o", tmp_path / "i.png")
    with Image.open(tmp_path / "i.png") as image:
        np.testing.assert_array_equal(np.asarray(image), large)


@pytest.mark.long
def test_what_a_format_of_another_package_cannot_store_is_said(formats: Path, tmp_path: Path) -> None:
    Image.new("LA", (3, 2), (200, 100)).save(tmp_path / "a.png")
    Image.new("F", (3, 2)).save(tmp_path / "b.tiff")
    line = ["-f", "outer-grey", "-o", tmp_path / "out.grey", "--overwrite"]
    run = command(formats, tmp_path / "a.png", *line)
    assert run.stderr == f"{tmp_path / 'a.png'}: Grey: transparency goes onto white.\n"
    run = command(formats, tmp_path / "b.tiff", *line, status=1)
    assert f"{tmp_path / 'b.tiff'}: Grey cannot store float32 pixels; only " in run.stderr
    run = command(formats, tmp_path / "a.png", "-s", 30_000, "--max-pixels", 10**12, *line, status=1)
    assert "Grey allows 65,535 per side" in run.stderr


@pytest.mark.long
def test_a_damaged_file_of_another_packages_format_is_one_line(formats: Path, tmp_path: Path) -> None:
    for name, data in (("header", b"GREY\1"), ("samples", grey(np.zeros((3, 4), np.uint8))[:-1]), ("none", b"hello")):
        (tmp_path / f"{name}.grey").write_bytes(data)
        run = command(formats, tmp_path / f"{name}.grey", status=1)
        assert run.stderr.count("\n") == 1
        words = "is not an image of a known format" if name == "none" else "cannot be decoded: "
        assert run.stderr.startswith(f"{tmp_path / name}.grey: {words}")


@pytest.mark.long
@pytest.mark.parametrize("name", ["outer-threads", "processes"])
def test_an_executor_carries_out_jobs_of_another_packages_format(
    name: str, formats: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OUTER_JOBS", str(tmp_path / "jobs"))
    (tmp_path / "in").mkdir()
    for i in range(3):
        (tmp_path / "in" / f"{i}.grey").write_bytes(grey(np.full((2, 3), i, np.uint8)))
    command(formats, tmp_path / "in", "-m", "nearest", "-o", tmp_path / "out", "--executor", name)
    for i in range(3):
        assert (tmp_path / "out" / f"{i}.grey").read_bytes() == grey(np.full((4, 6), i, np.uint8))
    counted = (tmp_path / "jobs").read_text("utf-8") if name == "outer-threads" else ""
    assert counted == ("job\n" * 3 if name == "outer-threads" else "")


@pytest.mark.long
def test_a_misspelt_format_or_executor_is_an_error(formats: Path, tmp_path: Path) -> None:
    Image.new("L", (3, 2)).save(tmp_path / "a.png")
    for option, what in (("-f", "format"), ("--executor", "executor")):
        run = command(formats, tmp_path / "a.png", option, "outer-nothing", "-o", tmp_path / "out.png", status=2)
        assert f'unknown {what} "outer-nothing".' in run.stderr
        assert run.stderr.count("\n") == 1
    run = command(formats, tmp_path / "a.png", "--executor", "outer-thread", "-o", tmp_path / "out.png", status=2)
    assert 'Did you mean "outer-threads"? Executors: threads, processes, dask, outer-threads.' in run.stderr
    assert not (tmp_path / "out.png").exists()


# What goes wrong in another package.


def broken(folder: Path) -> Path:
    """Write distributions that are broken in several ways, and one that is sound."""
    distribution(folder, "outer-methods", ENTRY_POINTS, outer_methods=MODULE)
    rows = ("torn = torn_module:TORN", "number = other_module:NUMBER", "misnamed = outer_methods:COPY")
    points = "\n".join(["[upscale_cli.methods]", *rows])
    distribution(
        folder, "torn-package", points, torn_module="import nonsense_that_is_missing", other_module="NUMBER = 3"
    )
    return distribution(folder, "rival", "[upscale_cli.methods]\nlanczos = outer_methods:COPY\n")


@pytest.mark.long
def test_a_broken_plug_in_breaks_no_other_name(tmp_path: Path) -> None:
    folder = broken(tmp_path / "packages")
    np.save(tmp_path / "in.npy", np.eye(3))
    line = [tmp_path / "in.npy", "-o", tmp_path / "out.npy", "--overwrite", "-m"]
    command(folder, *line, "lanczos")
    command(folder, *line, "outer-copy")
    for name, words in (
        ("torn", "cannot be loaded: ModuleNotFoundError: No module named 'nonsense_that_is_missing'"),
        ("number", "is not a Method of that name"),
        ("misnamed", "is not a Method of that name"),
    ):
        said = command(folder, *line, name, status=2).stderr
        assert f'plug-in "{name}" of the package torn-package {words}' in said
        assert "Traceback" not in said


def test_a_listing_skips_broken_plug_ins_and_says_so(tmp_path: Path) -> None:
    run = command(broken(tmp_path), "--methods")
    assert "outer-copy " in run.stdout
    heads = [line.split()[0] for line in run.stdout.splitlines() if line.startswith("  ")]
    assert sorted(heads) == sorted([*METHODS, "outer-box", "outer-copy", "outer-stamp"])
    names = ["lanczos", "misnamed", "number", "torn"]
    assert [line.split('"')[1] for line in run.stderr.splitlines()] == names


Row = namedtuple("Row", "name value")
OURS = Row("ours", 1)
THEIRS = Row("theirs", 2)
"""What the entry points below name."""


def points(monkeypatch: pytest.MonkeyPatch, *found: tuple[str, str]) -> None:
    """Make entry points of the group `tests.rows`: the name and the object of each, in a package of its own."""
    made = []
    for number, (name, value) in enumerate(found):
        point = metadata.EntryPoint(name, value, "tests.rows")
        package = type("Package", (), {"name": f"package-{number}"})()
        made.append(point._for(package))  # type: ignore[attr-defined]
    monkeypatch.setattr(metadata, "entry_points", lambda group: [p for p in made if p.group == group])


def test_a_name_that_is_taken_is_refused_and_the_table_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = Registry("tests.rows", [OURS])
    named = [("ours", "OURS"), ("theirs", "THEIRS"), ("other", "OURS")]
    points(monkeypatch, *((name, f"{__name__}:{row}") for name, row in named))
    assert rows["ours"] is OURS
    for _ in range(2):
        misnamed, refused = rows.load_plugins()
        assert list(rows.items()) == [("ours", OURS), ("theirs", THEIRS)]
        assert 'plug-in "other" of the package package-2 is not a row of that name' in misnamed
        assert 'plug-in "ours" of the package package-0 has a name that is taken' in refused


def test_a_name_that_two_packages_provide_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = Registry("tests.rows", [OURS])
    points(monkeypatch, ("theirs", f"{__name__}:THEIRS"), ("theirs", f"{__name__}:THEIRS"))
    refused = 'plug-in "theirs" of the package package-0 and the package package-1 has a name that is taken'
    for _ in range(2):
        with pytest.raises(UpscaleError, match=refused):
            rows.find("theirs")
        assert list(rows) == ["ours"]
    assert len(rows.load_plugins()) == 1


def test_plug_ins_are_looked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = Registry("tests.rows", [OURS])
    points(monkeypatch, ("theirs", f"{__name__}:THEIRS"), ("ours", f"{__name__}:OURS"))
    problems = rows.load_plugins()
    assert len(problems) == 1
    monkeypatch.setattr(metadata, "entry_points", lambda group: pytest.fail("looked for again"))
    assert rows.load_plugins() == problems
    assert list(rows) == ["ours", "theirs"]


def test_a_name_that_nobody_provides_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    rows: Registry[Any] = Registry("tests.rows", [OURS])
    points(monkeypatch)
    assert rows.find("nobody") is None
    assert rows.get("nobody") is None
    with pytest.raises(KeyError, match="nobody"):
        rows["nobody"]
