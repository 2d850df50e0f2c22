"""Texts that grow or stall when they are formatted: each ends within the caps, whole or escaped with the reason.

`BOMB_BYTES=190000` makes each as long as a text may be.
"""

import html as entities
import os
import random
import time

import pytest

from portal import renderer
from portal.markup import REASONS, Source, render, render_many

BYTES = int(os.environ.get("BOMB_BYTES", "6000"))
HERE = renderer.Renderer()


def fill(unit: str, before: str = "", after: str = "", per_paragraph: int = 0) -> str:
    """Return a text of `BYTES` characters: the unit again and again, also in paragraphs of so many units."""
    unit = unit * per_paragraph + "\n\n" if per_paragraph else unit
    return before + unit * max(1, (BYTES - len(before) - len(after)) // len(unit)) + after


def numbered(pattern: str) -> str:
    """Return lines of a pattern with `{n}` and `{next}` in them."""
    return "".join(pattern.format(n=n, next=n + 1) for n in range(BYTES // (len(pattern) + 4)))


STRETCH = "x" * (BYTES // 3)
BOMBS = {
    "nested blocks": "<div>" * (BYTES // 11) + "x" + "</div>" * (BYTES // 11),
    "nested blocks, unclosed": fill("<blockquote>"),
    "nested marks": fill("<b>"),
    "marks that close crosswise": fill("<b><i></b></i>"),
    "marks across paragraphs": "".join(f"<b a{n}>" for n in range(BYTES // 16)) + "<p>x" * (BYTES // 16),
    "links across paragraphs": fill("<a><p>"),
    "nested tables": fill("<table><tr><td>"),
    "words between cells": fill("<b>x", before="<table>"),
    "unclosed tags": fill("<a "),
    "unclosed attribute": fill('<a href="'),
    "quotes in tags": fill("<a \"'"),
    "unclosed comments": fill("<!-- "),
    "instructions": fill("<?"),
    "character data": fill("<![CDATA["),
    "foreign elements": fill("<svg><math><mtext><table>"),
    "everything after": fill("<plaintext><textarea><title>"),
    "thousands of attributes": "<p " + numbered("a{n}=1 ") + ">x</p>",
    "one style attribute": fill("a:b;", before='<p style="', after='">x</p>'),
    "style of comments": fill("/*", before='<p style="', after='">x</p>'),
    "style of brackets": fill("calc(", before='<p style="width:', after='">x</p>'),
    "style of addresses": fill("background:url(//x.example/);", before='<p style="', after='">x</p>'),
    "style element": fill("a{b:c}", before="<style>", after="</style>x"),
    "style within style": fill("@media x{", before="<style>"),
    "selectors in selectors": fill(":not(:has(", before="<style>"),
    "variables that double": "<style>:root{" + numbered("--v{next}:var(--v{n}) var(--v{n});") + "}</style>x",
    "entities": fill("&amp;"),
    "an entity without end": fill("a", before="&"),
    "a number without end": fill("9", before="&#"),
    "and signs": fill("&"),
    "emphasis that opens": fill("*a **b ", per_paragraph=120),
    "emphasis in emphasis": fill("*" * 400 + "a" + "*" * 400, per_paragraph=1),
    "mixed emphasis": fill("*_", per_paragraph=700),
    "code marks": " ".join("`" * n for n in range(1, 75)),
    "brackets": fill("[", per_paragraph=299),
    "links in links": fill("[" * 100 + "](x)" * 100, per_paragraph=1),
    "pictures in pictures": fill("![" * 100 + "](x)" * 100, per_paragraph=1),
    "open addresses": fill("<http://"),
    "thousands of references": numbered("[a{n}]: http://x.example/{n}\n") + "[a1]",
    "a long reference often used": fill("[a] ", before=f"[a]: /{STRETCH}\n\n", per_paragraph=140),
    "a long title often used": fill("[a] ", before=f'[a]: /x "{STRETCH}"\n\n', per_paragraph=140),
    "a long abbreviation often used": fill("a ", before=f"*[a]: {STRETCH}\n\n"),
    "thousands of abbreviations": numbered("*[a{n}]: b\n") + "\na1 a2",
    "thousands of footnotes": numbered("[^{n}]\n\n[^{n}]: x\n"),
    "footnotes in footnotes": numbered("[^{n}]: [^{next}]\n\n"),
    "one footnote often used": fill("[^a] ", before="[^a]: x\n\n", per_paragraph=250),
    "a wide table": "|a" * (BYTES // 6) + "|\n" + "|-" * (BYTES // 6) + "|\n" + "|b\n" * (BYTES // 120),
    "a long table": fill("|c|d|\n", before="|a|b|\n|-|-|\n"),
    "marks in a table": fill("\\|`", before="|a|\n|-|\n"),
    "a line": fill("a"),
    "blanks": "a" + fill(" ") + "b",
    "line ends": fill("a  \n"),
    "backslashes": fill("\\"),
    "marks of the renderer's own": fill("\x02klzzwxh:0000\x03"),
    "stairs of lists": "\n".join(" " * n + "- a" for n in range(int((2 * BYTES) ** 0.5))),
    "loose lists": fill("- a\n\n    b\n\n"),
    "quotes in quotes": fill("> " * 49 + "a\n"),
    "lists in quotes": fill("> - a\n> > - b\n"),
    "definitions in definitions": "\n".join("    " * n + "a\n" + "    " * n + ":   b" for n in range(30)),
    "notes in notes": "\n".join("    " * n + "!!! note" for n in range(40)),
    "attributes of headings": fill("# a {: #b .c d=e }\n"),
    "open attributes": fill("{: "),
    "headings": fill("a\n=\n# b\n"),
    "fences": fill("```\n"),
    "code of brackets": fill("((", before="```python\n", after="\n```"),
    "code of tags": fill("<a ", before="```html\n", after="\n```"),
    "code of quotes": fill("'a", before="```sql\n", after="\n```"),
    "code of raw strings": fill('R"(', before="```cpp\n", after="\n```"),
}
CLIMBED = 120
PIECES = (
    "*a ",
    "_b_ ",
    "[c](d) ",
    "`e` ",
    "<i>",
    "</i>",
    "<p>",
    "> ",
    "- ",
    "\n",
    "\n\n",
    "    ",
    "&lt;",
    "|",
    "|-|",
    ": ",
    "# ",
)


@pytest.mark.thorough
def test_every_bomb_ends_whole_or_escaped_with_the_reason(app: object) -> None:
    made = render_many([Source(texts={"body": text}) for text in BOMBS.values()])
    wrong = []
    for (name, text), got in zip(BOMBS.items(), made, strict=True):
        html = got.html.get("body", "")
        if got.problem is None:
            is_right = len(html) <= 1.5 * renderer.MOST_GROWTH * len(text) + renderer.SHORT_HTML
        else:
            is_right = html == f'<div class="as-written">{entities.escape(text)}</div>' and bool(got.reason)
        if not is_right:
            wrong.append((name, got.problem, len(text), len(html)))
    assert wrong == []
    assert render({"body": "*And* now?"}).html["body"] == "<p><em>And</em> now?</p>"


@pytest.mark.thorough
@pytest.mark.parametrize(
    "name",
    [
        "a long reference often used",
        "a long title often used",
        "a long abbreviation often used",
        "a wide table",
        "marks across paragraphs",
    ],
)
def test_what_grows_is_not_written_out(name: str, app: object) -> None:
    made = render({"body": BOMBS[name]})
    # On a machine that is busy the clock may be the first to say so.
    assert made.problem in {"too_large", "too_slow"}
    assert len(made.html["body"]) < 7 * BYTES
    assert made.reason == f"The text is shown as it was written: {REASONS[made.problem]}."


def test_the_caps_take_what_people_write() -> None:
    code = "```python\n" + "x = ((1, 2), {'a': -3})  # <&>\n" * 200 + "```"
    table = "|a|b|c|\n|-|-|-|\n" + "|1|*2*|`3`|\n" * 400
    links = "[the manual]: https://manuals.example/pumps/p100?lang=en\n\n" + "See [the manual].\n\n" * 200
    assert [render({"body": text}).problem for text in (code, table, links)] == [None] * 3


@pytest.mark.thorough
def test_the_dearest_accepted_text_is_found_and_ends_within_the_cap(capsys: pytest.CaptureFixture[str]) -> None:
    """Search by chance and climb; what is dearest for its length must, made as long as can be, still end."""
    chance = random.Random(5)
    size = 1500

    def cost(text: str) -> float:
        began = time.process_time()
        try:
            HERE.render({"body": text}, {})
        except (renderer.Unrenderable, RecursionError):
            return 0.0
        return time.process_time() - began

    def grown(pieces: list[str]) -> str:
        unit = "".join(pieces)
        return (unit * (size // len(unit) + 1))[:size]

    usual = min(cost(("The pump leaks at the seal, and the filter is new. " * 40)[:size]) for _ in range(5))
    best = [chance.choice(PIECES) for _ in range(4)]
    dearest = cost(grown(best))
    for _ in range(CLIMBED):
        tried = [chance.choice(PIECES) if chance.random() < 0.4 else piece for piece in best]
        if chance.random() < 0.5:
            tried.insert(chance.randrange(len(tried) + 1), chance.choice(PIECES))
        spent = cost(grown(tried[:8]))
        if spent > dearest:
            best, dearest = tried[:8], spent
    with capsys.disabled():
        print(
            f"rendering {size} characters: usual {usual * 1000:.2f} ms, "
            f"dearest {''.join(best)!r} {dearest * 1000:.1f} ms",
            end=" ",
        )
    unit = "".join(best)
    text = unit * (renderer.LONGEST_BYTES // len(unit.encode()) - 1)
    made = render({"body": text})
    assert made.problem is None or made.html["body"] == f'<div class="as-written">{entities.escape(text)}</div>'
