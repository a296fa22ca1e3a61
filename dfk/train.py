"""Trains a face-forgery detector.

  python -m dfk.train                              # CLIP on the sample data
  python -m dfk.train --model=resnet --data_dir=FACES
  python -m dfk.train --dataset=real_fake_faces/kaggle --seed=1

FACES is a folder laid out {train,valid,test}/{real,fake}/*. Phase one fits the
head on the frozen backbone, phase two fine-tunes the upper stages; the best
epoch on validation is kept and calibrated. A detector without pretrained
weights skips phase one and may end with its regression instead. A run that was
stopped goes on when its command is repeated.
"""

import re
from pathlib import Path

from absl import flags

from dfk import cli

FLAGS = flags.FLAGS


def _detectors() -> list[str]:
    """The detectors' names, from their files: importing them is slow."""
    files = Path(__file__).with_name("models").glob("*.py")
    texts = (file.read_text(encoding="utf-8") for file in files)
    pattern = re.compile(r'^@register\(\s*"(\w+)"', re.MULTILINE)
    return sorted(name for text in texts for name in pattern.findall(text))


flags.DEFINE_string("model", "clip", f"Detector: {', '.join(_detectors())}.")
flags.DEFINE_string(
    "weights",
    "default",
    "Pretrained weights: default, a name (facenet knows ms-celeb-1m, vggface2 "
    "and casia-webface), a file, or none for random ones.",
)
flags.DEFINE_string(
    "dataset",
    None,
    "TFDS data set: real_fake_faces/sample (the default, 117 photographs and "
    "their self-blended fakes), real_fake_faces/kaggle (the 16,000/800/4,000 "
    "protocol) or real_fake_faces/kaggle_full.",
)
flags.DEFINE_string(
    "data_dir",
    None,
    "Folder of pictures laid out {train,valid,test}/{real,fake}/*, instead of "
    "--dataset. Several, separated by commas, are trained on together, with as "
    "many pictures of each.",
)
flags.DEFINE_string(
    "manual_dir", None, "Where Kaggle's archive was unpacked by hand."
)
flags.DEFINE_integer(
    "image_size",
    None,
    "Side of the pictures in pixels; by default the data set's own; of a "
    "folder 224 with clip, else 128.",
    lower_bound=32,
)
flags.DEFINE_integer(
    "limit",
    None,
    "Use only the first so many pictures of each split, for trying out.",
    lower_bound=2,
)
flags.DEFINE_float(
    "blend",
    0.0,
    "Add self-blended fakes of this share of the real training pictures with a "
    "face, 0 to 1, so that the detector also learns what face swaps leave "
    "behind. The ROC AUC on self-blends of validation then counts as well when "
    "the best epoch is chosen.",
    lower_bound=0.0,
    upper_bound=1.0,
)
flags.DEFINE_float(
    "augment",
    0.0,
    "Fit a head on frozen features to changed copies of this share of the "
    "training pictures as well, 0 to 1, so that it expects pictures that were "
    "moved, resized and compressed again. What fine-tuning trains on is always "
    "changed.",
    lower_bound=0.0,
    upper_bound=1.0,
)
flags.DEFINE_string(
    "unfreeze",
    None,
    "First stage of the backbone that fine-tuning trains, with all after it; "
    "all, or none to stop after the head. By default the recipe's.",
)
flags.DEFINE_integer(
    "epochs",
    None,
    "Epochs of fine-tuning, at most; by default the recipe's, which are fewer "
    "for more than 1,400 pictures.",
    lower_bound=1,
)
flags.DEFINE_integer(
    "batch_size", None, "Pictures a step, over all devices.", lower_bound=1
)
flags.DEFINE_integer(
    "accumulate",
    1,
    "Steps whose gradients make one update: as larger batches would, which "
    "do not fit into memory.",
    lower_bound=1,
)
flags.DEFINE_float(
    "learning_rate", None, "Peak learning rate of fine-tuning.", lower_bound=0
)
flags.DEFINE_string(
    "strategy",
    "auto",
    "Devices: auto (every GPU, else the CPU), one_device, mirrored, or "
    "multi_worker (reads TF_CONFIG).",
)
flags.DEFINE_string(
    "precision",
    "float32",
    "Of the training: float32, mixed_float16 (for GPUs) or mixed_bfloat16 (for "
    "CPUs with instructions for it, too). The detector computes in float32.",
)
flags.DEFINE_integer("seed", 0, "Seed of everything random.", lower_bound=0)
flags.DEFINE_integer(
    "repeats",
    1,
    "Train with so many seeds, from --seed on, each as a run of its own in "
    "the folder, and report mean and range.",
    lower_bound=1,
)
flags.DEFINE_string(
    "workdir",
    None,
    "Folder of the run; by default runs/<model>-<time>, or the unfinished run "
    "there that had the same flags.",
)


def main(argv):
    """Turns the flags into a configuration and trains."""
    cli.no_arguments(argv)
    if FLAGS.dataset is None and FLAGS.data_dir is None:
        print(
            "Data: the built-in sample. For the Kaggle protocol pass "
            "--dataset=real_fake_faces/kaggle; for your own pictures, "
            "--data_dir=FOLDER.",
            flush=True,
        )
    cli.start_tensorflow()
    import dataclasses

    from dfk.training.config import Config
    from dfk.training.repeats import train

    values = {
        field.name: FLAGS[field.name].value
        for field in dataclasses.fields(Config)
    }
    train(Config(**values), FLAGS.repeats, FLAGS.workdir)


if __name__ == "__main__":
    cli.run(main, after_stop="The same command continues this run.")
