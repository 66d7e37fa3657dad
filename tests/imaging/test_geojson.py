"""GeoJSON as QuPath, TRIDENT and others write it, by their documented forms."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import array_shapes, arrays

from histograft.core.errors import InputError
from histograft.imaging.contours import Polygon, mask_to_polygons, polygons_to_mask
from histograft.imaging.geojson import Shape, read_geojson, square, to_geojson

OUTER = [[0, 0], [100, 0], [100, 80], [0, 80], [0, 0]]
HOLE = [[10, 10], [10, 20], [30, 20], [30, 10], [10, 10]]
AREA = 100 * 80 - 20 * 10


def feature(kind="Polygon", coordinates=(OUTER, HOLE), **properties):
    coordinates = list(coordinates) if isinstance(coordinates, tuple) else coordinates
    geometry = {"type": kind, "coordinates": coordinates}
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def read(content):
    return read_geojson(json.dumps(content), "a.geojson")


def test_what_is_written_has_the_form_that_qupath_reads():
    tissue = Polygon(np.array(OUTER[:-1], float), (np.array(HOLE[:-1], float),))
    text = to_geojson([Shape((tissue,), class_name="Tissue", color=(0, 200, 0), name="piece 1")])
    assert "\n" not in text
    assert json.loads(text) == {
        "type": "FeatureCollection",
        "features": [
            feature(
                objectType="annotation",
                name="piece 1",
                classification={"name": "Tissue", "color": [0, 200, 0]},
            )
        ],
    }


def test_several_pieces_make_a_multipolygon_and_tiles_have_measurements():
    shape = Shape(
        (square(0, 0, 10), square(20.123, 0, 10)),
        object_type="detection",
        measurements={"tumor": 0.75},
    )
    (written,) = json.loads(to_geojson([shape]))["features"]
    assert written["geometry"]["type"] == "MultiPolygon"
    assert written["geometry"]["coordinates"][1][0][0] == [20.12, 0]
    assert written["properties"] == {"objectType": "detection", "measurements": {"tumor": 0.75}}


@given(mask=arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=10)))
def test_masks_survive_the_file(mask):
    pieces = [p.scaled(16.03, 15.9) for p in mask_to_polygons(mask)]
    text = to_geojson([Shape((piece,), class_name="Tissue") for piece in pieces])
    back = [p for shape in read_geojson(text, "a").shapes for p in shape.polygons]
    assert np.array_equal(polygons_to_mask(back, mask.shape, scale=(16.03, 15.9)), mask)


@pytest.mark.parametrize(
    "content",
    [
        {"type": "FeatureCollection", "features": [feature()]},
        {
            "type": "FeatureCollection",
            "crs": {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::3857"}},
            "features": [feature(tissue_id=0)],
        },
        feature(),
        [feature()],
        {"type": "Polygon", "coordinates": [OUTER, HOLE]},
        feature("MultiPolygon", [[OUTER, HOLE]]),
        {
            "type": "Feature",
            "geometry": {
                "type": "GeometryCollection",
                "geometries": [{"type": "Polygon", "coordinates": [OUTER, HOLE]}],
            },
            "properties": None,
        },
        feature(coordinates=[OUTER[:-1], HOLE[:-1]]),  # not closed
        feature(coordinates=[[[x, y, 0] for x, y in OUTER], HOLE]),  # with a z
    ],
)
def test_all_forms_of_the_same_outline_are_read(content):
    (shape,) = read(content).shapes
    assert sum(polygon.area for polygon in shape.polygons) == AREA
    assert [len(polygon.holes) for polygon in shape.polygons] == [1]


@pytest.mark.parametrize(
    ("stated", "name", "color"),
    [
        ({"name": "Tumor", "color": [200, 0, 0]}, "Tumor", (200, 0, 0)),
        ({"name": "Tumor", "colorRGB": -3670016}, "Tumor", (200, 0, 0)),  # 0xFFC80000
        ({"names": ["Tumor", "Positive"], "color": [1, 2, 3]}, "Tumor: Positive", (1, 2, 3)),
        ("Tumor", "Tumor", None),
        (None, None, None),
        ({"color": "red"}, None, None),
    ],
)
def test_classes_of_all_versions_of_qupath(stated, name, color):
    (shape,) = read(feature(classification=stated)).shapes
    assert (shape.class_name, shape.color) == (name, color)


def test_objects_keep_their_kind_name_and_numbers():
    numbers = [{"name": "tumor", "value": 0.5}, {"name": "odd", "value": None}]
    (shape,) = read(feature(objectType="tile", name="A1", measurements=numbers)).shapes
    assert (shape.object_type, shape.name, shape.measurements) == ("tile", "A1", {"tumor": 0.5})
    (shape,) = read(feature(objectType="cell", measurements={"tumor": 1})).shapes
    assert (shape.object_type, shape.measurements) == ("annotation", {"tumor": 1.0})


def test_what_has_no_area_is_counted():
    found = read(
        [
            feature("Point", [1, 2]),
            feature("LineString", [[1, 2], [3, 4]]),
            feature("Point", [5, 2]),
            {"type": "Feature", "geometry": None, "properties": {}},
            feature(coordinates=[]),
            feature(),
        ]
    )
    assert len(found.shapes) == 1
    assert found.ignored == {
        "LineString": 1,
        "Point": 2,
        "empty Polygon": 1,
        "without geometry": 1,
    }


def test_offsets_of_slides_that_qupath_crops():
    text = to_geojson([Shape((square(1000, 2000, 50),))], offset=(900, 1800))
    corner = json.loads(text)["features"][0]["geometry"]["coordinates"][0][0]
    assert corner == [100, 200]
    (shape,) = read_geojson(text, "a", offset=(900, 1800)).shapes
    assert shape.polygons[0].exterior[0].tolist() == [1000, 2000]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "3",
        '"text"',
        "[1, 2]",
        "{}",
        '{"type": "FeatureCollection"}',
        json.dumps(feature(coordinates=[[[0, 0], [1, 1], [0, 0]]])),
        json.dumps(feature(coordinates=[[[0, 0], [1, "a"], [2, 0]]])),
        json.dumps(feature(coordinates=[[[0], [1], [2]]])),
        json.dumps(feature(coordinates=[[1, 2, 3]])),
        json.dumps(feature(coordinates="abc")),
        json.dumps(feature(coordinates=[[[0, 0], [1, float("nan")], [2, 0]]])),
        json.dumps({"type": "Feature", "geometry": 7}),
        json.dumps(feature() | {"properties": [1]}),
    ],
)
def test_what_is_no_geojson_is_refused_by_name(text):
    with pytest.raises(InputError, match=r"^a\.geojson.* is no GeoJSON"):
        read_geojson(text, "a.geojson")


def test_corners_without_a_place_are_not_written():
    with pytest.raises(InputError, match="without a place"):
        to_geojson([Shape((square(float("nan"), 0, 5),))])
