"""The one renderer: what it makes of Markdown, what it refuses to make, and that nothing stops it."""

import re
import signal
import subprocess
import sys
import time
from html.parser import HTMLParser

import markdown
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portal import markup, renderer
from portal.markup import Source, render, render_many
from tests import hostile

_HERE = renderer.Renderer()
HOSTILE = [
    "<script>alert(1)</script>",
    '<img src=x onerror="alert(1)">',
    '<a href="javascript:alert(1)">x</a>',
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt&colon;alert(1))",
    "[x](data:text/html,<script>alert(1)</script>)",
    '<svg onload="alert(1)"><script>alert(1)</script></svg>',
    '<iframe src="/x"></iframe>',
    '<form action="/sign-out" method="post"><button>x</button></form>',
    '<p style="position:fixed;inset:0">x</p>',
    '<div id="csrf_token" class="btn flash">x</div>',
    "# x {: onclick=alert(1) id=main }",
    '<math><mtext><table><mglyph><style><img src=x onerror="alert(1)">',
    '<a href="//evil.example" rel="opener" target="_blank">x</a>',
    '<meta http-equiv="refresh" content="0;url=//evil.example">',
    "```html\n<script>alert(1)</script>\n```",
    '<h2 id="main" onclick="x">x</h2>',
    '<base href="//evil.example/">',
    "&lt;script&gt;alert(1)&lt;/script&gt;",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_that_acts_survives(text: str) -> None:
    html = render({"body": text}).html.get("body", "").lower()
    for sign in ("<script", "onerror=", "onclick=", "onload=", "javascript:", "<iframe", "<form", "style=", "<svg"):
        assert sign not in html
    for sign in ('id="csrf_token"', 'id="main"', 'class="btn', "target=", "<meta", "<base", "data:text"):
        assert sign not in html


def test_what_authors_write_is_kept() -> None:
    text = """# Reset

Press **both** buttons[^1].

| a | b |
|---|--:|
| 1 | 2 |

!!! warning "Mind"
    Hot.

```python
print("hi")
```

[^1]: For ten seconds.
"""
    html = render({"body": text}).html["body"]
    for piece in (
        '<h2 id="s-reset">Reset</h2>',
        "<strong>both</strong>",
        '<th align="right">b</th>',
        '<p class="admonition-title">Mind</p>',
        '<div class="codehilite"><pre tabindex="0">',
        '<span class="nb">print</span>',
        'href="#fn:0-1"',
        '<li id="fn:0-1">',
    ):
        assert piece in html


@pytest.mark.parametrize(
    ("text", "outline"),
    [
        ("- a\n\n    ```sh\n    ls -l\n    ```\n\n- b", "ul li p a div pre code p li p b"),
        ("- a\n    ```\n    ls -l\n    ```\n- b", "ul li p a div pre code p li p b"),
        ("- a\n  ```\n  ls -l\n  ```\n- b", "ul li p a div pre code p li p b"),
        ("1. a\n   ~~~\n   ls -l\n   ~~~\n2. b", "ol li p a div pre code p li p b"),
        ("1. a\n    - b\n\n        ```\n        ls -l\n        ```\n2. c", "ol li p a ul li p b div pre code"),
        ("- a\n\t```\n\tls -l\n\t```\n- b", "ul li p a div pre code"),
        ("- ```\n  ls -l\n  ```\n- b", "ul li div pre code"),
        ("> q\n> ```\n> ls -l\n> ```\n> end", "blockquote p q div pre code p end"),
        ("> - a\n>\n>     ```\n>     ls -l\n>     ```", "blockquote ul li p a div pre code"),
        ("- a\n\n    > ```\n    > ls -l\n    > ```", "ul li p a blockquote div pre code"),
        ("> > ~~~~\n> > ls -l\n> > ~~~~", "blockquote blockquote div pre code"),
        ("   ```\n   ls -l\n   ```", "div pre code"),
        ("!!! note\n    ```\n    ls -l\n    ```", "div p Note div pre code"),
    ],
)
def test_fenced_code_is_code_wherever_it_stands(text: str, outline: str) -> None:
    html = render({"body": text}).html["body"]
    shape = re.sub(r"<(?:/[^>]*|span[^>]*)>", " ", html)
    words = re.sub(r"<([a-z]+)[^>]*>", r" \1 ", shape).split()
    kept = [word for word in words if word not in ("ls", "-l")]
    wanted = [word for word in outline.split() if word != "p"]
    assert [word for word in kept if word != "p"][: len(wanted)] == wanted
    assert "ls -l\n" in re.sub(r"<[^>]+>", "", html)
    assert "```" not in html
    assert "~~~" not in html


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("- a\n\n    ```\n    never closed\n\n- b", "```"),
        ("> ```\n> never closed\n\nend", "```"),
        ("- a\n    ```\nout of the list\n    ```", "out of the list"),
        ("words\n\n    ```\n    shown as it is\n    ```", "<code>```\nshown as it is\n```"),
        ("````\n- a\n    ```\n    b\n    ```\n````", "<code>- a\n    ```\n    b\n    ```"),
        ("- a\n    ````\n    ```\n    b\n    ```\n    ````", "<code>```\nb\n```"),
        ("- a\n    ```py x=1\n    b\n    ```", "b"),
    ],
)
def test_what_is_no_closed_fence_stays_what_it_was(text: str, kept: str) -> None:
    assert kept in re.sub(r"</?(?:span|pre|div)[^>]*>", "", render({"body": text}).html["body"])


