"""The tree of categories as one viewer sees it: how everything is called and how much of it they may read."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from portal.access import Viewer
from portal.knowledge import lists
from portal.vocabulary import categories
from portal.vocabulary.models import Category


@dataclass(slots=True, kw_only=True)
class Shelf:
    """A category with the shelves below it.  `count` is exact for the viewer and includes what lies below."""

    category: Category
    label: str
    count: int
    depth: int
    children: list["Shelf"] = field(default_factory=list)

    @property
    def href(self) -> str:
        """Its address."""
        return f"/categories/{self.category.slug}"

    def walk(self) -> Iterator["Shelf"]:
        """Yield this shelf and all below it, as they are read."""
        yield self
        for child in self.children:
            yield from child.walk()


def build_tree(viewer: Viewer, locale: str) -> list[Shelf]:
    """Return the shelves of the first level with all below them: two queries, however deep the tree is."""
    counts = lists.count_by_category(viewer)
    shelves: dict[int, Shelf] = {}
    tops: list[Shelf] = []
    for category in categories.load_all(viewer):
        above = shelves.get(category.parent_id or 0)
        shelf = Shelf(
            category=category,
            label=category.label(locale),
            count=counts.get(category.id, 0),
            depth=above.depth + 1 if above else 0,
        )
        shelves[category.id] = shelf
        (above.children if above else tops).append(shelf)
    for top in tops:
        _add_up(top)
    return tops


def find_shelf(tops: Sequence[Shelf], slug: str) -> Shelf | None:
    """Return the shelf of a slug anywhere in the tree."""
    return next((shelf for top in tops for shelf in top.walk() if shelf.category.slug == slug), None)


def trail(category: Category | None, locale: str) -> list[tuple[str, str]]:
    """Return the breadcrumbs down to a category: `(label, href)`."""
    if category is None:
        return []
    return [(above.label(locale), f"/categories/{above.slug}") for above in category.path()]


def _add_up(shelf: Shelf) -> int:
    shelf.count += sum(_add_up(child) for child in shelf.children)
    return shelf.count
