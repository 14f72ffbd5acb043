"""What a file format is: how it is recognised, what it can store, and the module that reads and writes it."""

from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, cast

from upscale_cli.codecs.timing import Timing
from upscale_cli.errors import UpscaleError, needs_extra

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from upscale_cli.codecs.picture import Picture, Reading
    from upscale_cli.codecs.writing import Enlarged, Writing
    from upscale_cli.image.pixels import Kind


class Codec(Protocol):
    """The module of a format: it opens files, and writes them. `docs/design.md` has an example."""

    def open(self, stream: "BinaryIO", format: "Format", reading: "Reading") -> "Picture":
        """Return the image of a seekable stream, its header read and its pixels not yet decoded.

        Raises whatever a decoder raises; an `UpscaleError` is shown as it is.
        """

    def write(self, stream: "BinaryIO", frames: "Iterator[Enlarged]", how: "Writing") -> None:
        """Write at least one frame to a stream that is empty and seekable."""


class Format(NamedTuple):
    """One file format. Rows are built by keyword.

    Attributes
    ----------
    name, title : str
        What users type, and what people call the format.
    codec : str
        The name of the module that opens and writes it; see `Codec`.
    sniff : callable(bytes) -> bool
        Whether a file that begins with these bytes, `HEAD` at most, has this format.
    extensions : tuple of str
        In lower case; new files get the first.
    stores : frozenset of (mode, dtype)
        The pixels that it can store; empty for a format that stores arrays, and for one that is only read.
    arrays : bool
        It stores arrays of any dtype and number of channels, whose channels have no meaning.
    bands : bool
        It stores channels beyond those of colours and opacity.
    longest : int
        The largest height or width in pixels.
    clear : {"none", "one", "any"}
        The colours of a palette that can be transparent: none; one, fully; any, by any degree.
    hidden : (bool, bool)
        It changes colours of full transparency: in a single image, and in several frames.
    frames : bool
        It can store several images.
    timing : Timing
        What of their times it can store.
    lossy, subsampled : bool
        It changes pixels a little, depending on `--quality`; on `--subsampling`.
    without_loss : mapping or None
        If it is lossy, its fields that change when it is written without loss; None if that is not possible. If none
        change, copied values and sources that are no photographs are written so unasked.
    entry : int
        The most bytes of EXIF, of a comment, and of the main packet of XMP.
    compressions : tuple of str
        What `--compression` chooses from, the usual one first; empty where there is nothing to choose.
    strips : {"none", "one", "all"}
        The images that are written strip by strip, without a whole frame in memory: none; a single one; every frame.
    encoder : float
        Memory in bytes per byte of samples while a whole frame is encoded, the samples included.
    block : int
        The encoder rounds sides up to multiples of it, in the memory that it takes.
    retained : float
        Memory in bytes per byte of samples that is retained until the last of several frames is encoded.
    decoder : float
        Memory in bytes per sample while it is decoded, besides the image that comes out.
    keeps : frozenset of str
        The metadata that it can store: names of `image.metadata.NAMES`.
    deepest : int
        The most bits of an integer sample that it stores, if `stores` has uint16.
    extra : str
        The extra of this package whose libraries its codec imports; empty for none.
    library : str
        One of those libraries.
    volumes : bool
        It stores volumes with their places in space, and nothing else.
    becomes : str
        The format of results, if it is only read.
    """

    name: str
    title: str
    codec: str
    sniff: Callable[[bytes], bool]
    extensions: tuple[str, ...]
    stores: "frozenset[Kind]" = frozenset()
    arrays: bool = False
    bands: bool = False
    longest: int = 2**31 - 1
    clear: Literal["none", "one", "any"] = "none"
    hidden: tuple[bool, bool] = (False, False)
    frames: bool = False
    timing: Timing = Timing()
    lossy: bool = False
    without_loss: Mapping[str, Any] | None = None
    entry: int = 2**31 - 1
    compressions: tuple[str, ...] = ()
    strips: Literal["none", "one", "all"] = "none"
    encoder: float = 3.5
    block: int = 1
    retained: float = 2.5
    decoder: float = 0
    keeps: frozenset[str] = frozenset()
    subsampled: bool = False
    deepest: int = 16
    extra: str = ""
    library: str = ""
    volumes: bool = False
    becomes: str = "png"

    @property
    def writable(self) -> bool:
        """Whether it is written, not only read."""
        return bool(self.stores or self.arrays or self.volumes)

    @property
    def installed(self) -> bool:
        """Whether the library that it needs is there."""
        try:
            return not self.library or find_spec(self.library) is not None
        except ModuleNotFoundError:
            return False
        except Exception:  # whatever is wrong with it, opening a file says it
            return True

    def lossless(self) -> "Format":
        """Return this format as it is written without loss."""
        return self._replace(lossy=False, **self.without_loss or {})

    def load_codec(self) -> Codec:
        """Import the module that opens and writes this format; raise `UpscaleError` if its extra is not there."""
        try:
            return cast(Codec, import_module(self.codec))
        except Exception as error:  # other packages' code raises anything
            if not self.extra:
                raise
            raise UpscaleError(f"is a {self.title} image, which {needs_extra(self.extra, error)}") from error
