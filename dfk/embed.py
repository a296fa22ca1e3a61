r"""Makes embeddings of faces, and puts them into clusters.

  python -m dfk.embed PICTURES... [--faces] [--cluster=kmeans]
  python -m dfk.embed real_fake_faces/sample --model=runs/facenet
  python -m dfk.embed DATASET --classify [--runs=RUN,RUN]

PICTURES are files and folders, with all below them; or one data set, as a
folder {train,valid,test}/{real,fake}/* or by its TFDS name. The name of a
sub-folder is whom its pictures show. With --model=facenet two embeddings are
near each other if they show the same person. Writes into --output_dir:

  embeddings.parquet  unit-length embeddings with what is known of each picture
  projector/          for tensorboard --logdir OUTPUT_DIR/projector
  clusters/           with --cluster: a map, a contact sheet a cluster

--classify instead fits classifiers on embeddings and on features of several
stages of --model, compares them with the trained detectors of --runs and with
a combination of all, and writes what is best on validation into --workdir, a
run like those of dfk.train.

Examples:
  python -m dfk.embed photographs --faces --cluster=agglomerative
  python -m dfk.embed faces --cluster=kmeans --clusters=8 --split=train
  python -m dfk.embed faces --classify --runs=runs/facenet,runs/cnn
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from absl import flags

from dfk import cli
from dfk.embedding import arguments
from dfk.errors import UserError
from dfk.runs import finished

if TYPE_CHECKING:
    from dfk.embedding.pipeline import Result

_MODEL = flags.DEFINE_string(
    "model",
    "facenet",
    "facenet, which tells people apart; the pretrained features of resnet, "
    "efficientnet or efficientnet_lite; or those of a run or .keras file.",
)
_FACES = flags.DEFINE_bool(
    "faces", False, "Cut the largest face out of each file first."
)
_SPLIT = flags.DEFINE_enum(
    "split",
    "all",
    ["all", "train", "validation", "test"],
    "Which pictures of a data set.",
)
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir", "embeddings", "Folder for the results."
)
_FORMAT = flags.DEFINE_enum(
    "format", "parquet", ["parquet", "npz"], "How embeddings are stored."
)
_CLUSTER = flags.DEFINE_enum(
    "cluster",
    None,
    ["kmeans", "agglomerative", "hdbscan"],
    "Put the embeddings into clusters.",
)
_CLUSTERS = flags.DEFINE_integer(
    "clusters",
    None,
    "How many clusters; by default as many as identities are known, else by "
    "silhouette. hdbscan finds the number itself.",
    lower_bound=2,
)
_CLASSIFY = flags.DEFINE_bool(
    "classify", False, "Fit classifiers and combine them with --runs."
)
_RUNS = flags.DEFINE_list(
    "runs", [], "With --classify: runs of dfk.train, of one image size."
)
_LIMIT = flags.DEFINE_integer(
    "limit",
    None,
    "With --classify: use only the first so many pictures of each split, as "
    "dfk.train does.",
    lower_bound=2,
)
_WORKDIR = flags.DEFINE_string(
    "workdir",
    None,
    "With --classify: folder of the winner's run; by default "
    "runs/combination-<time>.",
)

# Flags that say nothing to --classify.
_EMBED_ONLY = ("faces", "split", "output_dir", "format", "cluster", "clusters")
_MOST_NAMED, _MOST_ROWS = 10, 20


def main(argv: Sequence[str]) -> None:
    """Embeds what the command line names and prints what came out."""
    arguments.check(argv[1:])
    if _CLUSTERS.value and _CLUSTER.value not in ("kmeans", "agglomerative"):
        raise UserError(
            "--clusters is for --cluster=kmeans and --cluster=agglomerative: "
            f"leave it out. Received: --cluster={_CLUSTER.value}."
        )
    if _CLASSIFY.value:
        _classify(argv[1:])
        return
    if _RUNS.value or _WORKDIR.value or _LIMIT.value:
        raise UserError(
            "--runs, --workdir and --limit are for --classify: add it."
        )
    cli.start_tensorflow()
    from dfk.embedding.pipeline import embed

    result = embed(
        argv[1:],
        _MODEL.value,
        _SPLIT.value,
        _FACES.value,
        _OUTPUT_DIR.value,
        _FORMAT.value,
        _CLUSTER.value,
        _CLUSTERS.value,
    )
    _print_skipped(result.skipped)
    if result.clusters:
        _print_clusters(result)
        _print_agreements(result)
    count, size = result.embeddings.values.shape
    print(
        f"{count:,} embeddings of {size} numbers by {_MODEL.value}, in "
        f"{_OUTPUT_DIR.value}."
    )
    print(f"Next: tensorboard --logdir {_OUTPUT_DIR.value}/projector")


def _classify(datasets: Sequence[str]) -> None:
    others = [f"--{name}" for name in _EMBED_ONLY if flags.FLAGS[name].present]
    if len(datasets) != 1 or others:
        raise UserError(
            "--classify takes one data set, --model, --runs, --workdir and "
            f"--limit. Received: {', '.join([*datasets, *others])}."
        )
    # A wrong path is answered before TensorFlow takes seconds to import.
    finished(_RUNS.value)
    from rich.console import Console

    cli.start_tensorflow()
    from dfk.embedding.classification_tables import show
    from dfk.embedding.classify import classify

    run, record = classify(
        datasets[0],
        _MODEL.value,
        _RUNS.value,
        _WORKDIR.value,
        _LIMIT.value,
    )
    show(Console(markup=False), record)
    print(f"Run: {run.path}, made in {record['seconds']:.0f} s")
    print(f"Next: python -m dfk.export {run.path}")


def _print_skipped(skipped: Sequence[str]) -> None:
    if skipped:
        more = len(skipped) - _MOST_NAMED
        and_more = f"; and {more:,} more" if more > 0 else ""
        named = "; ".join(skipped[:_MOST_NAMED])
        print(f"Skipped {len(skipped):,}: {named}{and_more}.")


def _print_clusters(result: "Result") -> None:
    from rich.console import Console
    from rich.table import Table

    count = sum(row.number >= 0 for row in result.clusters)
    table = Table(title=f"{_CLUSTER.value}: {count:,}, {result.chosen}")
    table.add_column("cluster", justify="right")
    table.add_column("pictures", justify="right")
    truth = result.agreements[0].truth if result.agreements else None
    if truth:
        table.add_column(f"most frequent {truth}")
        table.add_column("its share", justify="right")
    for row in result.clusters[:_MOST_ROWS]:
        table.add_row(
            "noise" if row.number < 0 else str(row.number),
            f"{row.images:,}",
            *((row.majority or "-", _percent(row.share)) if truth else ()),
        )
    if len(result.clusters) > _MOST_ROWS:
        table.caption = f"and {len(result.clusters) - _MOST_ROWS:,} more"
    Console(markup=False).print(table)


def _print_agreements(result: "Result") -> None:
    from rich.console import Console
    from rich.table import Table

    if not result.agreements:
        return
    table = Table(title="clusters against what is known")
    for name in (
        "",
        "classes",
        "pictures",
        "adjusted Rand index",
        "purity",
        "purity of one cluster",
    ):
        table.add_column(name, justify="right" if name else "left")
    for entry in result.agreements:
        table.add_row(
            entry.truth,
            f"{entry.classes:,}",
            f"{entry.images:,}",
            f"{entry.adjusted_rand_index:.3f}",
            _percent(entry.purity),
            _percent(entry.without_clusters),
        )
    Console(markup=False).print(table)


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


if __name__ == "__main__":
    cli.run(main)
