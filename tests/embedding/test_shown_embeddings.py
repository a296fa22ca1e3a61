import numpy as np
import pytest
from matplotlib.axes import Axes
from PIL import Image
from tensorboard.plugins import base_plugin
from tensorboard.plugins.projector import projector_plugin
from werkzeug.test import Client

from dfk.embedding import contact_sheets, maps, projector, store
from dfk.embedding.clustering import Clustering
from dfk.evaluation.figures import COLORS

RED = tuple(bytes.fromhex(COLORS["fake"][1:]))


def colors(count, side=80):
    """Images of one colour each, red channel 0, 1, 2..."""
    images = np.full((count, side, side, 3), 90, np.uint8)
    images[..., 0] = np.arange(count)[:, None, None]
    return images


def table(count, clusters=None):
    random = np.random.default_rng(0)
    values = random.normal(size=(count, 6)).astype("float32")
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    columns = {name: np.full(count, "") for name in store.TEXTS}
    columns["id"] = np.array([f"a\t{i}" for i in range(count)])
    return store.Embeddings(values, columns, "runs/x", clusters)


def test_tensorboard_serves_what_is_written(tmp_path):
    made = table(5, np.array([0, 0, 1, 1, -1]))
    projector.write(tmp_path / "log", made, colors(5))
    context = base_plugin.TBContext(logdir=str(tmp_path / "log"))
    plugin = projector_plugin.ProjectorPlugin(context)
    apps = plugin.get_plugin_apps()

    def fetch(route, query="run=.&name=x"):
        return Client(apps[route]).get(f"/?{query}")

    info = fetch("/info", "run=.").json["embeddings"][0]
    assert info["tensorShape"] == [5, 6]
    assert info["sprite"]["singleImageDim"] == [80, 80]
    tensor = np.frombuffer(fetch("/tensor").data, "float32").reshape(5, 6)
    np.testing.assert_allclose(tensor, made.values, atol=1e-6)
    lines = fetch("/metadata").text.splitlines()
    assert lines[:2] == ["id\tcluster", "a 0\t0"]
    assert lines[-1] == "a 4\t-1"
    assert fetch("/sprite_image").data[:4] == b"\x89PNG"


def test_metadata_of_one_column_has_no_header(tmp_path):
    projector.write(tmp_path / "log", table(3), colors(3))
    lines = (tmp_path / "log" / "metadata.tsv").read_text().splitlines()
    assert lines == ["a 0", "a 1", "a 2"]


def test_thumbnails_lie_row_by_row_in_the_sprite(tmp_path):
    projector.write(tmp_path / "log", table(5), colors(5))
    sprite = Image.open(tmp_path / "log" / "sprite.png")
    assert sprite.size == (240, 240)
    assert sprite.getpixel((40, 120))[0] == 3


def test_a_sprite_stays_within_what_browsers_take(tmp_path):
    # A view of one number, so that large images cost no memory.
    large = np.broadcast_to(np.uint8(90), (4, 4200, 4200, 3))
    projector.write(tmp_path / "log", table(4), large)
    assert Image.open(tmp_path / "log" / "sprite.png").size == (8192, 8192)


def test_a_map_shows_labels_beside_identities(tmp_path):
    found = Clustering("kmeans", np.arange(12) % 2, "")
    truths = {
        "identity": np.array(["ann", "bob", "cid"] * 4),
        "label": np.array(["real", "fake"] * 6),
    }
    maps.write(tmp_path / "map.png", table(12).values, found, truths)
    width, height = Image.open(tmp_path / "map.png").size
    assert width == pytest.approx(3 * 0.923 * height, rel=0.01)


@pytest.mark.parametrize(
    ("count", "known", "panels"), [(2, False, 1), (6, True, 2), (31, True, 2)]
)
def test_a_map_has_a_panel_for_what_is_known(tmp_path, count, known, panels):
    found = Clustering("kmeans", np.arange(count) % 2, "")
    truth = np.where(np.arange(count) % 2, "fake", "real")
    truths = {"label": truth if known else np.full(count, "")}
    maps.write(tmp_path / "map.png", table(count).values, found, truths)
    width, height = Image.open(tmp_path / "map.png").size
    assert width == pytest.approx(panels * 0.923 * height, rel=0.01)


def test_names_are_neither_formulas_nor_hidden(tmp_path, monkeypatch):
    shown = []
    legend = Axes.legend

    def spy(axes, handles, labels, **options):
        made = legend(axes, handles, labels, **options)
        shown.extend(text.get_text() for text in made.get_texts())
        return made

    monkeypatch.setattr(Axes, "legend", spy)
    found = Clustering("kmeans", np.arange(6) % 2, "")
    truths = {"person": np.array(["_ann", "$b_{$"] * 3)}
    maps.write(tmp_path / "map.png", table(6).values, found, truths)
    assert {"_ann (3)", "$b_{$ (3)"} <= set(shown)


def test_the_nearest_to_the_centre_comes_first(tmp_path):
    angles = np.radians([40, 1, 0])
    values = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    found = Clustering("kmeans", np.zeros(3, int), "")
    (path,) = contact_sheets.write_all(tmp_path, colors(3), values, found)
    sheet = Image.open(path)
    shown = [sheet.getpixel((56 + 86 * i, 118))[0] for i in range(3)]
    assert shown == [1, 2, 0]


def test_each_cluster_has_a_sheet_and_noise_its_own(tmp_path):
    found = Clustering("hdbscan", np.array([0, 0, 1, -1]), "")
    files = contact_sheets.write_all(
        tmp_path, colors(4), table(4).values, found
    )
    names = [path.name for path in files]
    assert names == ["cluster-0.png", "cluster-1.png", "noise.png"]


def test_only_what_differs_from_the_majority_is_framed():
    truth = np.array(["ann", "bob", "ann", ""])
    sheet = contact_sheets.sheet("cluster 0", colors(4), truth)
    frames = [sheet.getpixel((16 + 86 * i, 78)) == RED for i in range(4)]
    assert frames == [False, True, False, False]


def test_a_sheet_shows_64_images_at_most():
    few = contact_sheets.sheet("cluster 0", colors(64)).size
    assert contact_sheets.sheet("cluster 0", colors(90)).size == few
