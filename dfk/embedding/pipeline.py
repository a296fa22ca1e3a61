"""From images to embeddings, clusters, and what shows them."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dfk import data
from dfk.data.names import is_dataset
from dfk.embedding import cluster_plots, clustering, collection, store
from dfk.errors import UserError
from dfk.files import expanded, write_json
from dfk.models.extractors import extractor
from dfk.models.features import features


@dataclasses.dataclass(frozen=True)
class Result:
    """What `embed` made.

    Args:
        embeddings: the table that was written.
        skipped: sentences about files that were left out.
        found: the clusters, if any were asked for.
        clusters: a row a cluster.
        agreements: how well clusters and true classes agree.
    """

    embeddings: store.Embeddings
    skipped: list[str]
    found: clustering.Clustering | None = None
    clusters: Sequence[clustering.Summary] = ()
    agreements: Sequence[clustering.Agreement] = ()

    @property
    def truths(self) -> dict[str, np.ndarray]:
        """What the images truly show, by name; str `[N]`."""
        columns = self.embeddings.columns
        return {name: columns[name] for name in ("identity", "label")}


def embed(
    arguments: Sequence[str],
    model: str = "facenet",
    split: str = "all",
    faces: bool = False,
    output_dir: str | Path = "embeddings",
    file_format: str = "parquet",
    algorithm: str | None = None,
    count: int | None = None,
) -> Result:
    """Makes embeddings of images and writes all that shows them.

    Writes `embeddings.parquet` (or `.npz`), `projector/` for TensorBoard, and
    with an algorithm `clusters/` with `map.png`, a contact sheet a cluster,
    and `clusters.json`. What an earlier call wrote there is replaced.

    Args:
        arguments: files and folders, or the TFDS name of one data set.
        model: as for `dfk.models.extractors.extractor`.
        split: leaves only that split of a data set, except with `all`.
        faces: crops each file to its largest face first.
        output_dir: a folder that is empty or was written by this.
        file_format: `parquet` or `npz`.
        algorithm: one of `dfk.embedding.clustering.ALGORITHMS`, or None.
        count: the number of clusters, or None.

    Returns:
        What was made.

    Raises:
        UserError: no such images, model or data set, or no clusters.

    Example:
        >>> embed(["photographs"], faces=True, algorithm="kmeans").skipped
        ['photographs/tree.jpg shows no face']
    """
    folder = expanded(output_dir)
    store.require_own(folder)
    collected, values = _values(arguments, model, split, faces, folder)
    made = store.Embeddings(values, collected.columns, model)
    result = Result(made, collected.skipped)
    if algorithm:
        identities = made.columns["identity"]
        found = clustering.cluster(values, algorithm, count, identities)
        result = _with_clusters(result, found)
    thumbnails = collected.thumbnails
    with store.replaced(folder) as new:
        made = result.embeddings
        store.write(made, new / f"{store.TABLE}.{file_format}")
        store.write_projector(new / store.PROJECTOR, made, thumbnails)
        if algorithm:
            _write_clusters(new / store.CLUSTERS, thumbnails, result)
    return result


def _values(
    arguments: Sequence[str],
    model: str,
    split: str,
    faces: bool,
    folder: Path,
) -> tuple[collection.Collection, np.ndarray]:
    """Reads the images, and runs the network over them."""
    if not is_dataset(arguments):
        listed = collection.find(arguments, split, leave_out=folder)
    elif faces:
        raise UserError(
            f"{arguments[0]} holds faces that are cropped already: leave out "
            "--faces."
        )
    network = extractor(model)
    size = network.input_shape[1]
    if is_dataset(arguments):
        with data.unreadable_files():
            collected = collection.from_dataset(arguments[0], size, split)
    else:
        collected = collection.from_files(listed, size, faces)
    with data.unreadable_files():
        parts = [features(network, part).values for part in collected.splits]
    return collected, np.concatenate(parts)


def _with_clusters(result: Result, found: clustering.Clustering) -> Result:
    """The result with clusters, compared with what is known."""
    compared = clustering.agreements(found, result.truths)
    truth = _first_truth(result.truths, compared)
    return dataclasses.replace(
        result,
        embeddings=dataclasses.replace(
            result.embeddings, clusters=found.assignments
        ),
        found=found,
        clusters=clustering.summaries(found, truth),
        agreements=compared,
    )


def _first_truth(
    truths: dict[str, np.ndarray],
    compared: Sequence[clustering.Agreement],
) -> np.ndarray | None:
    """What is known of the images that the first comparison was with."""
    return truths[compared[0].truth] if compared else None


def _write_clusters(
    folder: Path, thumbnails: np.ndarray, result: Result
) -> None:
    folder.mkdir()
    found, values = result.found, result.embeddings.values
    compared = result.agreements
    truth = _first_truth(result.truths, compared)
    cluster_plots.write_map(folder / "map.png", values, found, result.truths)
    cluster_plots.write_contact_sheets(folder, thumbnails, values, found, truth)
    write_json(
        folder / "clusters.json",
        {
            "algorithm": found.algorithm,
            "model": result.embeddings.model,
            "chosen": found.reason,
            "agreements": [dataclasses.asdict(entry) for entry in compared],
            "clusters": [dataclasses.asdict(row) for row in result.clusters],
        },
    )
