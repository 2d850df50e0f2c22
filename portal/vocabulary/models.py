"""Categories form a tree, products belong to families, tags are flat."""

from sqlalchemy import ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal.extensions import Base


class Named:
    """What every word of the vocabulary has: a stable slug for addresses, and a name in each language."""

    id: Mapped[int] = mapped_column(primary_key=True)
    slug: Mapped[str] = mapped_column(String(120), unique=True)
    name: Mapped[str] = mapped_column(String(120))
    name_zh: Mapped[str | None] = mapped_column(String(120))

    def label(self, locale: str) -> str:
        """Return the name in the reader's language, or the English one where there is none."""
        return self.name_zh if locale.startswith("zh") and self.name_zh else self.name


class Category(Named, Base):
    """A place in the tree.  Its audience narrows that of all articles below it."""

    __tablename__ = "category"

    parent_id: Mapped[int | None] = mapped_column(ForeignKey("category.id"), index=True)
    position: Mapped[int] = mapped_column(default=0)
    description: Mapped[str] = mapped_column(Text, default="")
    description_zh: Mapped[str] = mapped_column(Text, default="")
    audience: Mapped[str] = mapped_column(String(20), default="public")
    effective_audience: Mapped[str] = mapped_column(String(20), default="public")
    """The narrowest audience from here up to the root; kept by `categories.save`."""
    version: Mapped[int] = mapped_column(default=1)

    parent: Mapped["Category | None"] = relationship(remote_side="Category.id", back_populates="children")
    children: Mapped[list["Category"]] = relationship(back_populates="parent", order_by="Category.position")

    def about(self, locale: str) -> str:
        """Return the description in the reader's language, or the English one where there is none."""
        return self.description_zh if locale.startswith("zh") and self.description_zh else self.description

    def path(self) -> list["Category"]:
        """Return the categories from the root down to this one."""
        above: list[Category] = []
        here: Category | None = self
        while here is not None and here not in above:
            above.append(here)
            here = here.parent
        return above[::-1]


class ProductFamily(Named, Base):
    """A line of products."""

    __tablename__ = "product_family"

    products: Mapped[list["Product"]] = relationship(back_populates="family", order_by="Product.name")


class Product(Named, Base):
    """Something the company sells and supports."""

    __tablename__ = "product"

    family_id: Mapped[int | None] = mapped_column(ForeignKey("product_family.id"), index=True)
    part_number: Mapped[str | None] = mapped_column(String(60))
    is_discontinued: Mapped[bool] = mapped_column(default=False)

    family: Mapped[ProductFamily | None] = relationship(back_populates="products")


class Tag(Named, Base):
    """A free word; articles, records and customers carry them."""

    __tablename__ = "tag"
