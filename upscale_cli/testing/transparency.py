"""`TransparencyContract`: what every method keeps to if the last channel is opacity; a part of `MethodContract`."""

from typing import Any

import numpy as np
import pytest

from upscale_cli.methods import Method, resolve
from upscale_cli.methods.parameters import read_scale
from upscale_cli.methods.samples import Samples
from upscale_cli.methods.upsampler import Array
from upscale_cli.testing.checks import image


class TransparencyContract:
    """The tests of one method with transparent images."""

    method: Method

    def given_arrays(self, source: Array, scale: Any) -> dict[str, Any]:
        """Return the method's arrays for a source."""
        raise NotImplementedError

    def enlarge(self, source: Array, scale: Any = 2, **more: Any) -> Array:
        """Return the source, enlarged by the method."""
        raise NotImplementedError

    def enlarge_transparent(self, source: Array, scale: int, parameters: dict[str, Any], **more: Any) -> Array:
        """Return a source (H, W, C) whose last channel is opacity, enlarged; `more` goes to its `Samples`."""
        method, (height, width, channels) = self.method, source.shape
        read = method.read_parameters(self.given_arrays(source, scale) | parameters)
        exact, shape = resolve(method, (height, width, channels), scale=read_scale(scale), parameters=read)
        samples = Samples(
            stored=source.dtype,
            channels_in=channels,
            target=source.dtype,
            alpha=True,
            straight=method.straight,
            constants=method.keeps_constants,
            **more,
        )
        made = method.make(source, scale=exact, size=shape[:2], samples=samples, parameters=read)
        result = np.empty(shape, source.dtype)
        return made.rows(0, shape[0], result, samples.finisher(method.values == "weighed"))

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
                parameters = dict([variant.split("=")]) if variant else {}
                for scale in (2, 3, 4):
                    made = self.enlarge_transparent(source, scale, parameters)
                    assert (made[made[..., -1] > 0, :-1] == colour).all()

    @pytest.mark.parametrize("channels", [2, 4])
    def test_colours_and_opacity_can_be_enlarged_apart(self, channels: int) -> None:
        source = image((12, 13, channels), "u1")
        made = self.enlarge_transparent(source, 2, {}, apart=True)
        for part in (slice(channels - 1), slice(channels - 1, channels)):
            np.testing.assert_array_equal(made[..., part], self.enlarge(source[..., part]))
