"""OpenSearch's own chain and ours cut the same terms: over written texts always, over real ones where they are."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from opensearch.node.server import Node
from portal.search import analysis
from portal.search.opensearch.engine import OpenSearchEngine

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"
DOCUMENTS_A_SET = 75
LONGEST = 3000
ANALYZERS: dict[str, Callable[[str], list[str]]] = {
    "terms": analysis.terms,
    "words": analysis.words,
    "characters": analysis.characters,
}
WRITTEN = [
    ("The printer's drivers weren’t added; adding, adds. ebbed ebbing erring "
    "egged odd offing inning organization emergency university evening"),
    ("KB-5001 0x80070005 v3.8.0 node.js user_name _x_ __ 3.5mm "
    "iPhone15Pro C++ C# .NET a@b.cn 10.0.0.1 1,000.50 a:b it's"),
    "如何重設印表機的驅動程式 (ERR-0x80070005) on Windows 11? 什么 乾隆 頭髮 发展 著名 干部 程序 文件 支援 社群",
    "ＥＲＲ－８０９，中文ABC混排、カタカナ ひらがな ｶﾀｶﾅ ｶﾞｷﾞ 한국어 검색 々 〇 佐々木 𠮷野家 机",
    "Ünïcode café naïve Straße ŁÓDŹ İstanbul ΣΟΣ Ελληνικά Русский й é ﬁle ½ ① ℃ ² ™ © ® 😀 👩‍👩‍👧 1️⃣ 🇩🇪",
    ("soft\u00adhyphen zero\u200bwidth no\u2060break a\u202fb "
    "tab\tnew\nline 约翰·史密斯 l·l 'quoted' ‘single’ rock'n'roll o'"),
    "ภาษาไทย ລາວ عربى עברית हिन्दी ქართული",
    "x" * 300 + " " + "汉" * 300,
    "𝐛𝐨𝐥𝐝 ½½ ％ ￥100 ２０２６年１１月 〜 … —— · ‧ 【括号】「引号」",
    "won't can't dogs' boss's S's 's ’s a's",
    "a.b.c 1.2.3 1a2b a1.b2 1.a a.1 1,a a,1 1;2 a;b 1:2 x'y 1'2 _a_b_ a_1 1_a",
]  # fmt: skip


@pytest.fixture(scope="module")
def analyze(opensearch_node: Node) -> Iterator[Callable[[str, str], list[str]]]:
    """Ask OpenSearch how an analyzer of ours cuts a text."""
    engine = OpenSearchEngine(hosts=[opensearch_node.url], prefix="tokens", for_writing=True)
    engine.drop("tokens-1")
    engine.create_index("tokens-1")

    def ask(analyzer: str, text: str) -> list[str]:
        answer = engine._client.indices.analyze(index="tokens-1", body={"analyzer": analyzer, "text": text})
        return [token["token"] for token in answer["tokens"]]

    yield ask
    engine.drop("tokens-1")
    engine.close()


@pytest.mark.parametrize("analyzer", ANALYZERS)
@pytest.mark.parametrize("text", WRITTEN)
def test_written_texts(analyze: Callable[[str, str], list[str]], analyzer: str, text: str) -> None:
    assert ANALYZERS[analyzer](text) == analyze(analyzer, text)


@pytest.mark.parametrize("name", ["msoffice_kb", "mtrag_un", "xquad_mixed", "cmrc2018", "alchemy_zh", "debian_faq"])
def test_real_texts(analyze: Callable[[str, str], list[str]], name: str) -> None:
    path = DATA / name / "corpus.jsonl"
    if not path.exists():
        pytest.skip(f"no data: {name} is not beside the project")
    different = []
    with path.open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    for row in rows[:: max(1, len(rows) // DOCUMENTS_A_SET)]:
        text = f"{row['title']}\n{row['text']}"[:LONGEST]
        if analysis.terms(text) != analyze("terms", text):
            different.append(row["id"])
    assert different == []
