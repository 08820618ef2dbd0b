"""Tables that people bring and take away: CSV as any program writes it, and the plain part of XLSX.

Reading streams, and is bounded in bytes, rows and columns. Nothing is ever evaluated: a formula is read as its own
text, which begins with "=". What is written can be opened in a spreadsheet without becoming a formula.
"""

from __future__ import annotations

import codecs
import csv
import html
import io
import re
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal, InvalidOperation
from itertools import chain
from typing import IO, Any
from xml.parsers import expat

from django.utils.translation import gettext

MAX_ROWS = 100_000
MAX_COLUMNS = 50
MAX_TEXT = 2_000
"""Characters of one cell; the rest of a longer one is dropped."""
MAX_UNPACKED = 100 * 1_048_576
MAX_RATIO = 200
"""How much larger than its packed form a part of a workbook may be; real ones stay under 50."""
MAX_PARTS = 500
LAST_ROW = 1_048_576
"""Of any workbook."""
CHUNK = 65_536

Row = tuple[int, list[str]]
"""A row's number as its program counts it, and its cells."""
Cell = str | int | Decimal | None

_RISKY = "=+-@\t\r\n＝＋－＠"  # the wide ones count as their narrow twins in some locales
_ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]")
_REFERENCE = re.compile(r"([A-Z]{1,3})\d+", re.ASCII)
_SEPARATORS = (",", ";", "\t")


class Unreadable(ValueError):
    """The file cannot be read; the message says why, for whoever brought it."""


# ------------------------------------------------------------------------------------------------------------- reading


def read(file: IO[bytes]) -> Iterator[Row]:
    """Each row that is not empty, the header first. Raises Unreadable, also in the middle."""
    file.seek(0)
    head = file.read(8)
    file.seek(0)
    if head.startswith(b"\xd0\xcf\x11\xe0"):
        raise Unreadable(gettext("This workbook is of the old kind (.xls) or locked. Save it as .xlsx or .csv."))
    rows = _workbook(file) if head.startswith(b"PK\x03\x04") else _text(file)
    found = 0
    for number, cells in rows:
        if not any(cells):
            continue
        if any("\x00" in cell for cell in cells):
            raise Unreadable(gettext("This is neither a CSV file nor a workbook."))
        found += 1
        if found > MAX_ROWS + 1:
            text = gettext("The file has more than %(limit)s rows. Split it into several.")
            raise Unreadable(text % {"limit": f"{MAX_ROWS:,}"})
        yield number, cells
    if not found:
        raise Unreadable(gettext("The file is empty."))


def _text(file: IO[bytes]) -> Iterator[Row]:
    text = io.TextIOWrapper(file, encoding=_encoding(file), newline="")
    try:
        first = text.readline(CHUNK)
        told = re.fullmatch(r"sep=(.)\r?\n?", first, re.IGNORECASE)  # Excel's own first line
        separator = told[1] if told else _separator(first)
        lines = csv.reader(text if told else chain((first,), text), delimiter=separator, strict=True)
        for cells in lines:
            yield lines.line_num + bool(told), [_plain(cell) for cell in cells[: MAX_COLUMNS + 1]]
    except csv.Error:
        text_ = gettext("The quotes do not match, or a cell is far too long, near line %(number)s.")
        raise Unreadable(text_ % {"number": lines.line_num}) from None
    except UnicodeDecodeError:
        raise Unreadable(gettext("The file's characters cannot be read. Save it as CSV in UTF-8.")) from None
    finally:
        text.detach()


def _encoding(file: IO[bytes]) -> str:
    """The first of the usual encodings that fits the whole file."""
    head = file.read(200)
    file.seek(0)
    if head.startswith(codecs.BOM_UTF8):
        return "utf-8-sig"
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if head[1::2].count(0) > len(head) // 6:  # plain letters in two bytes each
        return "utf-16-le"
    if head[::2].count(0) > len(head) // 6:
        return "utf-16-be"
    return next((name for name in ("utf-8", "cp1252") if _fits(file, name)), "utf-8")


def _fits(file: IO[bytes], encoding: str) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        while chunk := file.read(CHUNK):
            decoder.decode(chunk)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    finally:
        file.seek(0)
    return True


def _separator(header: str) -> str:
    return max(_SEPARATORS, key=header.count)


def _plain(cell: str) -> str:
    """A cell without the mark that we put before what could be taken for a formula."""
    cell = cell.strip()[:MAX_TEXT]
    return cell[1:] if cell[:1] == "'" and cell[1:2] and cell[1] in _RISKY else cell


