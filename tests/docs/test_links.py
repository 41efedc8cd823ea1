"""Links between the pages lead somewhere: to a file of the tree, and to a heading that is in it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *ROOT.glob("samples/**/*.md"), *ROOT.glob("sqdet_cv/**/*.md")]
)
LINK = re.compile(r"\]\(([^)\s]+)\)")


def headings(page: Path) -> set[str]:
    """The names that GitHub gives to a page's headings."""
    outside = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    titles = re.findall(r"^#+ (.+)$", outside, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def broken_links(page: Path) -> list[str]:
    broken = []
    for link in LINK.findall(page.read_text()):
        if link.startswith(("http:", "https:", "mailto:")):
            continue
        name, _, heading = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.exists() or (heading and heading not in headings(target)):
            broken.append(link)
    return broken


def test_there_are_pages_and_links():
    assert {"README.md", "index.md", "history.md"} <= {page.name for page in PAGES}
    assert sum(len(LINK.findall(page.read_text())) for page in PAGES) > 30


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path):
    assert broken_links(page) == []


def test_the_check_finds_what_is_wrong(tmp_path: Path):
    page = tmp_path / "page.md"
    page.write_text("# A title, here\n[a](page.md#a-title-here) [b](gone.md) [c](#no-such) [d](https://example.org)\n")
    assert broken_links(page) == ["gone.md", "#no-such"]


def test_no_page_or_comment_names_a_page_that_went():
    gone = ("experiments" + ".md", "versions" + ".md")
    files = [
        path for folder in ("docs", "sqdet_cv", "train", "export", "benchmarks") for path in (ROOT / folder).rglob("*")
    ]
    texts = [path for path in (*files, ROOT / "README.md") if path.suffix in (".md", ".py")]
    assert [str(path) for path in texts if any(name in path.read_text() for name in gone)] == []
