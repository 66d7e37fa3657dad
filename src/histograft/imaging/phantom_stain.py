"""Staining and scanning of a phantom: dye densities to pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from histograft.imaging.phantom_grid import Field

# SD of the logarithm of the dye strengths, and SD of the components of the stain vectors.
PATIENT_STRENGTH_SD = 0.10
PATIENT_HUE_SD = 0.025
IMAGE_STRENGTH_SD = 0.28
IMAGE_HUE_SD = 0.02
FOCUS_SD = 0.25  # of the logarithm of the blur, from image to image

Stains = tuple[tuple[float, float, float], tuple[float, float, float]]


@dataclass(frozen=True)
class Laboratory:
    """How a laboratory stains, scans and stores.

    Attributes
    ----------
    name : str
        Name in tables.
    stains : ((float, float, float), (float, float, float))
        Directions of hematoxylin and eosin in optical density (decadic, red green blue); they are
        scaled to length 1.
    hematoxylin, eosin : float
        Strength of the dyes, about 1.
    glass : (float, float, float)
        Color of empty glass, 0 … 1.
    noise : float
        SD of the camera's noise, as share of white.
    blur_um : float
        SD of the optical blur.
    native_mpp : float
        Micrometers per pixel of the scanner.
    jpeg_quality : int or None
        Quality of the stored JPEG; None for PNG.
    """

    name: str
    stains: Stains
    hematoxylin: float
    eosin: float
    glass: tuple[float, float, float]
    noise: float
    blur_um: float
    native_mpp: float
    jpeg_quality: int | None


LABORATORIES: dict[str, Laboratory] = {
    "lab-a": Laboratory(
        name="lab-a",
        stains=((0.65, 0.70, 0.30), (0.14, 0.92, 0.36)),
        hematoxylin=1.0,
        eosin=1.0,
        glass=(0.955, 0.945, 0.955),
        noise=0.010,
        blur_um=0.35,
        native_mpp=0.5,
        jpeg_quality=None,
    ),
    "lab-b": Laboratory(
        name="lab-b",
        stains=((0.52, 0.79, 0.33), (0.10, 0.82, 0.56)),
        hematoxylin=0.9,
        eosin=1.1,
        glass=(0.95, 0.93, 0.90),
        noise=0.014,
        blur_um=0.45,
        native_mpp=0.4,
        jpeg_quality=85,
    ),
}


def stain(
    hematoxylin: Field,
    eosin: Field,
    laboratory: Laboratory,
    patient_seed: int,
    rng: np.random.Generator,
) -> Field:
    """Light through a stained section, by Beer and Lambert's law.

    I = glass · 10^-(h H + e E), with the dye densities h and e, and the stain vectors H and E of
    the laboratory. Strengths and vectors vary from patient to patient, strengths also from image
    to image: sections differ in thickness and dyes in freshness.

    Parameters
    ----------
    hematoxylin, eosin : float32 array, shape (H, W)
        Dye densities.
    laboratory : Laboratory
        Its stains, strengths and glass.
    patient_seed : int
        Seed of what the images of a patient have in common.
    rng : numpy.random.Generator
        Source of what differs between images.

    Returns
    -------
    float32 array, shape (H, W, 3)
        Light, 0 … 1.
    """
    patient = np.random.default_rng(patient_seed)
    strength = np.array([laboratory.hematoxylin, laboratory.eosin])
    strength *= np.exp(patient.normal(0, PATIENT_STRENGTH_SD, 2))
    strength *= np.exp(IMAGE_STRENGTH_SD * rng.standard_normal(2).clip(-2, 2))
    vectors = np.array(laboratory.stains) + patient.normal(0, PATIENT_HUE_SD, (2, 3))
    vectors += IMAGE_HUE_SD * rng.standard_normal((2, 3)).clip(-2, 2)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    decay = (-np.log(10) * strength[:, None] * vectors).astype(np.float32)
    light: Field = np.exp(hematoxylin[..., None] * decay[0] + eosin[..., None] * decay[1])
    light *= np.array(laboratory.glass, np.float32)
    return light


def photograph(
    light: Field, laboratory: Laboratory, rng: np.random.Generator, *, mpp: float, binning: int
) -> NDArray[np.uint8]:
    """Blur, sum over pixels, add noise, and round.

    Parameters
    ----------
    light : float32 array, shape (H, W, 3)
        Light, 0 … 1.
    laboratory : Laboratory
        Its blur and noise.
    rng : numpy.random.Generator
        Source of the noise.
    mpp : float
        Micrometers per sample of `light`.
    binning : int
        Samples along a side that make a pixel.

    Returns
    -------
    uint8 array, shape (H / binning, W / binning, 3)
    """
    focus = np.exp(FOCUS_SD * np.clip(rng.standard_normal(), -2, 2))
    sigma = laboratory.blur_um * focus / mpp
    seen = gaussian_filter(light, (sigma, sigma, 0), mode="nearest", truncate=2.5)
    n = seen.shape[0] // binning
    if binning > 1:
        seen = seen.reshape(n, binning, n, binning, 3).mean((1, 3))
    seen = seen + np.float32(laboratory.noise) * rng.standard_normal(seen.shape, dtype=np.float32)
    pixels: NDArray[np.uint8] = np.clip(seen * 255 + 0.5, 0, 255).astype(np.uint8)
    return pixels
