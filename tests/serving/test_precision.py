import keras
import pytest
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import saved_model_pb2
from tiny import SIZE, assert_any_server_can_load, build_tiny

from dfk import models
from dfk.errors import UserError
from dfk.models.head import assemble
from dfk.prediction.signatures import signatures
from dfk.runs import Run
from dfk.serving import export as export_module
from dfk.serving.export import export
from dfk.serving.precision import compared


def only_pixels(detector):
    return {"images": signatures(detector)["images"]}


@pytest.fixture
def run_on(tmp_path):
    """A run that was trained on some data."""

    def write(**data_of_run):
        run = Run(tmp_path / "run")
        run.write_config({"model": "tiny", "image_size": SIZE, **data_of_run})
        return run

    return write


def offset_by_3000():
    """A detector of brightness, whose maps lie around 3000.

    There bfloat16's numbers lie 16 apart, and the maps differ by less than 3.
    """

    def backbone(images):
        x = convolution(4, 1 / 300, 3000)(images)
        return [convolution(1, 1 / 4, -3000)(x)]

    def convolution(filters, kernel, bias):
        return keras.layers.Conv2D(
            filters,
            1,
            kernel_initializer=keras.initializers.Constant(kernel),
            bias_initializer=keras.initializers.Constant(bias),
        )

    detector = assemble("tiny", SIZE, backbone)
    # Of the channel's mean and deviation, only the former.
    detector.get_layer("logit").kernel.assign([[1.0], [0.0]])
    return detector


def test_the_card_says_what_bfloat16_changes(
    run_on, faces_dir, monkeypatch, tmp_path
):
    # Without the decoder, which takes most of the time of an export.
    monkeypatch.setattr(export_module, "signatures", only_pixels)
    run = run_on(data_dir=str(faces_dir))
    build_tiny().save(run.model_path)
    version = export(
        run.path,
        tmp_path / "saved_models",
        config=tmp_path / "models.config",
        precision="bfloat16",
    )
    file = (version / "saved_model.pb").read_bytes()
    (graph,) = saved_model_pb2.SavedModel.FromString(file).meta_graphs
    assert_any_server_can_load(graph.graph_def)
    products = {
        node.attr["T"].type
        for function in graph.graph_def.library.function
        for node in function.node_def
        if node.op == "Conv2D"
    }
    assert products == {types_pb2.DT_FLOAT, types_pb2.DT_BFLOAT16}
    card = (version / "MODEL_CARD.md").read_text()
    assert "On the 40 pictures of validation its ROC AUC is\n" in card
    kept = models.load(version)
    assert {layer.compute_dtype for layer in kept.layers} == {"float32"}


def test_a_detector_that_loses_too_much_is_refused(run_on, faces_dir):
    run = run_on(data_dir=str(faces_dir))
    with pytest.raises(UserError, match=r"falls from 0\.9\d+ to 0\.5000 in"):
        compared(run, offset_by_3000())


@pytest.mark.parametrize(
    ("data_of_run", "reason"),
    [
        ({}, "does not say what they are"),
        ({"data_dir": "/nowhere/faces"}, "Received: No folder /nowhere/faces"),
    ],
)
def test_without_validation_pictures_it_is_refused(
    run_on, detector, data_of_run, reason
):
    with pytest.raises(UserError, match=reason):
        compared(run_on(**data_of_run), detector)


def test_another_precision_is_refused(run, tmp_path):
    with pytest.raises(UserError, match="Received: 'float16'"):
        export(run, tmp_path, precision="float16")
