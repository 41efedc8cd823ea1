from __future__ import annotations

from train.common.tables import markdown_table


def test_a_table_has_a_line_a_row():
    table = markdown_table(["net", "MB"], [["sqdet", 4.75], ["squeezedet", 12]])
    assert table.splitlines() == ["| net | MB |", "|---|---|", "| sqdet | 4.75 |", "| squeezedet | 12 |"]


def test_a_table_without_rows_has_its_header():
    assert markdown_table(["a"], []) == "| a |\n|---|"
