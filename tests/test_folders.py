"""Folders as people have them: what is left out, what is left alone, and the names of results."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from breaking import POOL, needs_posix
from click.testing import CliRunner, Result
from PIL import Image

from upscale_cli.codecs import format
from upscale_cli.commands.compare import cli as compare_cli
from upscale_cli.commands.evaluate import cli as evaluate_cli
from upscale_cli.commands.pool import cli as pool_cli
from upscale_cli.commands.upscale import cli
from upscale_cli.places.files import FileSource

APPLE_DOUBLE = bytes.fromhex("00051607 00020000") + bytes(16) + bytes(58)
"""What macOS writes beside `x.png` as `._x.png`: the magic number, the version, a filler, and entries (RFC 1740)."""
SYSTEMS_OWN = (
    "._x.png",
    ".hidden.png",
    ".Trash-1000/files/x.png",
    ".thumbnails/large/x.png",
    ".git/x.png",
    "@eaDir/x.png/SYNOPHOTO_THUMB_XL.jpg",
    "__MACOSX/x.png",
    "#recycle/x.png",
    "$RECYCLE.BIN/x.png",
    "$Recycle.Bin/x.png",
    "System Volume Information/x.png",
    "lost+found/x.png",
    "Thumbs.db",
    "desktop.ini",
    ".DS_Store",
)


def call(*arguments: object, status: int = 0, command: object = cli) -> Result:
    """A command in this process."""
    result = CliRunner().invoke(command, [str(a) for a in arguments])  # type: ignore[arg-type]
    assert result.exit_code == status, f"{result.output}\n{result.exception!r}"
    return result


def made(folder: Path) -> list[str]:
    """The files below a folder, by their paths in it."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def dot(path: Path) -> Path:
    """A small picture in a file of any name, always PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as stream:
        Image.new("L", (2, 2), 77).save(stream, "PNG")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One picture among everything that systems put beside it."""
    source = dot(tmp_path / "in" / "x.png")
    for name in SYSTEMS_OWN:
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(APPLE_DOUBLE if "._" in name else source.read_bytes())
    return tmp_path / "in"


@pytest.mark.parametrize("command", [cli, pool_cli])
def test_what_is_hidden_or_a_systems_own_is_left_out(folder: Path, tmp_path: Path, command: object) -> None:
    assert call(folder, "-o", tmp_path / "out", command=command).stderr == ""
    assert [name for name in made(tmp_path / "out") if name.endswith(".png")] == ["x.png"]


def test_what_is_named_is_tried(folder: Path, tmp_path: Path) -> None:
    call(folder / ".hidden.png", "-o", f"{tmp_path}/one/")
    call(folder / ".thumbnails", folder / "@eaDir", "-o", tmp_path / "two")
    assert made(tmp_path / "one") == [".hidden.png"]
    assert made(tmp_path / "two") == ["large/x.png", "x.png/SYNOPHOTO_THUMB_XL.png"]
    said = call(folder / "._x.png", status=1).stderr
    assert "._x.png: is an AppleDouble file, in which macOS keeps" in said
    assert call(folder / "Thumbs.db", "-o", f"{tmp_path}/three/").stderr == ""


@pytest.fixture
def without_extras(monkeypatch: pytest.MonkeyPatch) -> None:
    """No library of an extra is installed."""
    monkeypatch.setattr(format, "find_spec", lambda name: None)


@pytest.mark.usefixtures("without_extras")
def test_a_folder_without_images_is_an_error_that_counts_what_is_there(tmp_path: Path) -> None:
    for name in ("a.heic", "b.HEIC", "below/c.heic", "notes.txt", "README", ".hidden.txt", "Thumbs.db"):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    (tmp_path / "empty").mkdir()
    others = "3 .heic, 1 .txt, 1 without extension left alone; pip install 'upscale-cli[heif]' reads more"
    why = f"has no image of a known format: {others}."
    for quiet in ([], ["-q"], ["-n"]):
        assert call(tmp_path / "in", *quiet, status=1).stderr == f"{tmp_path / 'in'}: {why}\n"
    result = call(tmp_path / "in", "--json", status=1)
    assert json.loads(result.stdout) == {"source": str(tmp_path / "in"), "error": why}
    assert call(tmp_path / "empty", status=1).stderr.endswith("has no image of a known format.\n")
    # Others are enlarged nevertheless.
    dot(tmp_path / "good" / "x.png")
    said = call(tmp_path / "empty", tmp_path / "good", "-o", tmp_path / "out", status=1).stderr
    assert "1 image enlarged, 1 failed" in said
    assert call(tmp_path / "in", "-m", "nearest", status=2, command=evaluate_cli).stderr.splitlines()[0].endswith(why)


@pytest.mark.usefixtures("without_extras")
def test_the_closing_sentence_says_what_was_left_alone(tmp_path: Path) -> None:
    for number, kind in enumerate(("heic", "HEIC", "txt", "mov", "cdr", "svg", "xmp", "pdf")):
        (tmp_path / f"{number}.{kind}").write_bytes(b"")
    dot(tmp_path / "x.png")
    said = "2 .heic, 1 .cdr, 1 .mov, 1 .pdf, 1 .svg and 2 others left alone.\n"
    assert call(tmp_path, "-o", tmp_path / "out", "-n").stderr.endswith(said)
    result = call(tmp_path, "-o", tmp_path / "out", "--json")
    assert result.stderr.startswith("1 image enlarged, in ")
    assert result.stderr.endswith(f"; {said}")
    assert len(result.stdout.splitlines()) == 1
    assert call(tmp_path, "-o", tmp_path / "out", "-q", "--overwrite").stderr == ""
    assert call(tmp_path, "-o", tmp_path / "out", command=pool_cli, status=1).stderr.endswith(f"; {said}")


