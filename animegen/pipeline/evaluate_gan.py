"""How like real pictures generated ones are: FID, KID, precision and recall, path length, identity."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from animegen.config import ConvertConfig
from animegen.errors import InputError, UsageError
from animegen.events import Listener, ignore
from animegen.measure.features import precision_recall
from animegen.measure.random_features import RandomFeatures
from animegen.pipeline.extractors import Extractor, feature_distances, feature_extractor
from animegen.pipeline.progress import stage
from animegen.pipeline.stages import resolve
from animegen.pipeline.stylegan2 import opaque
from animegen.stylegan2.distance import Perceptual
from animegen.stylegan2.model import StyleGan2, to_image
from animegen.stylegan2.path_length import perceptual_path_length
from animegen.stylegan2.pictures import PictureFolder
from animegen.types import Float64Array, Uint8Array

NEIGHBOURS = 3
"""Of precision and recall, as published."""

_NEEDS_FACES = "anime-face"
"""The style for which a run has a face backend."""

Source: TypeAlias = StyleGan2 | PictureFolder
"""Where pictures come from."""


@dataclass(frozen=True, slots=True)
class GanOptions:
    """What is measured and how.

    ``count`` pictures at most of each set, ``size`` px their side (a generator's own where there is one). ``features``:
    FID's Inception (``.pth``, ``.safetensors``) or any model of pictures (``.tflite``); without it, a small network of
    random weights. ``lpips``: VGG16's weights for the path length of ``paths`` samples. ``faces``: a face backend that
    knows people, whose generated pictures are compared with the real ones of the same names.
    """

    count: int = 1000
    size: int = 256
    seed: int = 0
    psi: float = 1.0
    features: Path | None = None
    lpips: Path | None = None
    paths: int = 200
    faces: str = ""


def evaluate_gan(
    real: Path, generated: Path, options: GanOptions, device: str = "cpu", on_event: Listener = ignore
) -> dict[str, Any]:
    """The figures, as plain JSON values, of a folder of pictures or a generator's checkpoint beside real pictures.

    Pictures are cut to their middle square and resized; transparency is laid over white. Raises InputError for what
    cannot be read, UsageError for sets too small, PluginError or WeightsError where a network cannot be had.
    """
    source = _source(generated, options.size, device)
    model = source if isinstance(source, StyleGan2) else None
    side, channels = (model.config.resolution, model.config.channels) if model else (options.size, 3)
    truths = PictureFolder(real, side, channels)
    places, own = _chosen(truths, options), _chosen(source, options)
    least = min(len(places), len(own))
    if least <= NEIGHBOURS:
        raise UsageError(f"{least} pictures are too few", f"give more than {NEIGHBOURS} in each set")
    extractor = feature_extractor(options.features, device) if options.features else RandomFeatures()
    with stage("measure", len(places) + len(own), on_event) as advance:
        real_features = _features(extractor, _images(truths, places), advance)
        own_features = _features(extractor, _images(source, own, options.psi), advance)
    precision, recall = precision_recall(real_features, own_features, NEIGHBOURS)
    return {
        "real": {"folder": real.name, "pictures": len(places), "of": len(truths)},
        "generated": {"name": generated.name, "pictures": len(own), "psi": options.psi if model else None},
        "size": side,
        "features": {
            **feature_distances(extractor, real_features, own_features),
            "precision": precision,
            "recall": recall,
        },
        "path_length": _path_length(model, options, device),
        "identity": _identity(truths, source, options, on_event),
    }


def _source(generated: Path, side: int, device: str) -> Source:
    if generated.is_file():
        return StyleGan2.load(generated, device)
    if not generated.is_dir():
        raise InputError(f"{generated} is missing", "name a folder of pictures or a generator's .safetensors")
    return PictureFolder(generated, side, 3)


def _chosen(source: Source, options: GanOptions) -> Sequence[int]:
    """A generator's seeds in a row, or places in a folder, evenly apart."""
    if isinstance(source, StyleGan2):
        return range(options.seed, options.seed + options.count)
    last, count = len(source) - 1, min(len(source), options.count)
    return sorted({round(float(k)) for k in np.linspace(0, last, count)})


def _images(source: Source, places: Iterable[int], psi: float = 1.0) -> Iterator[Uint8Array]:
    """The pictures at places of a folder, or of a generator's seeds, which take turns with its classes."""
    for place in places:
        if isinstance(source, StyleGan2):
            label = place % source.config.c_dim if source.config.c_dim else None
            picture = source.draw(source.ws([source.z(place)], psi=psi, label=label))[0]
        else:
            picture = source.batch([place], [False])[0][0]
        yield opaque(to_image(picture))


def _features(extractor: Extractor, images: Iterable[Uint8Array], advance: Callable[[int], None]) -> Float64Array:
    rows = []
    for image in images:
        rows.append(extractor([image])[0])
        advance(1)
    return np.stack(rows)


def _path_length(model: StyleGan2 | None, options: GanOptions, device: str) -> dict[str, Any]:
    if model is None:
        return {"measured": False, "why": "it is a generator's, not a folder's"}
    perceptual = Perceptual.load(options.lpips, device) if options.lpips else None
    value = perceptual_path_length(model, perceptual, options.paths, seed=options.seed)
    distance = options.lpips.name if options.lpips else "multi-scale colours and slopes, no LPIPS"
    return {"measured": True, "value": value, "samples": options.paths, "distance": distance}


def _identity(truths: PictureFolder, source: Source, options: GanOptions, on_event: Listener) -> dict[str, Any]:
    """The cosine of the embeddings of faces in pictures of the same name."""
    if not options.faces:
        return {"measured": False, "why": "no face backend was named (--faces NAME)"}
    if isinstance(source, StyleGan2):
        return {"measured": False, "why": "a generator's own pictures are of nobody"}
    real, generated = ({path.stem: place for place, path in enumerate(folder.paths)} for folder in (truths, source))
    names = sorted(real.keys() & generated.keys())[: options.count]
    config = ConvertConfig(style=_NEEDS_FACES, face=options.faces, device="cpu")
    backend = resolve(config, on_event, kinds=("face",)).face_backend()
    cosines = []
    for name in names:
        pair = [*_images(truths, [real[name]]), *_images(source, [generated[name]])]
        known = [faces[0].embedding if faces else None for faces in backend.find(pair)]
        if known[0] is not None and known[1] is not None:
            cosines.append(float(known[0] @ known[1]))
    if not cosines:
        return {"measured": False, "why": f"'{options.faces}' knew nobody in {len(names)} pairs of one name"}
    told = {"backend": options.faces, "pairs": len(cosines), "of": len(names)}
    return {"measured": True, "cosine": float(np.mean(cosines)), **told}
