"""The command ``histograft``: parses, calls, prints."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

import histograft
from histograft.cli.help import preset_help, shown_default, usage
from histograft.cli.layers import ConfigLayers
from histograft.cli.signals import Terminated, heard_sigterm
from histograft.cli.terminal import STDERR, STDOUT, TerminalReporter, print_error, print_table
from histograft.core.errors import HistograftError
from histograft.recipes import (
    demo,
    ftx,
    resolution_distillation,
    transfer_matrix,
    weight_distillation,
)
from histograft.verbs import (
    classify,
    compare,
    convert,
    distill,
    draw,
    embed,
    explain,
    export,
    fuse,
    ladder,
    matrix,
    pool,
    predict,
    rescale,
    standardize,
    train,
    transfer,
)
from histograft.verbs.doctor import Doctor

FAILED = 1
NOT_UNDERSTOOD = 2
INTERRUPTED = 130
TERMINATED = 143

app = App(
    name="histograft",
    help="Transfer learning in computational pathology: bring images to one physical scale, tune "
    "networks, embed, predict, and say with honest statistics whether it helped.\n\n"
    "Start with `histograft demo --out demo`. Every command resumes where it was interrupted.",
    version=histograft.__version__,
    help_format="markdown",
    # "--evaluate A B C" takes all three; only switches have a "--no-" form.
    default_parameter=Parameter(
        consume_multiple=True, negative_iterable=(), show_default=shown_default
    ),
    suppress_keyboard_interrupt=False,  # `main` says that the work can go on
)
run = App(name="run", help="Recipes: a whole paper on your own data in one command.")
app.command(run)


def _command(module: ModuleType, cls: type[Any], work: Callable[..., Any]) -> Callable[..., None]:
    """Make the command of a verb or recipe from its configuration and its function."""

    def command(config: Any, *, preset: Any = None, config_file: Any = None) -> None:
        del preset, config_file  # read by ConfigLayers
        done = work(config, TerminalReporter())
        text = str(done if isinstance(done, Path | str) else config.out)
        STDOUT.print(text, soft_wrap=isinstance(done, str), markup=False, highlight=False)

    names = tuple(sorted(module.PRESETS))
    command.__annotations__ = {
        "config": Annotated[cls, Parameter(name="*")],
        "preset": Annotated[
            Literal[names] | None,
            Parameter(help=preset_help(module.PRESETS)),
        ],
        "config_file": Annotated[
            Path | None, Parameter(name="--config", help="TOML file with the same options.")
        ],
        "return": None,
    }
    command.__doc__ = inspect.cleandoc(cls.__doc__ or "").split("\n\nAttributes")[0]
    return command


_COMMANDS: dict[tuple[str, ...], tuple[ModuleType, type[Any], Callable[..., Any]]] = {
    ("standardize",): (standardize, standardize.Standardize, standardize.standardize),
    ("rescale",): (rescale, rescale.Rescale, rescale.rescale),
    ("train",): (train, train.Train, train.train),
    ("fuse",): (fuse, fuse.Fuse, fuse.fuse),
    ("distill",): (distill, distill.Distill, distill.distill),
    ("embed",): (embed, embed.Embed, embed.embed),
    ("pool",): (pool, pool.Pool, pool.pool),
    ("classify",): (classify, classify.Classify, classify.classify),
    ("predict",): (predict, predict.Predict, predict.predict),
    ("compare",): (compare, compare.Compare, compare.compare),
    ("draw",): (draw, draw.Draw, draw.draw),
    ("explain",): (explain, explain.Explain, explain.explain),
    ("export",): (export, export.Export, export.export),
    ("transfer",): (transfer, transfer.Transfer, transfer.transfer),
    ("matrix",): (matrix, matrix.Matrix, matrix.matrix),
    ("ladder",): (ladder, ladder.Ladder, ladder.ladder),
    ("convert",): (convert, convert.Convert, convert.convert),
    ("demo",): (demo, demo.Demo, demo.demo),
    ("run", "ftx"): (ftx, ftx.Ftx, ftx.ftx),
    ("run", "transfer-matrix"): (
        transfer_matrix,
        transfer_matrix.TransferMatrix,
        transfer_matrix.transfer_matrix,
    ),
    ("run", "weight-distillation"): (
        weight_distillation,
        weight_distillation.WeightDistillation,
        weight_distillation.weight_distillation,
    ),
    ("run", "resolution-distillation"): (
        resolution_distillation,
        resolution_distillation.ResolutionDistillation,
        resolution_distillation.resolution_distillation,
    ),
}
for _path, (_module, _cls, _work) in _COMMANDS.items():
    (run if _path[0] == "run" else app).command(
        _command(_module, _cls, _work), name=_path[-1], usage=usage(_path, _cls)
    )
app.config = (ConfigLayers({path: (m[1], m[0].PRESETS) for path, m in _COMMANDS.items()}),)


@app.command
def verify(path: Path) -> int:
    """Re-hash every artefact at or below PATH and say exactly what is wrong.

    Parameters
    ----------
    path : Path
        Folder of an artefact, or one that holds several.
    """
    from histograft.core.verify import verify as verify_artefacts

    results = verify_artefacts(path)
    rows = [
        [
            _below(r.path, path),
            r.kind or "?",
            str(r.n_files),
            f"{r.n_bytes:,}",
            _state(len(r.findings)),
        ]
        for r in results
    ]
    print_table("artefacts", ["path", "kind", "files", "bytes", "state"], rows)
    findings = [finding for result in results for finding in result.findings]
    for finding in findings:
        where = finding.artefact / finding.file
        STDERR.print(f"[bold red]{finding.problem}[/bold red]: {where} ({finding.detail})")
    return 1 if findings else 0


def _below(folder: Path, top: Path) -> str:
    """Path of a folder below the one that was asked for."""
    return str(folder.relative_to(top))


def _state(n_findings: int) -> str:
    return "whole" if n_findings == 0 else f"{n_findings} finding(s)"


@app.command
def doctor(config: Annotated[Doctor, Parameter(name="*")]) -> int:
    """Open every slide before a run and print one table of what will happen to it.

    Nothing is written. Exit code 1 where a slide cannot be used.
    """
    from histograft.cli.doctor import print_diagnoses

    return print_diagnoses(config)


catalogue = App(
    name="catalogue",
    help="Public data sets that are known.",
    usage="Usage: histograft catalogue [NAME | COMMAND]",
)
app.command(catalogue)


@catalogue.default
def print_known(name: str | None = None) -> None:
    """List the public data sets that are known, or print one of them.

    Parameters
    ----------
    name : str
        A data set, such as NCT-CRC-HE-100K.
    """
    from histograft.cli.catalogue import print_catalogue, print_entry

    if name is None:
        print_catalogue()
    else:
        print_entry(name)


@catalogue.command(name="import")
def import_arrays(
    name: str, folder: Path, *, out: Path, per_class: tuple[str, ...] = (), seed: int = 0
) -> None:
    """Make images and a samples.csv of a data set that is released as HDF5 files.

    Parameters
    ----------
    name : str
        A data set, such as PCam.
    folder : Path
        Folder with the unpacked files.
    out : Path
        Folder for the images and samples.csv.
    per_class : tuple
        Most images of a class by split, such as train=1000 val=200; which ones, is drawn.
    seed : int
        Seed of which images are drawn.
    """
    from histograft.cli.catalogue import run_import

    run_import(name, folder, out, per_class=per_class, seed=seed)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and leave with its exit code.

    0: done; 1: an error of the work, which the message explains; 2: the command was not
    understood (an unknown option, preset or key of a --config file, or values that cannot be used
    together) and no work began; 130: interrupted; 143: ended by SIGTERM.
    """
    code = NOT_UNDERSTOOD
    try:
        command, bound, _ = app.parse_args(arguments)
        code = FAILED
        with heard_sigterm():
            result = command(*bound.args, **bound.kwargs)
    except HistograftError as error:
        print_error(error)
        sys.exit(code)
    except KeyboardInterrupt:
        STDERR.print("interrupted; run the same command again to go on from here")
        sys.exit(INTERRUPTED)
    except Terminated:
        STDERR.print("ended by SIGTERM; run the same command again to go on from here")
        sys.exit(TERMINATED)
    sys.exit(result if isinstance(result, int) else 0)
