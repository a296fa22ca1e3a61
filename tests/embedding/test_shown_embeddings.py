import numpy as np
import pytest
from matplotlib.axes import Axes
from PIL import Image
from tensorboard.plugins import base_plugin
from tensorboard.plugins.projector import projector_plugin
from werkzeug.test import Client

from dfk.embedding import cluster_plots, store
from dfk.embedding.clustering import Clustering
from dfk.evaluation.plots import COLORS

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
    store.write_projector(tmp_path / "log", made, colors(5))
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
    store.write_projector(tmp_path / "log", table(3), colors(3))
    lines = (tmp_path / "log" / "metadata.tsv").read_text().splitlines()
    assert lines == ["a 0", "a 1", "a 2"]


def test_thumbnails_lie_row_by_row_in_the_sprite(tmp_path):
    store.write_projector(tmp_path / "log", table(5), colors(5))
    sprite = Image.open(tmp_path / "log" / "sprite.png")
    assert sprite.size == (240, 240)
    assert sprite.getpixel((40, 120))[0] == 3


def test_a_sprite_stays_within_what_browsers_take(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "_LARGEST_SPRITE", 100)
    store.write_projector(tmp_path / "log", table(4), colors(4))
    assert Image.open(tmp_path / "log" / "sprite.png").size == (100, 100)


@pytest.fixture
def drawn(monkeypatch):
    """The texts of each panel that is drawn: its title and its legend."""
    panels = {}
    legend, title = Axes.legend, Axes.set_title

    def spy_legend(axes, *arguments, **options):
        made = legend(axes, *arguments, **options)
        texts = [text.get_text() for text in made.get_texts()]
        panels.setdefault(axes, {})["legend"] = texts
        return made

    def spy_title(axes, text, **options):
        panels.setdefault(axes, {})["title"] = text
        return title(axes, text, **options)

    monkeypatch.setattr(Axes, "legend", spy_legend)
    monkeypatch.setattr(Axes, "set_title", spy_title)
    return panels


@pytest.mark.parametrize(("count", "method"), [(6, "PCA"), (31, "t-SNE")])
def test_a_map_shows_clusters_beside_what_is_known(
    tmp_path, drawn, count, method
):
    found = Clustering("kmeans", np.arange(count) % 2, "")
    # Names are neither formulas nor hidden.
    names = np.where(np.arange(count) % 3, "_ann", "$b_{$")
    truths = {"identity": names, "label": np.full(count, "")}
    path = tmp_path / "map.png"
    cluster_plots.write_map(path, table(count).values, found, truths)
    clusters, identities = drawn.values()
    assert clusters["title"] == f"By cluster: kmeans, {method}"
    assert identities["title"] == "By identity"
    known = sum(names == "_ann")
    assert identities["legend"] == [
        f"_ann ({known})",
        f"$b_{{$ ({count - known})",
    ]
    width, height = Image.open(path).size
    assert width == pytest.approx(2 * 0.923 * height, rel=0.01)


def test_what_is_rare_or_not_known_is_grey(tmp_path, drawn):
    assignments = np.array([0, 0, 1, 1, -1, -1])
    truth = np.array(["ann", "ann", "bob", "", "", ""])
    cluster_plots.write_map(
        tmp_path / "map.png",
        table(6).values,
        Clustering("hdbscan", assignments, ""),
        {"identity": truth},
    )
    clusters, identities = drawn.values()
    assert clusters["legend"] == ["0 (2)", "1 (2)", "noise (2)"]
    assert identities["legend"] == ["ann (2)", "bob (1)", "not known (3)"]


def test_the_nearest_to_the_centre_comes_first(tmp_path):
    angles = np.radians([40, 1, 0])
    values = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    found = Clustering("kmeans", np.zeros(3, int), "")
    (path,) = cluster_plots.write_contact_sheets(
        tmp_path, colors(3), values, found
    )
    sheet = Image.open(path)
    shown = [sheet.getpixel((56 + 86 * i, 118))[0] for i in range(3)]
    assert shown == [1, 2, 0]


def test_each_cluster_has_a_sheet_and_noise_its_own(tmp_path):
    found = Clustering("hdbscan", np.array([0, 0, 1, -1]), "")
    files = cluster_plots.write_contact_sheets(
        tmp_path, colors(4), table(4).values, found
    )
    names = [path.name for path in files]
    assert names == ["cluster-0.png", "cluster-1.png", "noise.png"]


def test_only_what_differs_from_the_majority_is_framed():
    truth = np.array(["ann", "bob", "ann", ""])
    sheet = cluster_plots.contact_sheet("cluster 0", colors(4), truth)
    frames = [sheet.getpixel((16 + 86 * i, 78)) == RED for i in range(4)]
    assert frames == [False, True, False, False]


def test_a_sheet_shows_64_images_at_most():
    few = cluster_plots.contact_sheet("cluster 0", colors(64)).size
    assert cluster_plots.contact_sheet("cluster 0", colors(90)).size == few
