import pytest
from splits import column

from dfk.data import sources
from dfk.errors import UserError


def test_groups_come_from_the_table(folder):
    data = sources.load(str(folder), image_size=8, splits=["test"])
    split = data.splits["test"]
    assert column(split, "group") == column(split, "id")
    (folder / "groups.csv").write_text("path,group\ntest/fake/0.jpg,a\n")
    data = sources.load(str(folder), image_size=8, splits=["test"])
    groups = column(data.splits["test"], "group")
    assert groups[:2] == [b"test/real/0.jpg", b"a"]


def test_a_table_without_its_columns_is_refused(folder):
    (folder / "groups.csv").write_text("file;video\n")
    with pytest.raises(UserError, match=r"groups\.csv.*path,group"):
        sources.load(str(folder))


def test_a_image_without_a_group_is_one_of_its_own(folder):
    # Also in a row that ends early; and Excel's mark in front is no matter.
    rows = "path,group\ntest/fake/0.jpg,\ntest/fake/1.jpg\ntest/real/0.jpg,a\n"
    (folder / "groups.csv").write_text(rows, encoding="utf-8-sig")
    split = sources.load(str(folder), splits=["test"]).splits["test"]
    groups = column(split, "group")
    assert groups[:2] == [b"a", b"test/fake/0.jpg"]
    assert len(set(groups)) == split.size


def test_a_row_that_ends_early_may_lack_its_path(folder):
    (folder / "groups.csv").write_text("group,path\nb\na,test/real/0.jpg\n")
    split = sources.load(str(folder), splits=["test"]).splits["test"]
    assert column(split, "group")[0] == b"a"


def test_a_table_in_another_encoding_is_refused(folder):
    (folder / "groups.csv").write_bytes(
        "path,group\na,André\n".encode("cp1252")
    )
    with pytest.raises(UserError, match=r"groups\.csv is no UTF-8 text"):
        sources.load(str(folder))


def test_a_table_of_other_files_is_refused(folder):
    # Its images would silently count as independent.
    (folder / "groups.csv").write_text("path,group\nother/0.jpg,a\n")
    with pytest.raises(UserError, match=r"no file .* such as 'other/0\.jpg'"):
        sources.load(str(folder))
