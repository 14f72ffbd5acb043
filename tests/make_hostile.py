"""Write arrays that mean harm, and some that are merely unusual: `python tests/make_hostile.py FOLDER`.

The files of `refused/` must be refused, those of `accepted/` enlarged.
"""

import argparse
import io
import json
import os
import pickle
import struct
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

MAGIC = b"\x93NUMPY"


def saved(array: Any) -> bytes:
    """The `.npy` of an array, pickled where NumPy pickles."""
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def told(shape: Any, descr: Any, data: bytes = b"", fortran: Any = False) -> bytes:
    """Return a `.npy` file whose header claims anything."""
    return worded(repr({"descr": descr, "fortran_order": fortran, "shape": shape}), data)


def worded(
    header: str | bytes, data: bytes = b"", version: tuple[int, int] = (1, 0), length: int | None = None
) -> bytes:
    """Return a `.npy` file with any text as its header, and any stated header length."""
    text = header.encode("latin-1") if isinstance(header, str) else header
    packed = struct.pack("<H" if version[0] == 1 else "<I", len(text) if length is None else length)
    return MAGIC + bytes(version) + packed + text + data


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED, twice: bool = False) -> bytes:
    """Return a `.npz` with some files, or with each file twice."""
    stream = io.BytesIO()
    with warnings.catch_warnings(action="ignore"), zipfile.ZipFile(stream, "w", method) as archive:
        for name, data in [*members.items()] * (1 + twice):
            archive.writestr(name, data)
    return stream.getvalue()


def poked(data: bytes, directory: int, local: int, value: int) -> bytes:
    """Return an archive with one byte changed in both headers of its last entry: local and in the directory."""
    changed = bytearray(data)
    changed[changed.rindex(b"PK\1\2") + directory] = changed[changed.rindex(b"PK\3\4") + local] = value
    return bytes(changed)


class Trap:
    """What runs a program when it is unpickled."""

    def __reduce__(self) -> Any:
        return os.system, ("touch trapped",)


