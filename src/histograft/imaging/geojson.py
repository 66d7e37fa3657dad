"""GeoJSON as QuPath writes and reads it: outlines in level-0 pixels, with classes."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from histograft.core.errors import InputError
from histograft.imaging.contours import Polygon

ObjectType = Literal["annotation", "detection", "tile"]

_OBJECT_TYPES = ("annotation", "detection", "tile")
_DECIMALS = 2  # of a level-0 pixel


@dataclass(frozen=True)
class Shape:
    """An object on a slide.

    Attributes
    ----------
    polygons : tuple of Polygon
        Its outline in level-0 pixels; several pieces make one object.
    class_name : str or None
        Class, as in QuPath; parts of a derived class are joined by ": ".
    color : (int, int, int) or None
        Color of the class, 0-255.
    name : str or None
        Name of the object.
    object_type : {"annotation", "detection", "tile"}
        Annotations can be edited one by one; 10^5 tiles are better detections.
    measurements : mapping of str to float
        Numbers of the object.
    """

    polygons: tuple[Polygon, ...]
    class_name: str | None = None
    color: tuple[int, int, int] | None = None
    name: str | None = None
    object_type: ObjectType = "annotation"
    measurements: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Shapes:
    """What a GeoJSON file holds.

    Attributes
    ----------
    shapes : tuple of Shape
        Objects with an area, in the order of the file.
    ignored : dict of str to int
        Objects without an area (points, lines, empty ones), by their kind.
    """

    shapes: tuple[Shape, ...]
    ignored: dict[str, int]


def to_geojson(shapes: Iterable[Shape], *, offset: tuple[float, float] = (0.0, 0.0)) -> str:
    """Write objects as a FeatureCollection on one line, which QuPath opens by drag and drop.

    Parameters
    ----------
    shapes : iterable of Shape
        The objects.
    offset : (float, float)
        x and y that are taken off all coordinates. QuPath crops some slides (MRXS) to
        ``openslide.bounds-x`` and ``-y`` and counts from there.

    Returns
    -------
    str
        ASCII. Coordinates have two decimals at most, rings are closed.

    Raises
    ------
    InputError
        A coordinate is not finite.

    References
    ----------
    RFC 7946; QuPath documentation, "Exporting annotations".

    Examples
    --------
    >>> square = Polygon(np.array([[0, 0], [9, 0], [9, 9], [0, 9]], float))
    >>> text = to_geojson([Shape((square,), class_name="Tissue")])
    >>> json.loads(text)["features"][0]["geometry"]["coordinates"]
    [[[0, 0], [9, 0], [9, 9], [0, 9], [0, 0]]]
    >>> read_geojson(text, "a.geojson").shapes[0].class_name
    'Tissue'
    """
    collection = {
        "type": "FeatureCollection",
        "features": [_feature(shape, offset) for shape in shapes],
    }
    return json.dumps(collection, separators=(",", ":"))


def read_geojson(text: str, name: str, *, offset: tuple[float, float] = (0.0, 0.0)) -> Shapes:
    """Read objects: a FeatureCollection, a Feature, a geometry, or a list of them.

    Parameters
    ----------
    text : str
        Content of the file. A ``crs`` entry is allowed and has no meaning for slides.
    name : str
        Its name, for messages.
    offset : (float, float)
        x and y that are added to all coordinates; see `to_geojson`.

    Returns
    -------
    Shapes
        Polygons and MultiPolygons, with their holes.

    Raises
    ------
    InputError
        The text is no GeoJSON, or a ring has less than three corners or no finite numbers.

    Examples
    --------
    >>> read_geojson('{"type": "Point", "coordinates": [1, 2]}', "a.geojson")
    Shapes(shapes=(), ignored={'Point': 1})
    """
    try:
        content = json.loads(text)
    except ValueError as error:
        raise _no_geojson(name, str(error)) from error
    shapes: list[Shape] = []
    ignored: Counter[str] = Counter()
    for number, feature in enumerate(_features(content, name), start=1):
        where = f"{name}, object {number}"
        polygons, kinds = _polygons(feature.get("geometry"), where)
        ignored.update(kinds)
        if polygons:
            moved = tuple(polygon.moved(*offset) for polygon in polygons)
            shapes.append(_shape(moved, feature.get("properties"), where))
    return Shapes(tuple(shapes), dict(sorted(ignored.items())))


def square(x0: float, y0: float, side0: float) -> Polygon:
    """Outline of a tile in level-0 pixels.

    Examples
    --------
    >>> square(10, 20, 5).area
    25.0
    """
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], float)
    return Polygon(corners * side0 + np.array([x0, y0], float))


def _feature(shape: Shape, offset: tuple[float, float]) -> dict[str, Any]:
    pieces = [[_closed(ring, offset) for ring in polygon.rings] for polygon in shape.polygons]
    one = len(pieces) == 1
    properties: dict[str, Any] = {"objectType": shape.object_type}
    if shape.name is not None:
        properties["name"] = shape.name
    if shape.class_name is not None:
        properties["classification"] = {"name": shape.class_name}
        if shape.color is not None:
            properties["classification"]["color"] = list(shape.color)
    if shape.measurements:
        properties["measurements"] = dict(shape.measurements)
    geometry = {
        "type": "Polygon" if one else "MultiPolygon",
        "coordinates": pieces[0] if one else pieces,
    }
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def _closed(ring: NDArray[np.float64], offset: tuple[float, float]) -> list[list[float]]:
    moved = np.round(ring - np.asarray(offset), _DECIMALS)
    if not np.isfinite(moved).all():
        raise InputError("an outline has a corner without a place", "leave that object out")
    corners = [[int(v) if v.is_integer() else v for v in corner] for corner in moved.tolist()]
    return [*corners, corners[0]]


def _features(content: Any, name: str) -> list[dict[str, Any]]:
    if isinstance(content, dict) and content.get("type") == "FeatureCollection":
        content = content.get("features")
    found = content if isinstance(content, list) else [content]
    features = []
    for item in found:
        if not isinstance(item, dict) or not isinstance(item.get("type"), str):
            raise _no_geojson(name, "an object without a type")
        is_feature = item["type"] == "Feature"
        features.append(item if is_feature else {"geometry": item})
    return features


def _polygons(geometry: Any, where: str) -> tuple[list[Polygon], list[str]]:
    """Polygons of a geometry, and kinds of what has no area."""
    if geometry is None:
        return [], ["without geometry"]
    if not isinstance(geometry, dict):
        raise _no_geojson(where, "a geometry that is none")
    kind = geometry.get("type")
    if kind == "GeometryCollection":
        parts = [_polygons(part, where) for part in geometry.get("geometries") or []]
        return [p for found, _ in parts for p in found], [k for _, kinds in parts for k in kinds]
    if kind not in ("Polygon", "MultiPolygon"):
        return [], [str(kind)]
    coordinates = geometry.get("coordinates")
    pieces = [coordinates] if kind == "Polygon" else coordinates
    if not isinstance(pieces, list) or not all(isinstance(piece, list) for piece in pieces):
        raise _no_geojson(where, f"a {kind} without coordinates")
    polygons = []
    for rings in filter(None, pieces):
        exterior, *holes = (_ring(ring, where) for ring in rings)
        polygons.append(Polygon(exterior, tuple(holes)))
    return polygons, [] if polygons else [f"empty {kind}"]


def _ring(corners: Any, where: str) -> NDArray[np.float64]:
    try:
        ring = np.array([corner[:2] for corner in corners], float)
    except (TypeError, ValueError, LookupError) as error:
        raise _no_geojson(where, "a ring whose corners are no numbers") from error
    if ring.ndim != 2 or ring.shape[1:] != (2,) or not np.isfinite(ring).all():
        raise _no_geojson(where, "a ring whose corners are no finite x and y")
    if len(ring) > 1 and np.array_equal(ring[0], ring[-1]):
        ring = ring[:-1]
    if len(ring) < 3:
        raise _no_geojson(where, f"a ring of {len(ring)} corners")
    return ring


def _shape(polygons: tuple[Polygon, ...], properties: Any, where: str) -> Shape:
    if properties is None:
        properties = {}
    if not isinstance(properties, dict):
        raise _no_geojson(where, "properties that are none")
    kind = properties.get("objectType")
    class_name, color = _class(properties.get("classification"))
    name = properties.get("name")
    return Shape(
        polygons,
        class_name=class_name,
        color=color,
        name=name if isinstance(name, str) else None,
        object_type=kind if kind in _OBJECT_TYPES else "annotation",
        measurements=_measurements(properties.get("measurements")),
    )


def _class(stated: Any) -> tuple[str | None, tuple[int, int, int] | None]:
    """Name and color of a class as QuPath of any version writes it."""
    if isinstance(stated, str):
        return stated, None
    if not isinstance(stated, dict):
        return None, None
    names = stated.get("names")
    name = stated.get("name") or (": ".join(map(str, names)) if isinstance(names, list) else None)
    color = stated.get("color")
    if isinstance(stated.get("colorRGB"), int):  # before 0.4: one signed number, ARGB
        packed = stated["colorRGB"]
        color = [packed >> shift & 255 for shift in (16, 8, 0)]
    if isinstance(color, Sequence) and len(color) == 3 and all(isinstance(v, int) for v in color):
        return name, (color[0], color[1], color[2])
    return name, None


def _measurements(stated: Any) -> dict[str, float]:
    """Numbers of an object; before QuPath 0.4 a list of names and values."""
    if isinstance(stated, list):
        stated = {item.get("name"): item.get("value") for item in stated if isinstance(item, dict)}
    if not isinstance(stated, dict):
        return {}
    numbers = {str(key): value for key, value in stated.items() if isinstance(value, int | float)}
    return {key: float(value) for key, value in numbers.items() if math.isfinite(value)}


def _no_geojson(where: str, why: str) -> InputError:
    return InputError(
        f"{where} is no GeoJSON of outlines ({why})",
        "export the annotations again, in QuPath with File > Export objects as GeoJSON",
    )
