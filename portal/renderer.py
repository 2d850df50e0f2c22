"""What runs inside the renderers' processes: Markdown in, safe HTML and plain text by section out.

The text is anybody's: Python-Markdown is quadratic on brackets and recurses on nested marks, so this module is only
ever run by `portal.markup`, in a process that can be killed.  What Markdown makes goes through nh3, and only what nh3
wrote, whose shape is known, is then given anchors.
"""

import html as entities
import json
import re
import resource
import signal
import struct
import sys
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

CPU_LIMIT_S = 2.0
MEMORY_LIMIT_BYTES = 1024 * 1024 * 1024
LONGEST_BYTES = 200_000
MOST_BRACKETS = 300
MOST_MARKS = 3000
DEEPEST = 50
MOST_GROWTH = 40
"""How many times as long as its Markdown HTML may be; coloured code of single signs comes to about 30."""
SHORT_HTML = 20_000
"""So many characters may come of any text."""
SHALLOWEST_HEADING = 2

_TOKEN = re.compile(r'<(/?)([a-z][a-z0-9]*)((?:[^<>"]|"[^"]*")*)>|([^<]+)')
_ATTRIBUTE = re.compile(r'([a-z]+)="([^"]*)"')
_HEADING = re.compile(r"<h([1-6])")
_LEADING_MARKS = re.compile(r"(?:[ \t]*(?:>|[-*+][ \t]|\d{1,9}[.)][ \t]))+")
_ONE_MARK = re.compile(r">|[-*+][ \t]|\d[.)][ \t]")
_PARAGRAPH_END = re.compile(r"\n[ \t]*\n")
# What the inline patterns of Markdown and of our extensions can begin with, and the marks of what they set aside.
_INLINE_MARK = re.compile(r"[\\`\[!<&*_\x02\x03]|  \n")
_FOOTNOTE_ID = re.compile(r"fn(?:ref)?\d*:[\w-]+")
_BLOCKS = frozenset(
    {"p", "div", "ul", "ol", "li", "dl", "dt", "dd", "table", "thead", "tbody", "tfoot", "tr", "pre", "blockquote"}
    | {"hr", "br", "section", "figure", "figcaption", "details", "summary"}
)
_CELLS = frozenset({"td", "th"})
_HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
_INLINE = frozenset(
    {"a", "abbr", "b", "cite", "code", "del", "dfn", "em", "i", "img", "ins", "kbd", "mark", "q", "s", "samp", "small"}
    | {"span", "strong", "sub", "sup", "u", "var", "wbr"}
)
_TAGS = set(_BLOCKS | _CELLS | _HEADINGS | _INLINE | {"caption", "col", "colgroup"})
_ALIGN = {"left", "right", "center"}
_CLASSES = {
    "div": {"admonition", "attention", "caution", "danger", "error", "hint", "important", "note", "tip", "warning"}
    | {"codehilite", "footnote"},
    "p": {"admonition-title"},
    "a": {"footnote-ref", "footnote-backref"},
}
_ATTRIBUTES = {
    "a": {"href", "title", "class"},
    "abbr": {"title"},
    "div": {"class"},
    "img": {"src", "alt", "title", "width", "height"},
    "li": {"id", "value"},
    "ol": {"start"},
    "p": {"class"},
    "span": {"class"},
    "sup": {"id"},
    "td": {"colspan", "rowspan"},
    "th": {"colspan", "rowspan"},
}
_VALUES = {"td": {"align": _ALIGN}, "th": {"align": _ALIGN, "scope": {"col", "row"}}}


class Unrenderable(Exception):
    """The text exceeds a cap.  Carries the reason's code, which `portal.markup.REASONS` knows."""


def check_caps(texts: Mapping[str, str]) -> None:
    """Raise `Unrenderable` for texts that Markdown would choke on."""
    if sum(len(text.encode("utf-8", "surrogatepass")) for text in texts.values()) > LONGEST_BYTES:
        raise Unrenderable("too_long")
    for text in texts.values():
        for paragraph in _PARAGRAPH_END.split(text):
            if paragraph.count("[") > MOST_BRACKETS:
                raise Unrenderable("too_many_brackets")
            if sum(map(paragraph.count, "*_`~")) > MOST_MARKS:
                raise Unrenderable("too_many_marks")
        for line in text.split("\n"):
            marks = _LEADING_MARKS.match(line)
            if marks and len(_ONE_MARK.findall(marks[0])) > DEEPEST:
                raise Unrenderable("too_deep")