def arrays() -> dict[str, bytes]:
    """Images that mean harm, by name."""
    whole = saved(np.zeros((4, 4)))
    files = {
        "objects": saved(np.array([{}, []], object)),
        "pickled-trap": told((1,), "|O", pickle.dumps(Trap())),
        "bare-pickle": pickle.dumps(Trap()),
        "text": saved(np.array(["a", "b"])),
        "bytes": saved(np.array([b"a", b"b"])),
        "void": saved(np.zeros((2, 2), "V8")),
        "structures": saved(np.zeros((2, 2), [("a", "u1"), ("b", "f4")])),
        "nested-structures": saved(np.zeros((2, 2), [("a", [("b", "u1"), ("c", "O")])])),
        "subarrays": told((2,), [("a", "<f4", (2**31, 2**31))], bytes(64)),
        "complex": saved(np.zeros((2, 2), complex)),
        "dates": saved(np.zeros((2, 2), "M8[s]")),
        "times": saved(np.zeros((2, 2), "m8[s]")),
        "long-floats": saved(np.zeros((2, 2), np.longdouble)),
        "no-dimension": saved(np.float32(3)),
        "six-dimensions": saved(np.zeros((1,) * 6)),
        "sixty-five-dimensions": told((1,) * 65, "<f8", bytes(8)),
        "nothing": saved(np.zeros((0, 4))),
        "no-channel": saved(np.zeros((4, 4, 0))),
        "claims-8-terabytes": told((1000, 1000, 10**6), "<f8", bytes(64)),
        "claims-2-to-the-80": told((2**40, 2**40), "<f8", bytes(64)),
        "claims-2-to-the-64": told((2**32, 2**32), "|u1", bytes(64)),
        "claims-2-to-the-64-and-16": told((2**60 + 1, 16), "|u1", bytes(16)),
        "claims-10-to-the-300": told((10**300, 1), "|u1", bytes(64)),
        "claims-10-to-the-6000": told((int("9" * 3000),) * 2, "|u1", bytes(64)),
        "claims-minus-10-to-the-6000": told((-int("9" * 3000), int("9" * 3000)), "|u1", bytes(64)),
        "negative": told((-4, -4), "<f8", bytes(128)),
        "one-negative": told((-1, 16), "<f8", bytes(128)),
        "fractions": told((4.0, 4.0), "<f8", bytes(128)),
        "no-tuple": told([4, 4], "<f8", bytes(128)),
        "a-truth-for-a-side": told((True, 4), "|u1", bytes(4)),
        "truths-for-sides": told((True, True), "|u1", bytes(1)),
        "words-for-sides": told(("4", "4"), "<f8", bytes(128)),
        "no-shape": told(None, "<f8", bytes(128)),
        "truncated": whole[:-1],
        "half": whole[: len(whole) // 2],
        "header-alone": whole[:128],
        "half-a-header": whole[:40],
        "more-behind": whole + b"x",
        "twice": whole * 2,
        "magic-alone": MAGIC,
        "magic-and-version": MAGIC + b"\1\0",
        "version-0": MAGIC + b"\0\0" + bytes(100),
        "version-9": MAGIC + b"\x09\0" + bytes(100),
        "version-3": worded("{'descr': '<f8', 'fortran_order': False, 'shape': (4, 4), }", bytes(128), (3, 0)),
        "empty-header": worded("", bytes(128)),
        "zeros-for-a-header": worded(bytes(100), bytes(128)),
        "no-literal": worded("__import__('os').system('touch trapped')", bytes(128)),
        "a-call": worded("dict(descr='<f8', fortran_order=False, shape=(4, 4))", bytes(128)),
        "a-list": worded("['<f8', False, (4, 4)]", bytes(128)),
        "too-few-keys": worded("{'descr': '<f8', 'shape': (4, 4)}", bytes(128)),
        "too-many-keys": worded("{'descr': '<f8', 'fortran_order': False, 'shape': (4, 4), 'x': 1}", bytes(128)),
        "no-such-type": told((4, 4), "<q99", bytes(128)),
        "a-type-that-is-a-number": told((4, 4), 7, bytes(128)),
        "a-type-that-is-nothing": told((4, 4), None, bytes(128)),
        "an-enormous-type": told((1, 1), "|V2147483647", bytes(128)),
        "six-hundred-fields": told((1,), [(f"a{i}", "u1") for i in range(600)], bytes(600)),
        "four-hundred-dimensions": told((1,) * 400, "|u1", bytes(1)),
        "order-is-no-boolean": told((4, 4), "<f8", bytes(128), fortran="yes"),
        "nested-brackets": worded("(" * 9000 + ")" * 900, bytes(128)),
        "nested-lists": worded("[" * 4000 + "]" * 4000, bytes(128)),
        "many-minuses": worded("-" * 9000 + "1", bytes(128)),
        "a-long-number": worded("{'descr': '<f8', 'fortran_order': False, 'shape': (" + "9" * 9000 + ",)}", bytes(9)),
        "a-long-header": worded("{" + " " * 60000 + "}", bytes(128)),
        "a-header-that-claims-4-gigabytes": worded("{}", bytes(128), (2, 0), 2**32 - 1),
        "a-header-longer-than-the-file": worded("{}", bytes(8), (1, 0), 65535),
        "not-latin": worded("{'descr': '\xff\xfe'".encode("utf-16"), bytes(128)),
        "null-bytes": worded("{'descr': '<f8\0', 'fortran_order': False, 'shape': (4, 4)}", bytes(128)),
    }
    return {f"{name}.npy": data for name, data in files.items()}


def parameters() -> dict[str, bytes]:
    """Kernels and places that mean harm, by name."""
    lying = bytearray(zipped({"indices.npy": saved(np.zeros(10**5))}))
    struct.pack_into("<I", lying, lying.rindex(b"PK\1\2") + 24, 2**32 - 2)
    good = zipped({"indices.npy": saved(np.arange(4))})
    files = {
        "bomb.npz": zipped({"indices.npy": told((10**8,), "|u1", bytes(10**8))}),
        "many-bombs.npz": zipped({f"{i}.npy": told((10**7,), "|u1", bytes(10**7)) for i in range(5)}),
        "many-entries.npz": zipped({f"{i}.npy": saved(np.zeros(1)) for i in range(2000)}),
        "lzma-bomb.npz": zipped({"indices.npy": told((3 * 10**7,), "|u1", bytes(3 * 10**7))}, zipfile.ZIP_LZMA),
        "lying-size.npz": bytes(lying),
        "encrypted.npz": poked(good, 8, 6, 1),
        "an-unknown-method.npz": poked(good, 10, 8, 97),
        "of-a-later-version.npz": poked(good, 6, 4, 99),
        "another-sum.npz": poked(good, 16, 14, good[good.rindex(b"PK\1\2") + 16] ^ 1),
        "twice.npz": zipped({"indices.npy": saved(np.arange(4))}, twice=True),
        "an-archive-in-it.npz": zipped({"indices.npz": good}),
        "an-archive-named-array.npz": zipped({"indices.npy": good}),
        "a-folder.npz": zipped({"indices.npy/": b"", "indices.npy/a.npy": saved(np.arange(4))}),
        "claims-10-to-the-6000.npz": zipped({"indices.npy": told((int("9" * 3000),) * 2, "|u1", bytes(64))}),
        "sixty-five-dimensions.npz": zipped({"indices.npy": told((1,) * 65, "<f8", bytes(8))}),
        "long-names.npz": zipped({f"{i}" + "\n\x1b[2J" * 8000 + ".npy": saved(np.arange(4)) for i in range(20)}),
        "truncated.npz": good[:-30],
        "beginning.npz": good[:20],
        "damaged.npz": good.replace(b"\x93", b"\x94", 1)[:60] + bytes(60) + good[60:],
        "pickled.npz": zipped({"indices.npy": saved(np.array([Trap()], object))}),
        "other-names.npz": zipped({"../../indices.npy": saved(np.arange(4)), "/indices.npy": saved(np.arange(4))}),
        "no-arrays.npz": zipped({"readme.txt": b"hello"}),
        "claims-8-terabytes.npz": zipped({"indices.npy": told((10**12,), "<f8", bytes(64))}),
        "nothing.npz": b"",
        "no-zip.npz": b"PK\3\4" + bytes(100),
        "text.npz": b"hello",
        "a-truth-for-a-side.npz": zipped({"indices.npy": told((True, 4), "|u1", bytes(4))}),
        "sixty-five-dimensions.npy": told((1,) * 65, "<f8", bytes(8)),
        "claims-more-than-there-is.npy": told((10**9, 4), "<f4", bytes(64)),
        "sparse.npy": told((2**26,), "|u1", bytes(2**26)),
        "not-finite.npy": saved(np.full((4, 4), np.nan)),
        "infinite.npy": saved(np.full((4, 4), np.inf)),
        "complex.npy": saved(np.ones((4, 4), complex)),
        "empty.npy": saved(np.ones((0, 4))),
        "flat.npy": saved(np.ones(4)),
    }
    return files | {f"{name}.safetensors": data for name, data in tensors().items()}


def tensors() -> dict[str, bytes]:
    """Files like those of safetensors that mean harm, by name."""

    def headed(header: Any, data: bytes = bytes(64), length: int | None = None) -> bytes:
        text = header if isinstance(header, bytes) else json.dumps(header).encode()
        return struct.pack("<Q", len(text) if length is None else length) + text + data

    def entry(shape: Any = (4, 4), place: Any = (0, 64), dtype: Any = "F32", name: str = "kernel") -> bytes:
        return headed({name: {"dtype": dtype, "shape": shape, "data_offsets": place}})

    sound = json.dumps({"dtype": "F32", "shape": [4, 4], "data_offsets": [0, 64]})
    long = "\n\x1b[2J" * 10**5
    return {
        "no-arrays": headed({}),
        "no-json": headed(b"{\xff\xfe"),
        "nested": headed(b'{"kernel":' + b"[" * 10**5),
        "a-long-number": headed(b'{"kernel": ' + b"9" * 10**5 + b"}"),
        "metadata-alone": headed({"__metadata__": [1]}),
        "a-truth-for-a-side": entry(shape=[True, 16]),
        "truths-for-a-place": entry(shape=[1], place=[False, True], dtype="F32"),
        "fractions": entry(shape=[4.0, 4.0]),
        "words-for-sides": entry(shape=["4", "4"]),
        "negative": entry(shape=[-4, -4]),
        "no-shape": entry(shape=None),
        "no-place": entry(place=None),
        "one-place": entry(place=[0]),
        "backwards": entry(place=[64, 0]),
        "beyond-its-end": entry(place=[64, 128]),
        "before-its-beginning": entry(place=[-64, 0]),
        "claims-2-to-the-80": entry(shape=[2**40, 2**40], place=[0, 2**82]),
        "claims-10-to-the-4000": entry(shape=[10**4000, 10**4000]),
        "nothing-as-long-as-10-to-the-30": entry(shape=[0, 10**30], place=[0, 0]),
        "sixty-five-axes": entry(shape=[1] * 65, place=[0, 4]),
        "no-such-type": entry(dtype="I128"),
        "a-type-that-is-a-list": entry(dtype=["F32"]),
        "an-entry-that-is-none": headed({"kernel": None}),
        "many-entries": headed({f"{n}": {"dtype": "F32", "shape": [], "data_offsets": [0, 4]} for n in range(2000)}),
        "a-long-name": entry(name=long),
        "a-lone-surrogate": headed(b'{"\\ud800": ' + sound.encode() + b"}"),
        "a-header-that-claims-a-megabyte": headed(b"{}", length=1 << 20),
        "a-header-that-claims-2-to-the-63": headed(b"{}", length=1 << 63),
        "not-finite": headed({"kernel": json.loads(sound)}, b"\xff" * 64),
    }


FIRST, LAST = (
    {"does": "convolution", "weight": "a", "slopes": "slope"},
    {"does": "transposed-convolution", "weight": "tail"},
)
SOUND: dict[str, Any] = {"layout": 1, "scale": 2, "skip": "skip", "layers": [FIRST, LAST]}


def network(about: Any, twice: bool = False, **more: Any) -> bytes:
    """Return a sound network with changes to its description or to some of its arrays."""
    arrays = {
        "about": np.frombuffer(about if isinstance(about, bytes) else json.dumps(about).encode(), np.uint8),
        "a": np.zeros((1, 1, 3, 3)),
        "slope": np.ones(1),
        "tail": np.ones((1, 1, 2, 2)),
        "skip": np.ones((2, 2)),
    }
    return zipped({f"{name}.npy": saved(array) for name, array in (arrays | more).items()}, twice=twice)


def networks() -> dict[str, bytes]:
    """Networks that mean harm, by name."""

    def layers(count: int, **more: Any) -> bytes:
        """Return a network with this many extra layers, which share one array."""
        again = {"does": "convolution", "weight": "b", "slopes": "slopes"}
        return network(SOUND | {"layers": [FIRST, *[again] * count, LAST]}, **more)

    text = json.dumps(SOUND)
    long = "\n\x1b[2J" * 10**6
    files = {
        "no-json": network(b"\xff\xfe"),
        "nested-json": network(b"[" * 10**6),
        "a-long-number": network(text.replace('"scale": 2', '"scale": ' + "9" * 10**6).encode()),
        "a-long-layout": network(SOUND | {"layout": long}),
        "a-long-scale": network(SOUND | {"scale": long}),
        "a-long-layer": network(SOUND | {"layers": [{"does": long}]}),
        "a-long-name": network(SOUND | {"skip": long}),
        "layers-without-end": network(SOUND | {"layers": [FIRST] * 10**5}),
        "layers-that-are-none": network(SOUND | {"layers": {"0": FIRST}}),
        "many-channels": layers(1, b=np.ones((513, 1, 1, 1)), slopes=np.ones(513)),
        "shared-weights": layers(90, b=np.zeros((1, 1, 31, 31)), slopes=np.ones(1)),
        "shared-and-heavy": layers(90, a=np.zeros((128, 1, 3, 3)), slope=np.ones(128), **heavy(128, 3)),
        "heavy": layers(1, a=np.zeros((512, 1, 1, 1)), slope=np.ones(512), **heavy(512, 5)),
        "a-wide-tail": network(SOUND, tail=np.zeros((1, 1, 2 * 32, 2 * 32))),
        "a-sum-of-itself": network(SOUND | {"layers": [FIRST, {"does": "sum", "with": 1}, LAST]}),
        "a-sum-with-the-future": network(SOUND | {"layers": [FIRST, {"does": "sum", "with": 10**30}, LAST]}),
        "not-finite": network(SOUND, skip=np.full((2, 2), np.nan)),
        "larger-than-float32": network(SOUND, tail=np.full((1, 1, 2, 2), 1e300)),
        "pickled": network(SOUND, tail=np.array([Trap()], object)),
        "text": network(SOUND, tail=np.array(["a"])),
        "empty": network(SOUND, tail=np.ones((1, 1, 0, 0))),
        "another-path": zipped({"../about.npy": saved(np.frombuffer(text.encode(), np.uint8))}),
        "twice": network(SOUND, twice=True),
        "claims-8-terabytes": zipped({"about.npy": told((10**12,), "|u1", bytes(64))}),
        "a-bomb": network(SOUND, more=np.zeros(2 * 10**7, np.uint8)),
        "an-allowed-bomb": network(SOUND | {"skip": "more"}, more=np.zeros((2048, 4000))),
        "alone": saved(np.ones((4, 4))),
        "a-truth-for-a-layout": network(SOUND | {"layout": True}),
        "a-sum-with-a-truth": network(SOUND | {"layers": [FIRST, FIRST, {"does": "sum", "with": True}, LAST]}),
        "levels-that-are-truths": network(SOUND | {"levels": [False, True]}),
        "levels-that-are-words": network(SOUND | {"levels": ["0", "1"]}),
        "levels-of-a-word": network(SOUND | {"levels": long}),
        "levels-that-are-not-finite": network(SOUND | {"levels": [0, float("nan")]}),
        "levels-beyond-1": network(SOUND | {"levels": [0, 10**300]}),
        "levels-that-descend": network(SOUND | {"levels": [1, 0]}),
        "one-level": network(SOUND | {"levels": [0]}),
        "many-levels": network(SOUND | {"levels": [n / 10**5 for n in range(10**5)]}),
        "levels-without-weights": network(SOUND | {"levels": [0, 1]}),
        "weights-of-other-levels": restoring(3),
        "levels-that-are-heavy": restoring(2, a=np.zeros((2, 4096, 1, 31, 31), np.float16)),
        "levels-that-are-not-finite-weights": restoring(2, tail=np.full((2, 1, 1, 2, 2), np.inf)),
    }
    return {f"{name}.npz": data for name, data in files.items()}


def restoring(levels: int, **more: Any) -> bytes:
    """Return a network that says it restores at two levels, with arrays of so many, and some of another shape."""
    shapes = {"a": (1, 1, 3, 3), "slope": (1,), "tail": (1, 1, 2, 2), "skip": (2, 2)}
    arrays = {name: np.full((levels, *shape), float(name != "a")) for name, shape in shapes.items()}
    return network(SOUND | {"levels": [0, 1]}, **arrays | more)


def heavy(channels: int, side: int) -> dict[str, Any]:
    """The arrays of a layer of many weights, nearly all of them 0."""
    return {"b": np.zeros((channels, channels, side, side), np.float32), "slopes": np.ones(channels)}


def unusual() -> dict[str, bytes]:
    """Images that are unusual, and all right, by name."""
    values = np.random.default_rng(0).integers(0, 2, (6, 5, 3))
    files = {
        "big-endian": saved(values.astype(">f8")),
        "big-endian-16": saved(values.astype(">u2")),
        "fortran": saved(np.asfortranarray(values.astype("f4"))),
        "float16": saved(values.astype("f2")),
        "bool": saved(values.astype("?")),
        "int8-as-unsigned": saved(values.astype("u1")),
        "int64": saved(values.astype("i8")),
        "not-finite": saved(np.where(values, np.nan, np.inf)),
        "version-2": worded("{'descr': '<f8', 'fortran_order': False, 'shape': (4, 4), }", bytes(128), (2, 0)),
        "seven-channels": saved(np.zeros((4, 5, 7), np.float32)),
        "a-pixel": saved(np.zeros((1, 1), np.uint8)),
    }
    return {f"{name}.npy": data for name, data in files.items()}


def main() -> None:
    """Write all of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args().folder
    kinds = {"refused": arrays(), "parameters": parameters(), "networks": networks(), "accepted": unusual()}
    for name, files in kinds.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for file, data in files.items():
            (folder / name / file).write_bytes(data)


if __name__ == "__main__":
    main()
