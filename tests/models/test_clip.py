"""CLIP's tower and its weights against keras-cv's implementation."""

import keras
import numpy as np
import pytest
from keras_cv.models.feature_extractor import CLIPImageEncoder
from safetensors.numpy import save_file

from dfk.errors import UserError
from dfk.models import clip, clip_weights
from dfk.models.layers import FlipPairs

WIDTH, HEADS, BLOCKS, PATCH, SIZE = 32, 4, 2, 8, 32


@pytest.fixture(scope="module")
def reference():
    """keras-cv's tower, with all weights unlike a new model's."""
    keras.utils.set_random_seed(5)
    model = CLIPImageEncoder(SIZE, PATCH, WIDTH, BLOCKS, HEADS, clip.PROJECTION)
    model.build((None, SIZE, SIZE, 3))
    rng = np.random.default_rng(5)
    for weight in model.weights:
        weight.assign(weight + rng.normal(0, 0.1, weight.shape))
    return model


@pytest.fixture(scope="module")
def tensors(reference):
    """Its weights as Hugging Face names them."""
    embeddings = reference.embeddings
    found = {
        "embeddings.class_embedding": embeddings.class_embedding.numpy(),
        "embeddings.patch_embedding.weight": (
            embeddings.conv1.kernel.numpy().transpose(3, 2, 0, 1)
        ),
        "embeddings.position_embedding.weight": (
            embeddings.positional_embedding.numpy()
        ),
    }

    def add(name, layer):
        first, bias = layer.get_weights()
        found[f"{name}.weight"], found[f"{name}.bias"] = first.T, bias

    add("pre_layrnorm", reference.pre_norm)
    add("post_layernorm", reference.post_norm)
    for number, block in enumerate(reference.encoder.resblocks):
        name = f"encoder.layers.{number}"
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            add(f"{name}.self_attn.{part}", getattr(block.attn, part))
        add(f"{name}.layer_norm1", block.ln_1)
        add(f"{name}.layer_norm2", block.ln_2)
        add(f"{name}.mlp.fc1", block.mlp_dense_1)
        add(f"{name}.mlp.fc2", block.mlp_dense_2)
    projection = reference.image_projector.get_weights()[0].T
    return {f"vision_model.{name}": value for name, value in found.items()} | {
        "visual_projection.weight": projection
    }


def _tower(size=SIZE):
    images = keras.Input((size, size, 3))
    tokens, embedding = clip.image_tower(images, WIDTH, HEADS, BLOCKS, PATCH)
    return keras.Model(images, [tokens[-1], embedding])


def _images(size=SIZE):
    return np.random.default_rng(0).uniform(0, 255, (3, size, size, 3))


def _expected(reference):
    mean = np.array([0.48145466, 0.4578275, 0.40821073])
    deviation = np.array([0.26862954, 0.26130258, 0.27577711])
    embedding = reference((_images() / 255 - mean) / deviation).numpy()
    return embedding / np.linalg.norm(embedding, axis=1, keepdims=True)


def _openai(tensors):
    """The same weights as OpenAI names them."""
    found = {}
    for name, values in tensors.items():
        for ours, theirs in (
            ("vision_model.embeddings.patch_embedding", "visual.conv1"),
            (
                "vision_model.embeddings.position_embedding.weight",
                "visual.positional_embedding",
            ),
            ("vision_model.embeddings.", "visual."),
            ("vision_model.pre_layrnorm", "visual.ln_pre"),
            ("vision_model.post_layernorm", "visual.ln_post"),
            ("vision_model.encoder.layers", "visual.transformer.resblocks"),
            ("self_attn", "attn"),
            ("layer_norm", "ln_"),
            ("fc1", "c_fc"),
            ("fc2", "c_proj"),
        ):
            name = name.replace(ours, theirs)
        found[name] = values
    found["visual.proj"] = found.pop("visual_projection.weight").T.copy()
    for name in [name for name in found if ".q_proj." in name]:
        parts = [found.pop(name.replace("q_", f"{p}_")) for p in "qkv"]
        found[name.replace("q_proj.", "in_proj_")] = np.concatenate(parts)
    return found


@pytest.mark.parametrize("names", ["Hugging Face", "OpenAI"])
def test_the_tower_embeds_as_keras_cvs_does(
    reference, tensors, names, tmp_path
):
    file = tmp_path / "clip.safetensors"
    stored = tensors if names == "Hugging Face" else _openai(tensors)
    save_file({k: np.ascontiguousarray(v) for k, v in stored.items()}, file)
    tower = _tower()
    clip_weights.load_from_file(tower, file)
    _, embedding = tower(_images())
    np.testing.assert_allclose(embedding, _expected(reference), atol=1e-5)


def test_other_sizes_have_interpolated_positions(tensors):
    tower = _tower(size=48)
    clip_weights.fill(tower, tensors)
    positions = tower.get_layer("tokens").positions.numpy()
    given = tensors["vision_model.embeddings.position_embedding.weight"]
    assert positions.shape == (1 + 36, WIDTH)
    np.testing.assert_array_equal(positions[0], given[0])
    np.testing.assert_allclose(
        positions[1:].mean(axis=0), given[1:].mean(axis=0), atol=0.05
    )


@pytest.mark.parametrize("content", [b"", b"no tensors at all"])
def test_a_file_of_another_kind_is_a_sentence(content, tmp_path):
    file = tmp_path / "clip.safetensors"
    file.write_bytes(content)
    with pytest.raises(UserError, match=r"clip\.safetensors holds no weights"):
        clip_weights.load_from_file(_tower(), file)


def test_missing_tensors_are_a_sentence(tensors, tmp_path):
    file = tmp_path / "clip.safetensors"
    save_file({"visual_projection.weight": np.zeros((512, WIDTH))}, file)
    with pytest.raises(UserError, match="patch_embedding"):
        clip_weights.load_from_file(_tower(), file)


def test_the_head_sees_class_token_mean_and_deviation():
    tokens = np.float32([[[5, 6], [1, 2], [3, 2]]])
    pooled = clip.TokenPooling()(tokens)
    np.testing.assert_allclose(pooled, [[5, 6, 2, 2, 1, 0]], atol=4e-3)


def test_a_tower_reloads_in_safe_mode_with_what_it_also_computes(tmp_path):
    images = keras.Input((SIZE, SIZE, 3))
    tokens, embedding = clip.image_tower(images, WIDTH, HEADS, BLOCKS, PATCH)
    kept = clip.AlsoComputes()([tokens[0], embedding])
    model = keras.Model(images, clip.TokenPooling()(kept))
    model.save(tmp_path / "tower.keras")
    loaded = keras.models.load_model(tmp_path / "tower.keras", safe_mode=True)
    np.testing.assert_array_equal(loaded(_images()), model(_images()))
    embedder = keras.Model(loaded.input, loaded.get_layer("embedding").output)
    assert embedder(_images()).shape == (3, clip.PROJECTION)


def test_features_without_flips_stand_alone():
    assert FlipPairs(1)(np.zeros((4, 6))).shape == (4, 1, 6)
    assert FlipPairs(2)(np.zeros((4, 6))).shape == (2, 2, 6)
