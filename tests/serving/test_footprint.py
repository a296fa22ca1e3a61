import re

import pytest

from dfk.errors import UserError
from dfk.serving.export import export
from dfk.serving.footprint import footprint


@pytest.mark.slow
def test_two_versions_take_more_memory_than_one(run, tmp_path):
    version = export(
        run, tmp_path, config=tmp_path / "models.config", with_memory=True
    )
    card = (version / "MODEL_CARD.md").read_text()
    one, empty, two = map(int, re.findall(r"(\d+) MiB", card.replace(",", "")))
    assert 100 < empty < one < two < 4000


@pytest.mark.slow
def test_what_cannot_be_loaded_has_no_footprint(tmp_path):
    with pytest.raises(UserError, match=r"leave out --memory.*saved_model\.pb"):
        footprint(tmp_path)
