"""The report of a run: counts, a closing sentence, and one exit status."""

from dataclasses import dataclass

from upscale_cli.errors import ExitStatus


@dataclass
class Report:
    """How a run ended, counted by images or frames.

    Attributes
    ----------
    word : str
        What was done to images: enlarged, pooled.
    unit : str
        What is counted: image, or frame.
    done, failed, skipped : int
    left : int
        Not begun, because the disk was full.
    left_alone : str
        What folders hold besides images, in words.
    """

    word: str
    done: int = 0
    failed: int = 0
    skipped: int = 0
    left: int = 0
    left_alone: str = ""
    unit: str = "image"

    @property
    def exit_status(self) -> ExitStatus:
        """`FAILED` if at least one image was not made. Invalid usage and signals end a run before its report."""
        return ExitStatus.FAILED if self.failed or self.left else ExitStatus.DONE

    def sentence(self, seconds: float, pixels: int) -> str:
        """Return the closing sentence.

        >>> Report("enlarged", done=47, failed=3).sentence(2.04, 81_000_000)
        '47 images enlarged, 3 failed, in 2.0 s (39.7 Mpx/s).'
        >>> Report("enlarged", skipped=2).sentence(0.1, 0)
        'No image enlarged, 2 skipped, in 0.1 s.'
        >>> Report("enlarged", done=1, left_alone="3 .heic left alone").sentence(0.1, 0)
        '1 image enlarged, in 0.1 s; 3 .heic left alone.'
        >>> Report("enlarged", done=50, unit="frame").sentence(2, 0)
        '50 frames enlarged, in 2.0 s (25.0 frames/s).'
        """
        parts = [f"{self.done or 'No'} {self.unit}{'s' if self.done > 1 else ''} {self.word}"]
        others = (self.failed, "failed"), (self.skipped, "skipped"), (self.left, "not begun")
        parts += [f"{n} {word}" for n, word in others if n]
        rate = f" ({pixels / seconds / 1e6:.1f} Mpx/s)" if pixels and seconds else ""
        rate = f" ({self.done / seconds:.1f} frames/s)" if self.unit == "frame" and self.done and seconds else rate
        return f"{', '.join(parts)}, in {seconds:.1f} s{rate}{'; ' if self.left_alone else ''}{self.left_alone}."
