"""Tables as people bring them: any usual encoding and separator, workbooks, and files that mean harm."""

from __future__ import annotations

import io
import zipfile

import pytest

from checkout.desk import sheets
from checkout.desk.sheets import Unreadable

LINES = "order;carrier;note\r\nA-1;Česká pošta;ähnlich\r\n\r\nA-2;UPS;\r\n"
ROWS = [["order", "carrier", "note"], ["A-1", "Česká pošta", "ähnlich"], ["A-2", "UPS", ""]]
MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"


def cells(content: bytes) -> list[list[str]]:
    return [row for _number, row in sheets.read(io.BytesIO(content))]


def a_workbook(rows: str, *, strings: str = "", prelude: str = "") -> bytes:
    """A workbook whose sheet has these rows, as XML."""
    plain = sheets.workbook([["x"]]).read()
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(plain)) as source, zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as target:
        for part in source.namelist():
            if part != "xl/worksheets/sheet1.xml":
                target.writestr(part, source.read(part))
        sheet = f'{prelude}<worksheet xmlns="{MAIN}"><sheetData>{rows}</sheetData></worksheet>'
        target.writestr("xl/worksheets/sheet1.xml", sheet)
        if strings:
            target.writestr("xl/sharedStrings.xml", f'<sst xmlns="{MAIN}">{strings}</sst>')
    return made.getvalue()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_any_usual_encoding_and_separator(encoding, separator):
    assert cells(LINES.replace(";", separator).encode(encoding)) == ROWS


def test_old_windows_programs_are_understood():
    assert cells("order;note\nA-1;Größe € „x“".encode("cp1252")) == [["order", "note"], ["A-1", "Größe € „x“"]]


def test_rows_keep_the_numbers_that_their_program_shows():
    assert [number for number, _ in sheets.read(io.BytesIO(LINES.encode()))] == [1, 2, 4]
    assert [number for number, _ in sheets.read(io.BytesIO(b"sep=;\n" + LINES.encode()))] == [2, 3, 5]


def test_quoted_cells_may_hold_separators_and_lines():
    assert cells(b'a,b\n"1,5","two\nlines ""here"""\n')[1] == ["1,5", 'two\nlines "here"']


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n\n ,, \n",
        b'a,b\n"1,2\n',
        b"a,b\nx\x00y,1\n",
        b"\x81\x8d\x8f\x90\x9d",
        b"\xff\xfea",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1 old",
        b"PK\x03\x04 not a workbook",
        a_workbook("<row><c><v>1</v></c>")[:-40],
        a_workbook("<row><c>"),
        a_workbook('<row r="99999999"><c><v>1</v></c></row>'),
    ],
)
def test_what_cannot_be_read_is_said_to_be(content):
    with pytest.raises(Unreadable, match=r"\w+ .*\."):
        cells(content)


def test_a_list_without_end_is_refused_before_it_is_kept(monkeypatch):
    monkeypatch.setattr(sheets, "MAX_ROWS", 3)
    read = sheets.read(io.BytesIO(b"a\n" + b"1\n" * 10))
    assert [next(read) for _ in range(4)]
    with pytest.raises(Unreadable, match="more than 3 rows"):
        next(read)


def test_a_workbook_is_read_cell_by_cell():
    rows = (
        '<row r="1"><c r="A1" t="s"><v>0</v></c><c r="C1" t="inlineStr"><is><t>date</t></is></c></row>'
        '<row r="3"><c r="A3" t="s"><v>1</v></c><c r="B3"><v>123456789012</v></c><c r="C3"><v>46347</v></c></row>'
        '<row r="4"><c><v>1.2345678901234567E+19</v></c><c t="b"><v>1</v></c></row>'
    )
    strings = "<si><t>order</t></si><si><r><t>A</t></r><r><t>-1</t></r><rPh><t>eh</t></rPh></si>"

    assert list(sheets.read(io.BytesIO(a_workbook(rows, strings=strings)))) == [
        (1, ["order", "", "date"]),
        (3, ["A-1", "123456789012", "46347"]),
        (4, ["1.2345678901234567E+19", "1"]),
    ]


def test_a_formula_is_its_own_text_and_its_cached_result_is_not_believed():
    rows = '<row><c><f>HYPERLINK("http://x")</f><v>harmless</v></c></row>'
    assert cells(a_workbook(rows)) == [['=HYPERLINK("http://x")']]


def test_a_bomb_is_refused_before_it_is_unpacked(monkeypatch):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", b"\0" * 20_000_000)
    opened = []
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda *args, **_: opened.append(args))
    assert len(made.getvalue()) < 25_000

    with pytest.raises(Unreadable, match="unpack to far more"):
        cells(made.getvalue())
    assert not opened


def test_many_parts_and_a_large_whole_are_refused(monkeypatch):
    content = a_workbook("<row><c><v>1</v></c></row>")
    monkeypatch.setattr(sheets, "MAX_PARTS", 3)
    with pytest.raises(Unreadable, match="unpack to far more"):
        cells(content)
    monkeypatch.undo()
    monkeypatch.setattr(sheets, "MAX_UNPACKED", 100)
    with pytest.raises(Unreadable, match="unpack to far more"):
        cells(content)


def test_a_workbook_that_lies_about_its_size_gives_no_more_than_it_said():
    content = bytearray(a_workbook("<row><c><v>1</v></c></row>" * 100))
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        size = archive.getinfo("xl/worksheets/sheet1.xml").file_size
    lie = content.replace(size.to_bytes(4, "little"), (64).to_bytes(4, "little"))
    with pytest.raises(Unreadable):
        cells(bytes(lie))


def test_entities_are_not_expanded():
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaaaaaa">]>'
    with pytest.raises(Unreadable, match="entities"):
        cells(a_workbook('<row><c t="inlineStr"><is><t>&a;</t></is></c></row>', prelude=bomb))


RISKY = ["=1+1", "+1", "-1", "@x", "\tx", "\rx", "＝1+1"]


@pytest.mark.parametrize("text", RISKY)
def test_nothing_that_is_written_becomes_a_formula_and_it_is_read_back_as_it_was(text):
    csv = b"".join(sheets.csv_lines([["head"], [text]]))
    book = sheets.workbook([["head"], [text]]).read()

    assert f"'{text}" in csv.decode("utf-8-sig")
    with zipfile.ZipFile(io.BytesIO(book)) as archive:
        sheet = archive.read("xl/worksheets/sheet1.xml").decode()
    assert f"'{text}" in sheet
    assert "<f>" not in sheet
    for content in (csv, book):
        assert cells(content)[1] == [text] or text[0] in "\t\r"


def test_numbers_are_numbers_and_the_written_is_read_back():
    rows = [["a", "b", "c"], ["<&>\x01", 12, -5], ["", 10**17, None]]
    assert b"".join(sheets.csv_lines(rows)).decode("utf-8-sig").splitlines()[1:] == ["<&>\x01,12,-5", f",{10**17},"]
    assert cells(sheets.workbook(rows).read()) == [["a", "b", "c"], ["<&>", "12", "-5"], ["", str(10**17), ""]]
