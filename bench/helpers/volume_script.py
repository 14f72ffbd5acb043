"""Enlarge a NIfTI file by SimpleITK, or by SciPy and nibabel: `volume_script.py LIBRARY METHOD FACTOR SOURCE TARGET`.

Both map outer corners to outer corners, as `upscale` does. SimpleITK's Lanczos has five lobes. SciPy has none; its
cubic splines stand for it.
"""

import sys
from typing import Any


def simple_itk(method: str, factor: int, source: str, target: str) -> None:
    """Enlarge by SimpleITK, on all threads."""
    import SimpleITK

    itk: Any = SimpleITK
    image = itk.ReadImage(source)
    origin = image.TransformContinuousIndexToPhysicalPoint([0.5 / factor - 0.5] * 3)
    spacing, size = [side / factor for side in image.GetSpacing()], [side * factor for side in image.GetSize()]
    filter = {"bilinear": itk.sitkLinear, "lanczos": itk.sitkLanczosWindowedSinc}[method]
    made = itk.Resample(
        image, size, itk.Transform(3, itk.sitkIdentity), filter, origin, spacing, image.GetDirection()
    )
    itk.WriteImage(made, target)


def scipy(method: str, factor: int, source: str, target: str) -> None:
    """Enlarge by SciPy, which has one thread."""
    import nibabel
    import numpy as np
    from scipy import ndimage

    image: Any = nibabel.load(source)
    order = {"bilinear": 1, "lanczos": 3}[method]
    made = ndimage.zoom(np.asanyarray(image.dataobj), factor, order=order, mode="nearest", grid_mode=True)
    ratio = np.diag([*[1 / factor] * 3, 1.0])
    ratio[:3, 3] = 0.5 / factor - 0.5
    nibabel.save(nibabel.Nifti1Image(made, image.affine @ ratio), target)


if __name__ == "__main__":
    library, method, factor, source, target = sys.argv[1:]
    {"SimpleITK": simple_itk, "SciPy": scipy}[library](method, int(factor), source, target)
