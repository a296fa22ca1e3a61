import struct

import pytest
import tensorflow as tf
from PIL import Image

from dfk.images.headers import opened


@pytest.mark.filterwarnings("error")
def test_the_size_of_a_telephones_photograph_is_read(tmp_path):
    data = tf.io.encode_jpeg(tf.zeros([8, 8, 3], tf.uint8)).numpy()
    place = data.find(b"\xff\xc0") + 5
    sides = struct.pack(">HH", 12240, 16320)
    path = tmp_path / "200-megapixels.jpg"
    path.write_bytes(data[:place] + sides + data[place + 4 :])
    limit = Image.MAX_IMAGE_PIXELS
    with opened(path) as image:
        assert image.size == (16320, 12240)
    assert limit == Image.MAX_IMAGE_PIXELS


def test_what_is_no_image_is_not_opened(tmp_path):
    path = tmp_path / "notes.jpg"
    path.write_text("no picture")
    assert opened(path) is None