def anchor_for(heading: str, taken: set[str]) -> str:
    """Return a heading's anchor: the same words give the same anchor, in any script; doubles are numbered."""
    words = unicodedata.normalize("NFKC", heading).lower()
    # The prefix keeps anchors apart from the ids of the page around the text.
    base = "s-" + (re.sub(r"[\W_]+", "-", words).strip("-")[:60].strip("-") or "section")
    anchor, number = base, 2
    while anchor in taken:
        anchor, number = f"{base}-{number}", number + 1
    taken.add(anchor)
    return anchor


class Renderer:
    """Python-Markdown and nh3, set up once and used for many texts."""

    def __init__(self) -> None:
        import markdown
        import nh3
        from markdown.extensions.footnotes import FootnoteExtension
        from markdown.treeprocessors import InlineProcessor
        from pygments.token import STANDARD_TYPES

        from portal.fences import Fences

        class Inline(InlineProcessor):
            """Skips the search for inline marks where no mark begins: 1.4 times the speed over manuals' plain prose."""

            def _InlineProcessor__handleInline(self, data: str, patternIndex: int = 0) -> str:  # noqa: N802, N803
                if _INLINE_MARK.search(data):
                    return str(super()._InlineProcessor__handleInline(data, patternIndex))  # type: ignore[misc]
                return data

        self._footnotes = FootnoteExtension(UNIQUE_IDS=True)
        self._markdown = markdown.Markdown(
            extensions=[
                "tables",
                "fenced_code",
                "sane_lists",
                self._footnotes,
                "attr_list",
                "def_list",
                "abbr",
                "admonition",
                "codehilite",
            ],
            extension_configs={"tables": {"use_align_attribute": True}, "codehilite": {"guess_lang": False}},
        )
        self._markdown.treeprocessors.register(Inline(self._markdown), "inline", 20)
        fenced = self._markdown.preprocessors["fenced_code_block"]
        self._markdown.preprocessors.register(Fences(self._markdown, fenced), "inner_fences", 26)
        classes = _CLASSES | {"span": {name for name in STANDARD_TYPES.values() if name}}

        def keep(tag: str, attribute: str, value: str) -> str | None:
            if attribute == "id":
                return value if _FOOTNOTE_ID.fullmatch(value) else None
            if tag == "img" and attribute == "src":
                # A picture elsewhere would tell a stranger who reads what, and when.
                return value if value.startswith("/") and not value.startswith(("//", "/\\")) else None
            if attribute == "class":
                return " ".join(name for name in value.split() if name in classes.get(tag, ())) or None
            return value

        self._cleaner = nh3.Cleaner(
            tags=_TAGS,
            clean_content_tags={"script", "style", "title", "noscript", "template", "iframe", "object", "textarea"},
            attributes=_ATTRIBUTES,
            attribute_filter=keep,
            tag_attribute_values=_VALUES,
            link_rel=None,
            url_schemes={"http", "https", "mailto", "tel"},
        )

    def render(self, texts: Mapping[str, str], headings: Mapping[str, str]) -> dict[str, Any]:
        """Render the parts of one article.

        `texts` maps parts to Markdown; a part in `headings` stands under that heading.  Returns `{"html": {part: html},
        "sections": [{"anchor", "heading", "level", "text"}]}`.

        Raises:
            Unrenderable: a cap is exceeded.
            RecursionError: the marks are nested deeper than Markdown can follow.
        """
        check_caps(texts)
        html: dict[str, str] = {}
        sections: list[dict[str, str]] = []
        taken = {part for part in texts if part in headings}
        for number, (part, text) in enumerate(texts.items()):
            if not text.strip():
                continue
            self._markdown.reset()
            self._footnotes.unique_prefix = number
            # Markdown writes a long link or abbreviation, named once, wherever it is used.  HTML's own rules for marks
            # that are left open repeat all of them in each paragraph.
            cleaned = _bounded(self._cleaner.clean(_bounded(self._markdown.convert(text), text)), text)
            title = headings.get(part, "")
            opened = {"anchor": part if title else "", "heading": title, "level": "2", "text": ""}
            html[part], found = with_anchors(cleaned, opened, taken)
            sections += [section for section in found if section["heading"] or section["text"]]
        return {"html": html, "sections": sections}


def _bounded(made: str, text: str) -> str:
    if len(made) > MOST_GROWTH * len(text) + SHORT_HTML:
        raise Unrenderable("too_large")
    return made