def test_code_in_lists_keeps_its_shape_and_is_escaped_and_coloured() -> None:
    text = "1. a\n\n    ```python\n    if x:\n\n        <script>alert(1)</script>\n    ```"
    html = render({"body": text}).html["body"]
    assert '<span class="k">if</span>' in html
    assert "<script" not in html
    assert "if x:\n\n    &lt;script&gt;" in re.sub(r"<[^>]+>", "", html)


@pytest.mark.thorough
@pytest.mark.parametrize(
    "text",
    [
        "- a\n" + "    ```x\n" * 18_000,
        "- a\n" + "".join(f"    {'`' * (3 + n)}\n" for n in range(550)),
        "> ```x\n" * 18_000,
        "".join(f"{'> ' * n}```\n" for n in range(49)) * 40,
        "- ```\n" * 20_000,
    ],
)
def test_fences_that_nothing_closes_cost_little(text: str) -> None:
    lines = text.split("\n")
    fences = _HERE._markdown.preprocessors["inner_fences"]
    fences.run(lines)
    assert fences._steps >= -len(lines)


def test_headings_have_stable_anchors_in_any_script_and_begin_below_the_title() -> None:
    made = render({"body": "### 重置 密码\n\n文本\n\n### Reset it!\n\n##### Deep\n\n### Reset it!"})
    assert [section["anchor"] for section in made.sections] == ["s-重置-密码", "s-reset-it", "s-deep", "s-reset-it-2"]
    assert [section["level"] for section in made.sections] == ["2", "2", "3", "2"]
    assert made.sections[0] == {"anchor": "s-重置-密码", "heading": "重置 密码", "level": "2", "text": "文本"}


def test_parts_stand_under_their_headings_and_their_anchors_do_not_meet() -> None:
    made = render(
        {"cause": "# Cause\n\nDust[^1].\n\n[^1]: Fine.", "resolution": "Clean[^1].\n\n[^1]: Softly.", "lesson": ""},
        headings={"cause": "Cause", "resolution": "Resolution", "lesson": "Lesson learned"},
    )
    assert [(s["anchor"], s["level"]) for s in made.sections] == [("cause", "2"), ("s-cause", "3"), ("resolution", "2")]
    assert set(made.html) == {"cause", "resolution"}
    assert "<h3" in made.html["cause"]
    assert "fn:0-1" in made.html["cause"]
    assert "fn:1-1" in made.html["resolution"]


def test_plain_text_is_what_readers_see() -> None:
    made = render({"body": "Use `R&D` <b>now</b>,\nplease.\n\n* one\n* two\n\n<p>1 &lt; 2</p>\n\n![A door](/door.png)"})
    assert made.sections[0]["text"] == "Use R&D now,\nplease.\none\ntwo\n1 < 2\nA door"


def test_foreign_links_and_pictures() -> None:
    html = render({"body": "[a](https://a.example/) [b](/articles/b) ![c](https://a.example/c.png) ![d](/d.png)"}).html[
        "body"
    ]
    assert '<a href="https://a.example/" rel="nofollow noopener noreferrer">a</a>' in html
    assert '<a href="/articles/b">b</a>' in html
    assert "c.png" not in html
    assert '<img alt="d" src="/d.png" loading="lazy">' in html


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[" * 8000, "too_many_brackets"),
        ("a" * 200_001, "too_long"),
        ("> " * 60 + "x", "too_deep"),
        ("*" * 100_000, "too_many_marks"),
        ("\ud800", "failed"),
    ],
)
def test_a_text_over_a_cap_is_shown_escaped_with_the_reason(text: str, problem: str, app: object) -> None:
    made = render({"body": text + "<b>"})
    assert made.problem == problem
    assert made.reason
    assert made.html["body"].endswith("&lt;b&gt;</div>")