def test_indices_beside_images_are_read_and_not_left_alone(tmp_path: Path) -> None:
    dot(tmp_path / "in" / "x.png")
    call(tmp_path / "in", "-o", tmp_path / "pooled", command=pool_cli)
    assert call(tmp_path / "pooled", "-m", "max-unpooling", "-o", tmp_path / "back").stderr == ""
    assert call(tmp_path / "pooled", "-m", "nearest", "-o", tmp_path / "other").stderr.endswith(
        "; 1 .npz left alone.\n"
    )


@needs_posix
def test_links_and_odd_names(tmp_path: Path) -> None:
    dot(tmp_path / "in" / "new\nline.png")
    dot(tmp_path / "in" / b"not-\xff-text.png".decode("utf-8", "surrogateescape"))
    (tmp_path / "in" / "odd.he\x1bic").write_bytes(b"")
    (tmp_path / "in" / "loop").symlink_to(".")
    (tmp_path / "in" / "up").symlink_to("..")
    result = call(tmp_path / "in", "-o", tmp_path / "out")
    assert result.stderr.startswith("2 images enlarged, in ")
    assert result.stderr.endswith("; 2 linked folders, 1 without extension left alone.\n")
    assert len(made(tmp_path / "out")) == 2


# Names --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("shot.0001", "shot.0001"),
        ("scan.2024.10.png", "scan.2024.10"),
        ("scan.2024.10", "scan.2024.10"),
        ("St. Anna", "St. Anna"),
        ("photo.heic", "photo"),
        ("photo.jpg", "photo"),
        ("plain", "plain"),
    ],
)
def test_numbers_stay_in_names(tmp_path: Path, name: str, stem: str) -> None:
    source = dot(tmp_path / "in" / name)
    call(source)
    call(source, "-o", f"{tmp_path}/out/")
    assert made(tmp_path / "in") == sorted([name, f"{stem}_2x.png"])
    assert made(tmp_path / "out") == [f"{stem}.png"]
    call(source, command=pool_cli)
    call(tmp_path / "in" / f"{stem}_pooled.png", "-m", "max-unpooling")
    pooled = [f"{stem}_pooled.indices.npz", f"{stem}_pooled.png", f"{stem}_pooled_2x.png"]
    assert made(tmp_path / "in") == sorted([name, f"{stem}_2x.png", *pooled])


def test_an_output_keeps_its_number_and_so_do_its_indices(tmp_path: Path) -> None:
    for number in ("0001", "0002"):
        dot(tmp_path / f"shot.{number}")
        call(tmp_path / f"shot.{number}", "-o", tmp_path / "out" / f"shot.{number}", "-f", "png")
        pooled = tmp_path / "pooled" / f"shot.{number}"
        call(tmp_path / f"shot.{number}", "-o", pooled, command=pool_cli)
        call(pooled, "-m", "max-unpooling", "-o", tmp_path / "back" / f"shot.{number}")
    assert made(tmp_path / "out") == made(tmp_path / "back") == ["shot.0001", "shot.0002"]
    assert made(tmp_path / "pooled") == ["shot.0001", "shot.0001.indices.npz", "shot.0002", "shot.0002.indices.npz"]
    assert (
        '".xyz" is not the extension of a known format'
        in call(tmp_path / "shot.0001", "-o", tmp_path / "a.xyz", status=2).stderr
    )


def test_a_remembered_size_is_named_as_it_is(tmp_path: Path) -> None:
    for name, sides in (("odd", (7, 9)), ("even", (6, 9))):
        Image.fromarray(np.random.default_rng(0).integers(0, 256, sides, np.uint8)).save(tmp_path / f"{name}.png")
        call(tmp_path / f"{name}.png", "-s", 3, "-o", tmp_path / "in" / f"{name}.png", command=pool_cli)
        call(tmp_path / "in" / f"{name}.png", "-m", "max-unpooling")
    said = call(tmp_path / "in" / "odd.png", "-m", "max-unpooling", "-v", "--overwrite").stderr
    assert "3x2 → " in said
    assert "3x3.5 times, as the indices file says" in said
    assert {"odd_9x7.png", "even_3x.png"} < set(made(tmp_path / "in"))
    # The name of their folder is one for all.
    for path in (tmp_path / "in").glob("*_*"):
        path.unlink()
    call(tmp_path / "in", "-m", "max-unpooling")
    call(tmp_path / "in", "--size", "40", "-q")
    assert made(tmp_path / "in_40") == ["even.png", "odd.png"]


def test_pooling_is_a_command_of_its_own_with_the_same_rules(folder: Path) -> None:
    done = subprocess.run([*POOL, ".", "-n"], cwd=folder, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.count("\n")) == (0, 1)


def test_folders_without_a_name_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The root, and the current one."""
    beside = FileSource(Path("/below/a.png"), Path("/")).default_target("2x", ".png")
    assert beside.path == Path("/_2x/below/a.png")
    monkeypatch.chdir(tmp_path)
    said = "upscale-compare: .: cannot be read: Is a directory.\n"
    assert call(".", status=1, command=compare_cli).stderr == said