def with_anchors(cleaned: str, opened: dict[str, str], taken: set[str]) -> tuple[str, list[dict[str, str]]]:
    """Give headings their anchors and levels, foreign links their `rel`, and collect the plain text.

    `cleaned` must be what nh3 wrote; `opened` is the section that the first words belong to.
    """
    levels = [int(level) for level in _HEADING.findall(cleaned)]
    lowest = SHALLOWEST_HEADING + bool(opened["heading"])
    shift = lowest - min(levels, default=lowest)
    before = lowest - 1
    out: list[str] = []
    words: list[str] = []
    sections = [opened]
    heading_at: int | None = None
    level = lowest
    for closing, tag, attributes, text in _TOKEN.findall(cleaned):
        if text:
            words.append(entities.unescape(text))
            out.append(text)
            continue
        if tag in _HEADINGS:
            if not closing:
                sections[-1]["text"] += _tidy(words)
                words = []
                level = min(int(tag[1]) + shift, before + 1, 6)
                heading_at = len(out)
                out.append("")
            elif heading_at is not None:
                heading = " ".join(_tidy(words).split())
                words = []
                if heading:
                    anchor = anchor_for(heading, taken)
                    sections.append({"anchor": anchor, "heading": heading, "level": str(level), "text": ""})
                    out[heading_at] = f'<h{level} id="{anchor}">'
                    out.append(f"</h{level}>")
                    before = level
                else:
                    out[heading_at] = "<div>"
                    out.append("</div>")
                heading_at = None
            continue
        if tag in _BLOCKS:
            words.append("\n")
        elif tag in _CELLS:
            words.append(" ")
        out.append(_tag(closing, tag, attributes, words))
    sections[-1]["text"] += _tidy(words)
    return "".join(out), sections


def _tag(closing: str, tag: str, attributes: str, words: list[str]) -> str:
    """Return a tag as it was, but for tables, code, links and pictures."""
    if tag == "table":
        return "</table></div>" if closing else f'<div class="table-scroll" tabindex="0"><table{attributes}>'
    if closing:
        return f"</{tag}>"
    if tag == "pre":
        return f'<pre tabindex="0"{attributes}>'
    if tag == "a":
        address = dict(_ATTRIBUTE.findall(attributes)).get("href", "")
        if address.startswith(("http:", "https:", "//")):
            return f'<a{attributes} rel="nofollow noopener noreferrer">'
    if tag == "img":
        named: dict[str, str] = dict(_ATTRIBUTE.findall(attributes))
        words.append(entities.unescape(named.get("alt", "")))
        if "src" not in named:
            return named.get("alt", "")
        return f'<img{attributes} loading="lazy">' if "alt" in named else f'<img{attributes} alt="" loading="lazy">'
    return f"<{tag}{attributes}>"


def _tidy(words: list[str]) -> str:
    """Join words into lines without empty ones and without runs of blanks."""
    lines = (" ".join(line.split()) for line in "".join(words).split("\n"))
    return "\n".join(line for line in lines if line)


def read_frames(stream: BinaryIO) -> Iterator[Any]:
    """Yield the JSON values of a stream of length-prefixed frames, until it ends."""
    while len(size := stream.read(4)) == 4:
        yield json.loads(stream.read(struct.unpack("!I", size)[0]))


def frame(value: Any) -> bytes:
    """Return one length-prefixed frame."""
    # ASCII keeps lone surrogates, which no other encoding of them would survive.
    data = json.dumps(value, ensure_ascii=True).encode("ascii")
    return struct.pack("!I", len(data)) + data


def main() -> None:
    """Answer frames of `[{"texts", "headings"}, …]` with one frame for each item, until the input ends.

    The kernel ends this process when one item takes more than `CPU_LIMIT_S` of processor time: no code of ours has to
    run for that, so nothing an item does can hold it up.  An orphan ends with its input, or by the same limit.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle; it closes the input.
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT_BYTES, MEMORY_LIMIT_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    renderer = Renderer()
    for items in read_frames(sys.stdin.buffer):
        for item in items:
            signal.setitimer(signal.ITIMER_PROF, CPU_LIMIT_S)
            try:
                answer = renderer.render(item["texts"], item["headings"])
            except Unrenderable as reason:
                answer = {"problem": str(reason)}
            except RecursionError:
                answer = {"problem": "too_deep"}
            except MemoryError:
                answer = {"problem": "too_large"}
            except Exception:  # noqa: BLE001  Whatever a text provokes, the answer is the text itself, escaped.
                answer = {"problem": "failed"}
            signal.setitimer(signal.ITIMER_PROF, 0)
            sys.stdout.buffer.write(frame(answer))
            sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