def _workbook(file: IO[bytes]) -> Iterator[Row]:
    """The rows of a workbook's first sheet."""
    try:
        with zipfile.ZipFile(file) as archive:
            _check(archive)
            strings = list(_strings(archive))
            yield from _sheet(archive, _first_sheet(archive), strings)
    except (zipfile.BadZipFile, zlib.error, expat.ExpatError, EOFError, KeyError, RuntimeError, ValueError) as error:
        if isinstance(error, Unreadable):
            raise
        raise Unreadable(gettext("The workbook is damaged or locked. Save it anew as .xlsx or .csv.")) from None


def _check(archive: zipfile.ZipFile) -> None:
    """Refuse what would unpack to far more than it is, before anything is unpacked: declared sizes are binding."""
    parts = archive.infolist()
    is_huge = len(parts) > MAX_PARTS or sum(part.file_size for part in parts) > MAX_UNPACKED
    if is_huge or any(part.file_size > max(CHUNK, part.compress_size * MAX_RATIO) for part in parts):
        raise Unreadable(gettext("The workbook would unpack to far more than a list of parcels needs."))
    if any(part.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED} for part in parts):
        raise Unreadable(gettext("The workbook is packed in an unusual way. Save it anew as .xlsx or .csv."))


Opened = Callable[[str, dict[str, str]], None]


def _parse(
    archive: zipfile.ZipFile,
    part: str,
    *,
    opened: Opened,
    closed: Callable[[str], None] = lambda _: None,
    text: Callable[[str], None] = lambda _: None,
) -> Iterator[None]:
    """Push one part through a parser, piece by piece; each step of the iteration is one piece done."""
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True

    def refuse(*_: Any) -> None:
        raise Unreadable(gettext("The workbook declares entities of its own. Save it anew as .xlsx or .csv."))

    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = lambda name, attributes: opened(_local(name), attributes)
    parser.EndElementHandler = lambda name: closed(_local(name))
    parser.CharacterDataHandler = text
    with archive.open(part) as stream:
        while piece := stream.read(CHUNK):
            parser.Parse(piece, False)
            yield
        parser.Parse(b"", True)
        yield


def _local(name: str) -> str:
    return name.rpartition(" ")[2]


def _first_sheet(archive: zipfile.ZipFile) -> str:
    sheets: list[str] = []
    targets: dict[str, str] = {}

    def workbook(name: str, attributes: dict[str, str]) -> None:
        if name == "workbookPr" and attributes.get("date1904") in {"1", "true"}:
            raise Unreadable(gettext("This workbook counts its days from 1904. Save it as CSV."))
        if name == "sheet":
            sheets.extend(value for key, value in attributes.items() if key.endswith(" id"))

    def relations(name: str, attributes: dict[str, str]) -> None:
        if name == "Relationship":
            targets[attributes["Id"]] = attributes["Target"]

    for part, opened in (("xl/workbook.xml", workbook), ("xl/_rels/workbook.xml.rels", relations)):
        for _ in _parse(archive, part, opened=opened):
            pass
    target = targets[sheets[0]] if sheets else ""
    return target.lstrip("/") if target.startswith("/") else f"xl/{target}"


def _strings(archive: zipfile.ZipFile) -> Iterator[str]:
    """The texts that cells refer to by number."""
    if "xl/sharedStrings.xml" not in archive.namelist():
        return
    done: list[str] = []
    pieces: list[str] = []
    inside: list[str] = []

    def opened(name: str, _: dict[str, str]) -> None:
        inside.append(name)

    def closed(name: str) -> None:
        inside.pop()
        if name == "si":
            done.append("".join(pieces)[:MAX_TEXT])
            pieces.clear()

    def text(piece: str) -> None:
        if inside and inside[-1] == "t" and "rPh" not in inside:  # not how it is pronounced
            pieces.append(piece[:MAX_TEXT])

    told = 0
    for _ in _parse(archive, "xl/sharedStrings.xml", opened=opened, closed=closed, text=text):
        told += len(done)
        if told > MAX_ROWS * 10:
            raise Unreadable(gettext("The workbook would unpack to far more than a list of parcels needs."))
        yield from done
        done.clear()


