import json
import zipfile
from pathlib import Path

import pytest
import xlsxwriter

from portal.imports.reading import UnreadableError, detect_encoding, read
from portal.imports.writing import neutral, write

pytestmark = pytest.mark.usefixtures("app")
CHINESE = "打印机无法连接网络，请检查网线是否松动，然后重新启动设备。"
TRADITIONAL = "印表機無法連線到網路，請檢查網路線是否鬆動，然後重新啟動裝置。"


@pytest.mark.parametrize(
    ("text", "encoding", "found"),
    [
        ("plain", "ascii", "utf-8"),
        (CHINESE, "utf-8", "utf-8"),
        (CHINESE, "utf-8-sig", "utf-8-sig"),
        (CHINESE, "utf-16", "utf-16"),
        (CHINESE * 3, "gb18030", "gb18030"),
        (TRADITIONAL * 3, "big5", "big5"),
    ],
)
def test_encodings_are_told_apart(text: str, encoding: str, found: str) -> None:
    assert detect_encoding(text.encode(encoding)) == found


def test_utf8_cut_inside_a_character_is_still_utf8() -> None:
    assert detect_encoding(CHINESE.encode()[:-1]) == "utf-8"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030", "big5"])
def test_csv_reads_in_every_encoding(tmp_path: Path, encoding: str) -> None:
    text = TRADITIONAL if encoding == "big5" else CHINESE
    path = tmp_path / "a.csv"
    path.write_bytes(f'id;title;text;tags\r\n1;"{text}";"two\nlines; one cell";a\r\n'.encode(encoding))
    (line,) = read(path)
    assert line.item["title"] == text
    assert line.item["text"] == "two\nlines; one cell"
    assert line.item["meta"] == {"tags": ["a"]}


def test_a_bad_line_is_named_and_loses_no_other(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(
        b'{"id":"1","title":"\xe6\x9c\xba"}\n\n{"id":"2",\n[1]\n{"title":NaN}\n{"title":"\xff"}\n'
        b'{"id":"7","title":"' + b"x" * 5_000_000 + b'"}\n{"id":"8","title":"\xe6\x9c\xba"}\n'
    )
    lines = list(read(path))
    assert [line.number for line in lines if line.refused is None] == [1, 8]
    assert {line.number: line.refused for line in lines if line.refused} == {
        3: "The line is not JSON: Expecting property name enclosed in double quotes at column 11.",
        4: "The line is not a JSON object.",
        5: "The line cannot be used: NaN is not a number.",
        6: "The line is not utf-8 text.",
        7: "The line is longer than 4 MB.",
    }


def test_a_row_of_another_width_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('id,title\n1,one\n2,"two\nlines",extra\n3,three\n')
    lines = list(read(path))
    assert [line.number for line in lines] == [2, 3, 5]
    assert lines[1].refused == "The row has 3 columns, the first one has 2."


@pytest.mark.thorough
def test_xlsx_is_read_and_a_bomb_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    with xlsxwriter.Workbook(str(path)) as book:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, ["id", "title", "region"])
        sheet.write_row(1, 0, [17, CHINESE, "Shanghai"])
    (line,) = read(path)
    assert line.item == {"id": "17", "title": CHINESE, "meta": {"region": "Shanghai"}}
    bomb = tmp_path / "bomb.xlsx"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/worksheets/sheet1.xml", b" " * 50_000_000)
    with pytest.raises(UnreadableError, match="would unpack to 47 MB"):
        list(read(bomb))


def test_files_that_are_no_tables_are_refused(tmp_path: Path) -> None:
    for name, content in (
        ("a.txt", "x"),
        ("a.csv", "one,two\n1,2\n"),
        ("a.xlsx", "PK"),
        ("b.csv", "title,title\n1,2\n"),
    ):
        (tmp_path / name).write_text(content)
        with pytest.raises(UnreadableError):
            list(read(tmp_path / name))


def test_formulas_are_neutralised_on_the_way_out(tmp_path: Path) -> None:
    assert neutral("=1+1") == "'=1+1"
    assert neutral("+49 30 1") == "'+49 30 1"
    assert neutral(-3.5) == "-3.5"
    path = tmp_path / "out.csv"
    assert write(path, "csv", ["a", "b"], iter([{"a": "@SUM(A1)", "b": ["x", "y"]}])) == 1
    assert path.read_bytes().decode("utf-8-sig").splitlines() == ["a,b", "'@SUM(A1),x; y"]


def test_a_failed_export_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    write(path, "jsonl", ["a"], [{"a": 1}])

    def broken() -> object:
        yield {"a": 2}
        raise RuntimeError("the database went away")

    with pytest.raises(RuntimeError):
        write(path, "jsonl", ["a"], broken())
    assert json.loads(path.read_text()) == {"a": 1}
    assert list(tmp_path.glob("out*")) == [path]
