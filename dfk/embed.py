r"""Makes embeddings of faces, and puts them into clusters.

  python -m dfk.embed PICTURES... [--faces] [--cluster=kmeans]
  python -m dfk.embed real_fake_faces/sample --model=runs/facenet
  python -m dfk.embed DATASET --classify

PICTURES are files and folders, with all below them; or one data set, as a
folder {train,valid,test}/{real,fake}/* or by its TFDS name. The name of a
sub-folder is whom its pictures show. With --model=facenet two embeddings are
near each other if they show the same person. Writes into --output_dir:

  embeddings.parquet  unit-length embeddings with what is known of each picture
  projector/          for tensorboard --logdir OUTPUT_DIR/projector
  clusters/           with --cluster: a map, a contact sheet a cluster

--classify instead fits classifiers on FaceNet's embedding and on --model's
features of several stages, and compares them. The best on validation is written
into --workdir, a run like those of dfk.train. `python -m dfk.ensemble` combines
it with trained runs.

Examples:
  python -m dfk.embed photographs --faces --cluster=agglomerative
  python -m dfk.embed faces --cluster=kmeans --clusters=8 --split=train
  python -m dfk.embed faces --classify --workdir=runs/classifier
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from absl import flags

from dfk import cli
from dfk.data import names
from dfk.errors import UserError

if TYPE_CHECKING:
    from dfk.embedding.clustering import Agreement
    from dfk.embedding.pipeline import Result

_MODEL = flags.DEFINE_string(
    "model",
    "facenet",
    "facenet, which tells people apart; the pretrained features of clip, "
    "resnet, efficientnet or efficientnet_lite; or, but for --classify, those "
    "of a run, a .keras file or default, the built-in detector.",
)
_FACES = flags.DEFINE_bool(
    "faces", False, "Crop each file to its largest face first."
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
    "classify", False, "Fit classifiers; the best of them becomes a run."
)
_LIMIT = flags.DEFINE_integer(
    "limit",
    None,
    "With --classify: use only the first so many pictures of each split, as "
    "dfk.train does.",
    lower_bound=2,
)
_IMAGE_SIZE = flags.DEFINE_integer(
    "image_size",
    None,
    "With --classify: side of the pictures in pixels; by default the data "
    "set's own, 128 for a folder. Runs of one size can be combined.",
    lower_bound=32,
)
_WORKDIR = flags.DEFINE_string(
    "workdir",
    None,
    "With --classify: folder of the run; by default runs/classifier-<time>.",
)

# What each of the two uses of this command has for itself.
_EMBED_ONLY = ("faces", "split", "output_dir", "format", "cluster", "clusters")
_CLASSIFY_ONLY = ("workdir", "limit", "image_size")
_MOST_NAMED, _MOST_ROWS = 10, 20


def main(argv: Sequence[str]) -> None:
    """Embeds what the command line names and prints what came out."""
    names.require_images(argv[1:])
    if _CLUSTERS.value and _CLUSTER.value not in ("kmeans", "agglomerative"):
        raise UserError(
            "--clusters is for --cluster=kmeans and --cluster=agglomerative: "
            f"leave it out. Received: --cluster={_CLUSTER.value}."
        )
    if _CLASSIFY.value:
        _classify(argv[1:])
        return
    if _given(_CLASSIFY_ONLY):
        raise UserError(
            f"{', '.join(_given(_CLASSIFY_ONLY))} is for --classify: add it."
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
    count, size = result.embeddings.values.shape
    print(
        f"{count:,} embedding{'' if count == 1 else 's'} of {size} numbers "
        f"(--model={_MODEL.value}): "
        f"{_OUTPUT_DIR.value}/embeddings.{_FORMAT.value}"
    )
    print(f"Next: tensorboard --logdir {_OUTPUT_DIR.value}/projector")


def _given(some: Sequence[str]) -> list[str]:
    return [f"--{name}" for name in some if flags.FLAGS[name].present]


def _classify(datasets: Sequence[str]) -> None:
    others = _given(_EMBED_ONLY)
    if len(datasets) != 1 or others:
        raise UserError(
            "--classify takes one data set, --model, --workdir, --limit and "
            f"--image_size. Received: {', '.join([*datasets, *others])}."
        )
    cli.start_tensorflow()
    from dfk.embedding.classify import classify

    run, record = classify(
        datasets[0],
        _MODEL.value,
        _WORKDIR.value,
        _LIMIT.value,
        _IMAGE_SIZE.value,
    )
    _print_classifiers(record)
    print(f"Run: {run.path}, made in {record['seconds']:.0f} s")
    print(f"Next: python -m dfk.evaluate {run.path}")


def _print_classifiers(record: dict[str, Any]) -> None:
    cli.print_table(
        f"{record['validation_images']:,} validation and "
        f"{record['test_images']:,} test pictures",
        (
            "",
            "cross-\nvalidation\nAUC",
            "validation\nlog loss",
            "validation\nAUC",
            "test\naccuracy",
            "test\nAUC",
        ),
        (
            (
                row["name"],
                f"{row['cv_auc']:.3f}",
                f"{row['validation']['log_loss']:.3f}",
                f"{row['validation']['roc_auc']:.3f}",
                f"{row['test']['accuracy']:.1%}",
                f"{row['test']['roc_auc']:.3f}",
            )
            for row in record["classifiers"]
        ),
    )
    print(f"The least log loss on validation: {record['chosen']}.")


def _print_skipped(skipped: Sequence[str]) -> None:
    if skipped:
        more = len(skipped) - _MOST_NAMED
        and_more = f"; and {more:,} more" if more > 0 else ""
        named = "; ".join(skipped[:_MOST_NAMED])
        print(f"Skipped {len(skipped):,}: {named}{and_more}.")


def _print_clusters(result: "Result") -> None:
    count = sum(row.number >= 0 for row in result.clusters)
    head = ["cluster", "pictures"]
    if result.agreements:
        head += [f"most frequent {result.agreements[0].truth}", "its share"]
    rows = [
        (
            "noise" if row.number < 0 else str(row.number),
            f"{row.images:,}",
            row.majority or "-",
            _percent(row.share),
        )[: len(head)]
        for row in result.clusters[:_MOST_ROWS]
    ]
    more = len(result.clusters) - _MOST_ROWS
    cli.print_table(
        f"{_CLUSTER.value}: {count:,}, {result.found.reason}",
        head,
        rows,
        f"and {more:,} more" if more > 0 else None,
    )
    if result.agreements:
        _print_agreements(result.agreements)


def _print_agreements(agreements: "Sequence[Agreement]") -> None:
    cli.print_table(
        "clusters against what is known",
        (
            "",
            "classes",
            "pictures",
            "adjusted Rand index",
            "purity",
            "purity of one cluster",
        ),
        (
            (
                entry.truth,
                f"{entry.classes:,}",
                f"{entry.images:,}",
                f"{entry.adjusted_rand_index:.3f}",
                _percent(entry.purity),
                _percent(entry.without_clusters),
            )
            for entry in agreements
        ),
    )


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


if __name__ == "__main__":
    cli.run(main)
