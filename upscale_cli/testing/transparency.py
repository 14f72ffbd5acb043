"""`TransparencyContract`: what every method keeps to if the last channel is opacity; a part of `MethodContract`."""

from typing import Any

import numpy as np
import pytest

from upscale_cli.methods.samples import Samples
from upscale_cli.methods.upsampler import Array
from upscale_cli.testing.checks import MethodTests, image


class TransparencyContract(MethodTests):
    """The tests of one method with transparent images."""

    def enlarge_transparent(self, source: Array, scale: int, apart: bool = False, **parameters: Any) -> Array:
        """Return a source (H, W, C) whose last channel is opacity, enlarged."""
        samples = Samples(
            stored=source.dtype,
            channels_in=source.shape[2],
            target=source.dtype,
            alpha=True,
            straight=self.method.straight,
            constants=self.method.keeps_constants,
            apart=apart,
        )
        made = self.upsampler(source, scale, samples, **parameters)
        result = np.empty(made.shape[:2] + source.shape[2:], source.dtype)
        return made.rows(0, made.shape[0], result, samples.finisher(self.method.values == "weighed"))

    @pytest.mark.parametrize("channels", [2, 4])
    @pytest.mark.parametrize("dtype", ["u1", "u2"])
    def test_a_flat_colour_stays_under_any_opacity(self, dtype: str, channels: int) -> None:
        """Whatever opacity is: noise, its lowest values, soft and hard edges; and whatever colour is hidden at 0."""
        full = np.iinfo(dtype).max
        noise = image((12, 13), dtype)
        y, x = np.mgrid[:12, :13]
        soft = np.clip((5 - np.hypot(y - 6, x - 6)) / 3, 0, 1)
        colour = np.array([full, full // 3, 1], dtype)[: channels - 1]
        for opacity in (noise, noise % 4, soft * full, (soft > 0.5) * full):
            source = image((12, 13, channels), dtype)
            source[..., -1] = opacity
            source[source[..., -1] > 0, :-1] = colour
            for variant in ("", *self.method.variants):
                parameters: dict[str, Any] = dict(each.split("=") for each in variant.split(",") if each)
                for scale in self.method.factors[:3] or (2, 3, 4):
                    made = self.enlarge_transparent(source, scale, **parameters)
                    assert (made[made[..., -1] > 0, :-1] == colour).all()

    @pytest.mark.parametrize("channels", [2, 4])
    def test_colours_and_opacity_can_be_enlarged_apart(self, channels: int) -> None:
        if self.method.factors:
            pytest.skip("it compares whole colours, opacity included")
        source = image((12, 13, channels), "u1")
        made = self.enlarge_transparent(source, 2, apart=True)
        for part in (slice(channels - 1), slice(channels - 1, channels)):
            np.testing.assert_array_equal(made[..., part], self.enlarge(source[..., part]))
