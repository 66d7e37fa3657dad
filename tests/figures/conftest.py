"""Tables of the shapes that the verbs hand over; names chosen to hurt."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from histograft.figures.page import Page, Picture, Section, Table
from histograft.figures.style import figure_bytes, new_figure

NASTY = '<script>alert("x")</script>'

MODELS = {
    "imgnet-gap": "ImageNet (GAP)",
    "ftx-dense": "FTX, tuned in two steps",
    "uni-x": "Ünï <b>",
    "shortcut-rgb": "Shortcut: mean RGB",
}
SETS = {
    "colon": ("cv", ["STR", "TUM"]),
    "Lunge & Ümläut": ("external", ["<script>alert(1)</script>", "$a_b$ 鱗状", "n" * 80]),
}


def make_results(seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(seed)
    repeats, results = [], []
    for dataset, (protocol, classes) in SETS.items():
        for model, label in MODELS.items():
            for metric in ["accuracy", *(f"recall:{name}" for name in classes)]:
                names = {"dataset": dataset, "protocol": protocol, "model": model, "label": label}
                names["metric"] = metric
                values = rng.uniform(0.7, 0.95, 10)
                for repeat, value in enumerate(values):
                    repeats.append(names | {"repeat": repeat, "value": value})
                compared = model != "imgnet-gap" and metric == "accuracy"
                low = values.mean() - 0.8
                results.append(
                    names
                    | {"target": "tissue", "value": values.mean(), "ci_low": values.mean() - 0.04}
                    | {"ci_high": values.mean() + 0.03, "ci_unit": "group", "n_units": 1500}
                    | {"n_groups": 40, "repeat_sd": values.std(ddof=1)}
                    | {"compared_with": "imgnet-gap" if compared else None}
                    | {"difference": low if compared else np.nan}
                    | {"difference_low": low - 0.05, "difference_high": low + 0.02}
                    | {"test": "corrected t", "p_value": 0.01, "p_adjusted": 0.03}
                )
    return pd.DataFrame(repeats), pd.DataFrame(results)


def make_confusion() -> pd.DataFrame:
    rows = []
    for dataset, (protocol, classes) in SETS.items():
        for model in ("imgnet-gap", "ftx-dense"):
            names = {"dataset": dataset, "protocol": protocol, "model": model}
            names["label"] = MODELS[model]
            for i, truth in enumerate(classes):
                for j, predicted in enumerate(classes):
                    count = 90.0 if i == j else 5.25 * j
                    rows.append(names | {"truth": truth, "predicted": predicted, "count": count})
    return pd.DataFrame(rows)


def make_projection() -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(1)
    points, scores = [], []
    for dataset, (_, classes) in SETS.items():
        for model in ("imgnet-gap", "ftx-dense"):
            xy = rng.normal(size=(len(classes) * 12, 2))
            table = pd.DataFrame({"x": xy[:, 0], "y": xy[:, 1], "class": classes * 12})
            points.append(table.assign(dataset=dataset, model=model, label=MODELS[model]))
            scores.append(
                {"dataset": dataset, "model": model, "knn_accuracy": 0.912, "silhouette": -0.05}
            )
    return pd.concat(points), pd.DataFrame(scores)


def make_samples() -> dict[str, dict[str, list[np.ndarray]]]:
    rng = np.random.default_rng(2)
    return {
        dataset: {
            name: [rng.integers(0, 256, (40, 30, 3), dtype=np.uint8) for _ in range(3)]
            for name in classes
        }
        for dataset, (_, classes) in SETS.items()
    }


def make_history() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "step": ["head"] * 3 + ["all"] * 2,
            "epoch": [1, 2, 3, 1, 2],
            "train_loss": [1.0, 0.5, 0.3, 0.2, 0.1],
            "train_accuracy": [0.5, 0.7, 0.8, 0.9, 0.95],
        }
    )


@pytest.fixture
def repeats() -> pd.DataFrame:
    return make_results()[0]


@pytest.fixture
def results() -> pd.DataFrame:
    return make_results()[1]


@pytest.fixture
def confusion() -> pd.DataFrame:
    return make_confusion()


@pytest.fixture
def projection() -> pd.DataFrame:
    return make_projection()[0]


@pytest.fixture
def scores() -> pd.DataFrame:
    return make_projection()[1]


@pytest.fixture
def samples() -> dict[str, dict[str, list[np.ndarray]]]:
    return make_samples()


@pytest.fixture
def history() -> pd.DataFrame:
    return make_history()


@pytest.fixture
def example_page() -> Page:
    figure = new_figure(9.0, 2.0)
    figure.subplots().plot([0, 1])
    svg = figure_bytes(figure, "svg").decode()
    frame = pd.DataFrame(
        {
            "dataset": ["colon", "colon", NASTY],
            "value": [0.98412, 1.0, np.nan],
            "p_adjusted": [0.00001, 0.04321, np.nan],
            "n_units": [1500, 1500, 7],
            "a rather long column of words": ["x" * 300, "two words", "Ümläut"],
        }
    )
    section = Section(
        f"Accuracy {NASTY}",
        (f"Read `a<b>` and https://doi.org/10.1000/x?a=1&b=2. {NASTY}", "y" * 400),
        (Picture((svg, svg), f"A caption {NASTY}", f'Alt " {NASTY}'),),
        (Table(frame, "Results", {"value": "share & right"}, {"n_units": "patches"}),),
        ("histograft run ftx " + "--evaluate a-long-folder-name " * 12 + NASTY,),
    )
    return Page(
        f"Report {NASTY}",
        "Tuning helped.",
        (f"colon {NASTY}: by 2 points", "no colon here"),
        (f"Synthetic {NASTY}",),
        (section, Section("Empty", (), (), (Table(frame.iloc[:0], "Nothing"),))),
        {"resampling unit": "group", NASTY: NASTY},
        {"network": "0123456789abcdef" * 4},
    )