class _Reading:
    """One sheet's rows, as its elements open and close."""

    def __init__(self, strings: Sequence[str]) -> None:
        self.strings = strings
        self.done: list[Row] = []
        self.number = 0
        self.cells: dict[int, str] = {}
        self.column = -1
        self.kind, self.element = "", ""
        self.value, self.formula, self.has_formula = "", "", False

    def opened(self, name: str, attributes: dict[str, str]) -> None:
        self.element = name
        if name == "row":
            self.number = max(self.number + 1, int(attributes.get("r") or 0))
            if self.number > LAST_ROW:
                raise ValueError("no workbook has so many rows")
            self.cells, self.column = {}, -1
        elif name == "c":
            self.column = _column(attributes.get("r", ""), self.column + 1)
            self.kind = attributes.get("t", "n")
            self.value, self.formula, self.has_formula = "", "", False
        elif name == "f":
            self.has_formula = True

    def text(self, piece: str) -> None:
        if self.element in {"v", "t"} and len(self.value) < MAX_TEXT:
            self.value += piece
        elif self.element == "f" and len(self.formula) < MAX_TEXT:
            self.formula += piece

    def closed(self, name: str) -> None:
        self.element = ""
        if name == "c" and self.column <= MAX_COLUMNS:
            self.cells[self.column] = self._cell()
        elif name == "row":
            last = max(self.cells, default=-1)
            self.done.append((self.number, [self.cells.get(column, "") for column in range(last + 1)]))

    def _cell(self) -> str:
        if self.has_formula:
            return f"={self.formula}"[:MAX_TEXT]
        if self.kind == "s":
            number = int(self.value)
            return _plain(self.strings[number]) if 0 <= number < len(self.strings) else ""
        return _number(self.value) if self.kind == "n" else _plain(self.value)


def _sheet(archive: zipfile.ZipFile, part: str, strings: Sequence[str]) -> Iterator[Row]:
    reading = _Reading(strings)
    for _ in _parse(archive, part, opened=reading.opened, closed=reading.closed, text=reading.text):
        yield from reading.done
        reading.done.clear()


def _column(reference: str, following: int) -> int:
    """0 for A, 27 for AB; a cell without a reference follows the one before."""
    found = _REFERENCE.fullmatch(reference)
    if not found:
        return following
    column = 0
    for letter in found[1]:
        column = column * 26 + ord(letter) - ord("A") + 1
    return column - 1


def _number(text: str) -> str:
    """As a person would write it, where the workbook still knows all of its figures."""
    try:
        number = Decimal(text)
    except InvalidOperation:
        return text
    is_whole = number.is_finite() and abs(number) < 10**15 and number == number.to_integral_value()
    return str(int(number)) if is_whole else text


# ------------------------------------------------------------------------------------------------------------- writing


def safe(text: str) -> str:
    """``text`` with a mark before it where a spreadsheet would take it for a formula."""
    return f"'{text}" if text[:1] and text[0] in _RISKY else text


def csv_lines(rows: Iterable[Sequence[Cell]]) -> Iterator[bytes]:
    """UTF-8 with the mark that Excel needs, commas, and no cell that becomes a formula."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer)
    yield codecs.BOM_UTF8
    for row in rows:
        writer.writerow([safe(cell) if isinstance(cell, str) else cell for cell in row])
        if buffer.tell() > CHUNK:
            yield buffer.getvalue().encode()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue().encode()


def workbook(rows: Iterable[Sequence[Cell]]) -> IO[bytes]:
    """A workbook of one sheet, in a temporary file. Texts are texts in it, and marked like those of a CSV file."""
    file = tempfile.SpooledTemporaryFile(max_size=5 * 1_048_576)  # noqa: SIM115 - closed by whoever sends it
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in _PARTS.items():
            archive.writestr(name, _XML + content)
        with archive.open("xl/worksheets/sheet1.xml", "w") as sheet:
            sheet.write((_XML + f'<worksheet xmlns="{_MAIN}"><sheetData>').encode())
            for row in rows:
                sheet.write(f"<row>{''.join(map(_written, row))}</row>".encode())
            sheet.write(b"</sheetData></worksheet>")
    file.seek(0)
    return file


def _written(cell: Cell) -> str:
    if cell is None or cell == "":
        return "<c/>"
    if isinstance(cell, str) or not -(10**15) < cell < 10**15:  # a workbook keeps fifteen figures of a number
        text = html.escape(_ILLEGAL.sub("", safe(str(cell))), quote=False)
        return f'<c t="inlineStr"><is><t xml:space="preserve">{text}</t></is></c>'
    return f"<c><v>{cell}</v></c>"


_XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_PARTS = {
    "[Content_Types].xml": (
        f'<Types xmlns="{_PACKAGE}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        '<Default Extension="xml" ContentType="application/xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{_TYPE}.sheet.main+xml"/>'
        f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{_TYPE}.worksheet+xml"/></Types>'
    ),
    "_rels/.rels": (
        f'<Relationships xmlns="{_PACKAGE}/relationships">'
        f'<Relationship Id="rId1" Type="{_OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>'
    ),
    "xl/workbook.xml": (
        f'<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}"><sheets>'
        '<sheet name="Sheet1" sheetId="1" r:id="rId1"/></sheets></workbook>'
    ),
    "xl/_rels/workbook.xml.rels": (
        f'<Relationships xmlns="{_PACKAGE}/relationships">'
        f'<Relationship Id="rId1" Type="{_OFFICE}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>'
    ),
}