@pytest.mark.thorough
def test_a_text_that_takes_too_long_is_given_up_and_loses_no_other() -> None:
    slow = "<a " * 9000
    made = render_many([Source(texts={"body": text}) for text in ["one", slow, "two", *["more"] * 60]])
    assert [m.problem for m in made[:3]] == [None, "too_slow", None]
    assert made[1].html["body"].startswith('<div class="as-written">&lt;a &lt;a ')
    assert all(m.html["body"] == "<p>more</p>" for m in made[3:])


@pytest.mark.thorough
def test_a_renderer_that_falls_silent_is_given_up_by_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    render({"body": "x"})
    stopped = markup._pool._processes[0]._popen
    stopped.send_signal(signal.SIGSTOP)
    monkeypatch.setattr(markup, "SILENCE_S", 0.2)
    assert render({"body": "[x"}).problem == "too_slow"
    assert stopped.returncode == -signal.SIGKILL
    monkeypatch.undo()
    assert render({"body": "back"}).problem is None


def test_a_killed_renderer_is_replaced() -> None:
    render({"body": "x"})
    for process in markup._pool._processes:
        process._popen.kill()
    assert render({"body": "still *here*"}).html["body"] == "<p>still <em>here</em></p>"


@pytest.mark.thorough
def test_renderers_end_with_whoever_started_them() -> None:
    code = (
        "from portal import markup; markup.render({'body': 'x'});"
        "print(markup._pool._processes[0]._popen.pid, flush=True);"
        "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=markup.ROOT)
    pid = int(done.stdout)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            with open(f"/proc/{pid}/stat") as file:  # noqa: PTH123
                if file.read().split()[2] == "Z":
                    return
        except FileNotFoundError:
            return
        time.sleep(0.05)
    pytest.fail("the renderer outlived its parent")


def test_a_long_batch_keeps_its_order() -> None:
    made = render_many([Source(texts={"body": f"number {n}"}) for n in range(200)])
    assert [m.html["body"] for m in made] == [f"<p>number {n}</p>" for n in range(200)]


@pytest.fixture(scope="module")
def plain() -> markdown.Markdown:
    return markdown.Markdown(
        extensions=["tables", "fenced_code", "sane_lists", "attr_list", "def_list", "abbr", "admonition"]
    )


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="ab *_`[]()!<>&\\\n#-1.:~|\"'={}^ /中", max_size=80))
def test_any_text_gives_html_that_cleaning_again_does_not_change(text: str) -> None:
    """What nh3 wrote and we completed holds nothing that nh3 would take away."""
    try:
        html = _HERE.render({"body": text}, {})["html"].get("body", "")
    except (renderer.Unrenderable, RecursionError):
        return
    assert "<script" not in html
    assert _HERE._cleaner.clean(html).count("<a ") == html.count("<a ")


@pytest.mark.parametrize(
    "text",
    [
        "plain words",
        "a *b* c",
        "two  \nlines",
        "a & b &amp; c",
        "\\*no\\*",
        "see <http://x.example>",
        "a_b_c __d__",
        "`c`",
    ],
)
def test_skipping_plain_prose_changes_nothing(text: str, plain: markdown.Markdown) -> None:
    plain.reset()
    assert _HERE._markdown.reset().convert(text) == plain.convert(text)


class _Found(HTMLParser):
    """Names what a browser could act on."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.acting: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in renderer._TAGS:
            self.acting.append(tag)
        for name, value in attrs:
            allowed = name in renderer._ATTRIBUTES.get(tag, set()) | {
                "align",
                "scope",
                "rel",
                "loading",
                "tabindex",
                "id",
            }
            # As browsers read an address: outer control characters, tabs and line ends do not count.
            address = re.sub(r"[\t\n\r]", "", (value or "").strip("".join(map(chr, range(33)))))
            scheme = re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", address) if name in {"href", "src"} else None
            plain = scheme is None or scheme[0].lower() in {"http:", "https:", "mailto:", "tel:"}
            if not allowed or not plain:
                self.acting.append(f"{tag} {name}={value}")


@pytest.mark.thorough
def test_no_known_payload_leaves_anything_that_acts() -> None:
    """A second reader, which shares no code with the sanitiser, looks at what is left of each."""
    assert len(hostile.PAYLOADS) >= 1300
    left = {}
    for payload in hostile.PAYLOADS:
        found = _Found()
        try:
            found.feed(_HERE.render({"body": payload}, {})["html"].get("body", ""))
        except renderer.Unrenderable:
            continue
        if found.acting:
            left[payload] = found.acting
    assert left == {}
