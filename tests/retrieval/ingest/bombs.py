"""Small files that ask for much: each with the ways in which it may end, where an empty word stands for a document."""

import gzip
import io
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence

Originals = Mapping[str, bytes]
Make = Callable[[Originals, int], bytes]

READ = ("",)
LIMIT = ("processor time", "longer than", "memory", "larger than")
"""A limit of the sandbox, or of the reader before it comes to that."""

MIB = 1 << 20
WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
SHEET = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
SLIDE = "http://schemas.openxmlformats.org/presentationml/2006/main"
DRAWING = "http://schemas.openxmlformats.org/drawingml/2006/main"
RELATIONS = "http://schemas.openxmlformats.org/package/2006/relationships"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
LAUGHS = (
    "<!DOCTYPE a [<!ENTITY l0 'ha'>"
    + "".join(f"<!ENTITY l{n} '" + f"&l{n - 1};" * 10 + "'>" for n in range(1, 12))
    + "]><a>&l11;</a>"
)


def packed(raw: bytes, parts: Mapping[str, bytes | str], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """The archive with parts replaced or added."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(raw)) as old, zipfile.ZipFile(out, "w") as new:
        for name in dict.fromkeys((*old.namelist(), *parts)):
            new.writestr(name, parts[name] if name in parts else old.read(name), method)
    return out.getvalue()


def docx_with(**parts: bytes | str) -> Make:
    return lambda originals, _: packed(originals["docx"], {one.replace("__", "/"): part for one, part in parts.items()})


def body(inner: str) -> str:
    return f'<w:document xmlns:w="{WORD}"><w:body>{inner}</w:body></w:document>'


def document(inner: Callable[[], str]) -> Make:
    return lambda originals, _: packed(originals["docx"], {"word/document.xml": body(inner())})


def sheet(rows: Callable[[], str]) -> Make:
    def make(originals: Originals, _: int) -> bytes:
        part = f'<worksheet xmlns="{SHEET}"><sheetData>{rows()}</sheetData></worksheet>'
        return packed(originals["xlsx"], {"xl/worksheets/sheet1.xml": part})

    return make


def slide(shapes: Callable[[], str]) -> Make:
    def make(originals: Originals, _: int) -> bytes:
        head = "<p:nvGrpSpPr><p:cNvPr id='1' name=''/><p:cNvGrpSpPr/><p:nvPr/></p:nvGrpSpPr><p:grpSpPr/>"
        tree = f"<p:cSld><p:spTree>{head}{shapes()}</p:spTree></p:cSld>"
        part = f'<p:sld xmlns:p="{SLIDE}" xmlns:a="{DRAWING}">{tree}</p:sld>'
        return packed(originals["pptx"], {"ppt/slides/slide1.xml": part})

    return make


def text(make: Callable[[], str | bytes]) -> Make:
    def encoded(_: Originals, __: int) -> bytes:
        made = make()
        return made if isinstance(made, bytes) else made.encode()

    return encoded


# Archives


def nested_archives(originals: Originals, _: int) -> bytes:
    """Zeros in an archive in an archive, eight deep."""
    inner = bytes(MIB)
    for _depth in range(8):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            for number in range(10):
                archive.writestr(f"{number}.zip", inner)
        inner = out.getvalue()
    return packed(originals["docx"], {"word/embeddings/inner.zip": inner})


def overlapping(declared: int) -> Make:
    """Four thousand entries of the directory that all lead to the same megabyte."""

    def make(_: Originals, __: int) -> bytes:
        kernel = zlib.compressobj(9, zlib.DEFLATED, -15)
        data = kernel.compress(bytes(MIB)) + kernel.flush()
        crc, name = zlib.crc32(bytes(MIB)), b"word/0000"
        local = struct.pack("<4s5H3I2H", b"PK\3\4", 20, 0, 8, 0, 33, crc, len(data), declared, len(name), 0)
        head = struct.pack("<4s6H3I5H2I", b"PK\1\2", 20, 20, 0, 8, 0, 33, crc, len(data), declared, 9, 0, 0, 0, 0, 0, 0)
        directory = b"".join(head + b"word/%04d" % number for number in range(4000))
        start = len(local) + len(name) + len(data)
        end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 4000, 4000, len(directory), start, 0)
        return local + name + data + directory + end

    return make


def contains_itself(_: Originals, __: int) -> bytes:
    """A stored member that reaches from the start of the archive to its end."""
    name, size = b"word/document.xml", 30 + 17 + 46 + 17 + 22
    local = struct.pack("<4s5H3I2H", b"PK\3\4", 20, 0, 0, 0, 33, 0, size, size, len(name), 0)
    head = struct.pack("<4s6H3I5H2I", b"PK\1\2", 20, 20, 0, 0, 0, 33, 0, size, size, len(name), 0, 0, 0, 0, 0, 0)
    return local + name + head + name + struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 1, 1, 46 + 17, 30 + 17, 0)


def lying_sizes(originals: Originals, _: int) -> bytes:
    bomb = packed(originals["docx"], {"word/document.xml": bytes(32 * MIB)})
    return bomb.replace(struct.pack("<I", 32 * MIB), struct.pack("<I", 10))


def sixty_four_bits(originals: Originals, _: int) -> bytes:
    """A member of 2^63 bytes, by the field for large archives."""
    raw = bytearray(packed(originals["docx"], {"word/a.bin": b"x"}, zipfile.ZIP_STORED))
    place = raw.rfind(b"PK\1\2")
    extra = struct.pack("<2H2Q", 1, 16, 1 << 63, 1 << 63)
    raw[place + 20 : place + 28] = b"\xff" * 8
    raw[place + 30 : place + 32] = struct.pack("<H", len(extra))
    end = raw.rfind(b"PK\5\6")
    raw[end + 12 : end + 16] = struct.pack("<I", struct.unpack("<I", raw[end + 12 : end + 16])[0] + len(extra))
    name_end = place + 46 + struct.unpack("<H", raw[place + 28 : place + 30])[0]
    raw[name_end:name_end] = extra
    return bytes(raw)


def lzma_dictionary(originals: Originals, _: int) -> bytes:
    """A member whose packing claims a dictionary of four gigabytes."""
    raw = bytearray(packed(originals["docx"], {"word/a.bin": b"words " * 99}, zipfile.ZIP_LZMA))
    place = raw.rfind(b"word/a.bin", 0, raw.find(b"PK\1\2")) + len(b"word/a.bin")
    raw[place + 5 : place + 9] = b"\xff" * 4
    return bytes(raw)


def bzip2_ratio(originals: Originals, _: int) -> bytes:
    return packed(originals["docx"], {"word/a.bin": bytes(64 * MIB)}, zipfile.ZIP_BZIP2)


def links_and_paths(originals: Originals, _: int) -> bytes:
    """Members for every place that they must not go to, among them links."""
    out = io.BytesIO(originals["docx"])
    with zipfile.ZipFile(out, "a") as archive:
        for name in (
            "../../outside.txt",
            "/tmp/outside.txt",
            "..\\outside.txt",
            "C:\\outside.txt",
            "a\0b",
            "\u202etxt",
        ):
            archive.writestr(name, "outside")
        link = zipfile.ZipInfo("word/link")
        link.create_system, link.external_attr = 3, 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    return out.getvalue()


def link_for_text(originals: Originals, _: int) -> bytes:
    """The main part is a link to a file of the host."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(originals["docx"])) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            info = zipfile.ZipInfo(name)
            info.create_system, info.external_attr = 3, (0o120777 if name == "word/document.xml" else 0o644) << 16
            new.writestr(info, b"/etc/passwd" if name == "word/document.xml" else old.read(name))
    return out.getvalue()


def twice(originals: Originals, _: int) -> bytes:
    out = io.BytesIO(originals["docx"])
    with warnings.catch_warnings(action="ignore", category=UserWarning), zipfile.ZipFile(out, "a") as archive:
        archive.writestr("word/document.xml", body("<w:p><w:r><w:t>other</w:t></w:r></w:p>"))
    return out.getvalue()


# What points elsewhere


def relations(originals: Originals, port: int) -> bytes:
    """Everything that a presentation can fetch is external."""
    where = f"http://127.0.0.1:{port}/x"
    kinds = ("image", "chart", "hyperlink", "video", "oleObject", "externalLinkPath", "customXml", "slide")
    far = "".join(
        f'<Relationship Id="far{n}" Type="{OFFICE}/{kind}" Target="{where}" TargetMode="External"/>'
        for n, kind in enumerate(kinds)
    )
    with zipfile.ZipFile(io.BytesIO(originals["pptx"])) as archive:
        part = archive.read("ppt/slides/_rels/slide1.xml.rels").decode()
    return packed(originals["pptx"], {"ppt/slides/_rels/slide1.xml.rels": part.replace("</Rel", far + "</Rel", 1)})


def template(originals: Originals, port: int) -> bytes:
    """A Word document with its template, settings and styles on a server."""
    with zipfile.ZipFile(io.BytesIO(originals["docx"])) as archive:
        part = archive.read("word/_rels/document.xml.rels").decode()
    where = f'Target="http://127.0.0.1:{port}/x" TargetMode="External"'
    far = f'<Relationship Id="far" Type="{OFFICE}/attachedTemplate" {where}/>'
    return packed(originals["docx"], {"word/_rels/document.xml.rels": part.replace("</Rel", far + "</Rel", 1)})


def xml_outside(member: str, kind: str) -> Make:
    """An XML part whose document type and entity are on a server, and one that is a file of the host."""

    def make(originals: Originals, port: int) -> bytes:
        part = (
            f'<!DOCTYPE a SYSTEM "http://127.0.0.1:{port}/a.dtd" [<!ENTITY b SYSTEM "file:///etc/passwd">'
            f'<!ENTITY % c SYSTEM "http://127.0.0.1:{port}/c"> %c;]><a>&b;</a>'
        )
        return packed(originals[kind], {member: part})

    return make


def page_outside(_: Originals, port: int) -> bytes:
    where = f"http://127.0.0.1:{port}/x"
    return (
        f'<html><head><base href="{where}"><link rel="stylesheet" href="{where}"><script src="{where}"></script>'
        f'<meta http-equiv="refresh" content="0;{where}"></head><body><p>words</p><img src="{where}">'
        f'<iframe src="{where}"></iframe><object data="{where}"></object><svg><image href="{where}"/></svg>'
        f'<p style="background:url({where})">more</p>'
    ).encode()


def markdown_outside(_: Originals, port: int) -> bytes:
    where = f"http://127.0.0.1:{port}/x"
    return (
        f"---\ntitle: !!python/object/apply:os.system ['true']\n---\nwords ![a]({where}) <img src='{where}'>".encode()
    )


def pdf_outside(_: Originals, port: int) -> bytes:
    """Opens a page elsewhere, runs a script, starts a program, submits a form."""
    where = b"http://127.0.0.1:%d/x" % port
    script = b"app.launchURL('%s'); this.submitForm('%s')" % (where, where)
    actions = b"<</S/URI/URI(%s)/Next[<</S/JavaScript/JS(%s)>><</S/Launch/F(/bin/true)>>" % (where, script)
    opening = actions + b"<</S/SubmitForm/F<</FS/URL/F(%s)>>>><</S/GoToR/F<</FS/URL/F(%s)>>/D[0/Fit]>>]>>" % (
        where,
        where,
    )
    return pdf(page(b"BT /F 9 Tf 9 9 Td (words) Tj ET"), catalog=b"/OpenAction " + opening)


# PDF


def pdf(objects: Sequence[bytes], *, catalog: bytes = b"", pages: bytes = b"/Kids[3 0 R]/Count 1") -> bytes:
    """Object 1 is the catalog, 2 the page tree, 3 and on are given."""
    numbered = [b"<</Type/Catalog/Pages 2 0 R%s>>" % catalog, b"<</Type/Pages%s>>" % pages, *objects]
    parts = b"".join(b"%d 0 obj%s\nendobj\n" % (number, one) for number, one in enumerate(numbered, 1))
    return b"%PDF-1.7\n" + parts + b"trailer<</Size %d/Root 1 0 R>>" % (len(numbered) + 1)


def stream(data: bytes, entries: bytes = b"") -> bytes:
    return b"<<%s/Length %d>>stream\n%s\nendstream" % (entries, len(data), data)


def page(
    content: bytes, entries: bytes = b"", *, resources: bytes = b"", box: bytes = b"0 0 99 99"
) -> tuple[bytes, ...]:
    font = b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>"
    own = b"/Contents 4 0 R/Resources<</Font<</F 5 0 R>>%s>>" % resources
    return b"<</Type/Page/Parent 2 0 R/MediaBox[%s]%s>>" % (box, own), stream(content, entries), font


def flated(data: bytes, times: int = 1) -> tuple[bytes, bytes]:
    for _ in range(times):
        data = zlib.compress(data, 9)
    return data, b"/Filter[%s]" % (b"/FlateDecode" * times)


def flate_bomb() -> bytes:
    return pdf(page(*flated(b" " * (150 * MIB))))


def flate_of_flate() -> bytes:
    return pdf(page(*flated(b" " * (60 * MIB), 3)))


def form_that_draws_itself() -> bytes:
    form = stream(b"/X Do /X Do", b"/Type/XObject/Subtype/Form/BBox[0 0 9 9]/Resources<</XObject<</X 6 0 R>>>>")
    return pdf((*page(b"/X Do BT /F 9 Tf (words) Tj ET", resources=b"/XObject<</X 6 0 R>>"), form))


def forms_that_double() -> bytes:
    """Forty forms, each of which draws the next one twice."""
    forms = [
        stream(
            b"/X Do /X Do" if number < 40 else b"BT /F 9 Tf (w) Tj ET",
            b"/Type/XObject/Subtype/Form/BBox[0 0 9 9]/Resources<</Font<</F 5 0 R>>/XObject<</X %d 0 R>>>>"
            % (number + 7),
        )
        for number in range(41)
    ]
    return pdf((*page(b"/X Do", resources=b"/XObject<</X 6 0 R>>"), *forms))


def object_streams() -> bytes:
    """Object streams that say they hold two billion objects and extend each other in a circle."""
    inner, flate = flated(b"3 0 " * (4 * MIB))
    head = b"/Type/ObjStm/N 2147483647/First 2147483647%s" % flate
    return pdf((stream(inner, head + b"/Extends 4 0 R"), stream(inner, head + b"/Extends 3 0 R")))


def cross_references() -> bytes:
    """A table that goes back to itself, with a stream of references of absurd widths."""
    widths = b"/Type/XRef/Size 2147483647/W[2147483647 2147483647 2147483647]/Index[0 2147483647]/Root 1 0 R/Prev 9"
    raw = pdf((*page(b"BT ET"), stream(b"x" * 99, widths)))
    return (
        raw
        + b"\nxref\n0 4294967295\n0000000000 65535 f \ntrailer<</Root 1 0 R/Prev %d>>\nstartxref\n%d\n%%%%EOF"
        % (
            len(raw) + 1,
            len(raw) + 1,
        )
    )


def many_pages() -> bytes:
    kids = b" ".join(b"%d 0 R" % number for number in range(3, 6003))
    empty = [b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>"] * 6000
    return pdf(empty, pages=b"/Kids[%s]/Count 6000" % kids)


def large_image() -> bytes:
    data, flate = flated(bytes(MIB))
    entries = b"/Type/XObject/Subtype/Image/Width 65000/Height 65000/BitsPerComponent 8/ColorSpace/DeviceRGB" + flate
    return pdf((*page(b"/X Do BT /F 9 Tf (words) Tj ET", resources=b"/XObject<</X 6 0 R>>"), stream(data, entries)))


def predictor() -> bytes:
    data, flate = flated(bytes(MIB))
    parameters = b"/DecodeParms<</Predictor 15/Colors 2147483647/BitsPerComponent 32/Columns 2147483647>>"
    return pdf(page(data, flate + parameters))


def type_3_fonts() -> bytes:
    """A font whose letters are written in the font itself."""
    letter = stream(b"1 0 0 0 9 9 d1 BT /F 9 Tf (a) Tj ET")
    font = (
        b"<</Type/Font/Subtype/Type3/FontBBox[0 0 9 9]/FontMatrix[1 0 0 1 0 0]/CharProcs<</a 6 0 R>>"
        b"/FirstChar 97/LastChar 97/Encoding<</Differences[97/a]>>/Widths[9]/Resources<</Font<</F 5 0 R>>>>>>"
    )
    first, content, _ = page(b"BT /F 9 Tf (aaaa) Tj ET")
    return pdf((first, content, font, letter))


# Spreadsheets, presentations and books


def dimension_lie(originals: Originals, _: int) -> bytes:
    cell = "<row r='1'><c r='A1'><v>1</v></c></row>"
    part = f'<worksheet xmlns="{SHEET}"><dimension ref="A1:XFD1048576"/><sheetData>{cell}</sheetData></worksheet>'
    return packed(originals["xlsx"], {"xl/worksheets/sheet1.xml": part})


def shared_string(originals: Originals, _: int) -> bytes:
    """Half a megabyte of words that fifty thousand cells refer to."""
    words = "word " * 100_000
    strings = f'<sst xmlns="{SHEET}"><si><t>{words}</t></si></sst>'
    rows = "".join(f"<row r='{n}'><c r='A{n}' t='s'><v>0</v></c></row>" for n in range(1, 50_000))
    part = f'<worksheet xmlns="{SHEET}"><sheetData>{rows}</sheetData></worksheet>'
    return packed(originals["xlsx"], {"xl/sharedStrings.xml": strings, "xl/worksheets/sheet1.xml": part})


def many_sheets(originals: Originals, _: int) -> bytes:
    with zipfile.ZipFile(io.BytesIO(originals["xlsx"])) as archive:
        part = archive.read("xl/workbook.xml").decode()
    before, _sheets, rest = part.partition("<sheets>")
    sheets = "".join(f'<sheet name="s{n}" sheetId="{n + 9}" r:id="rId1"/>' for n in range(20_000))
    return packed(originals["xlsx"], {"xl/workbook.xml": f"{before}<sheets>{sheets}{rest}"})


def slides_again_and_again(originals: Originals, _: int) -> bytes:
    with zipfile.ZipFile(io.BytesIO(originals["pptx"])) as archive:
        part = archive.read("ppt/presentation.xml").decode()
    start, end = part.index("<p:sldId "), part.index("</p:sldIdLst>")
    one = part[start : part.index("/>", start) + 2]
    return packed(originals["pptx"], {"ppt/presentation.xml": part[:start] + one * 100_000 + part[end:]})


def book(part: Callable[[], str | bytes]) -> Make:
    return lambda originals, _: packed(originals["epub"], {"OEBPS/text/one x.xhtml": part()})


def spine_again_and_again(originals: Originals, _: int) -> bytes:
    with zipfile.ZipFile(io.BytesIO(originals["epub"])) as archive:
        part = archive.read("OEBPS/book.opf").decode()
    return packed(
        originals["epub"], {"OEBPS/book.opf": part.replace("<spine>", "<spine>" + "<itemref idref='one'/>" * 100_000)}
    )


def quadratic_package(originals: Originals, _: int) -> bytes:
    part = "<!DOCTYPE a [<!ENTITY b '" + "x" * 100_000 + "'>]><package>" + "&b;" * 100_000 + "</package>"
    return packed(originals["epub"], {"OEBPS/book.opf": part})


def corners() -> str:
    return "<row r='1'><c r='A1'><v>1</v></c></row><row r='1048576'><c r='XFD1048576'><v>1</v></c></row>"


def hidden_corners() -> str:
    """The same, written so that only an XML parser sees it."""
    return "<row r='1'><c r='A1'><v>1</v></c></row><row r='1048576'><c r='&#88;FD1048576'><v>1</v></c></row>"


def nested_shapes() -> str:
    head = "<p:nvGrpSpPr><p:cNvPr id='2' name=''/><p:cNvGrpSpPr/><p:nvPr/></p:nvGrpSpPr><p:grpSpPr/>"
    return f"<p:grpSp>{head}" * 5000 + "</p:grpSp>" * 5000


def wide_table() -> str:
    words = "<a:txBody><a:p><a:r><a:t>x</a:t></a:r></a:p></a:txBody>"
    cell = f"<a:tc gridSpan='2147483647' rowSpan='2147483647'>{words}</a:tc>"
    frame = "<p:nvGraphicFramePr><p:cNvPr id='2' name=''/><p:cNvGraphicFramePr/><p:nvPr/></p:nvGraphicFramePr><p:xfrm/>"
    table = f"<a:tbl><a:tblGrid/><a:tr>{cell * 20_000}</a:tr></a:tbl>"
    graphic = f"<a:graphicData uri='{DRAWING.replace('main', 'table')}'>{table}</a:graphicData>"
    return f"<p:graphicFrame>{frame}<a:graphic>{graphic}</a:graphic></p:graphicFrame>"


DOCX, XLSX, PPTX, EPUB, PDF, HTML, MD = "x.docx", "x.xlsx", "x.pptx", "x.epub", "x.pdf", "x.html", "x.md"
PARAGRAPH = "<w:p><w:r><w:t>words</w:t></w:r></w:p>"
TOO_LARGE = ("times its size", "expands to more than", "entries")

BOMBS: dict[str, tuple[str, Make, tuple[str, ...]]] = {
    "zip: zeros": (DOCX, docx_with(word__a=bytes(64 * MIB)), TOO_LARGE),
    "zip: many members": (DOCX, lambda o, _: packed(o["docx"], {f"w/{n}": b"" for n in range(5000)}), TOO_LARGE),
    "zip: nested": (DOCX, nested_archives, READ),
    "zip: overlapping members": (DOCX, overlapping(MIB), TOO_LARGE),
    "zip: overlapping members that lie": (DOCX, overlapping(9), ("damaged", *TOO_LARGE)),
    "zip: holds itself": (DOCX, contains_itself, ("damaged", "malformed")),
    "zip: lying sizes": (DOCX, lying_sizes, ("damaged",)),
    "zip: 2^63 bytes": (DOCX, sixty_four_bits, ("damaged", *TOO_LARGE)),
    "zip: lzma dictionary": (DOCX, lzma_dictionary, ("packed in a way",)),
    "zip: bzip2 ratio": (DOCX, bzip2_ratio, ("packed in a way", *TOO_LARGE)),
    "zip: links and paths": (DOCX, links_and_paths, READ),
    "zip: link for text": (DOCX, link_for_text, ("malformed",)),
    "zip: two of one name": (DOCX, twice, ("two files of one name",)),
    "zip: endless path": (DOCX, docx_with(**{"w__" * 16_000 + "a": b"x"}), READ),
    "docx: billion laughs": (DOCX, lambda o, _: packed(o["docx"], {"word/document.xml": LAUGHS}), ("document type",)),
    "docx: outside entity": (DOCX, xml_outside("word/styles.xml", "docx"), ("document type",)),
    "docx: template elsewhere": (DOCX, template, READ),
    "docx: nested": (DOCX, document(lambda: "<w:tbl><w:tr><w:tc>" * 90_000), ("malformed",)),
    "docx: attributes": (
        DOCX,
        document(lambda: "<w:p " + " ".join(f"a{n}='1'" for n in range(200_000)) + f"/>{PARAGRAPH}"),
        ("", "malformed", *LIMIT),
    ),
    "docx: one text": (
        DOCX,
        document(lambda: PARAGRAPH.replace("words", " ".join(map(str, range(1_600_000))))),
        ("", "malformed", *LIMIT),
    ),
    "docx: spans": (
        DOCX,
        document(
            lambda: (
                "<w:tbl><w:tr>"
                + f"<w:tc><w:tcPr><w:gridSpan w:val='999999999'/><w:vMerge/></w:tcPr>{PARAGRAPH}</w:tc>" * 20_000
                + "</w:tr></w:tbl>"
            )
        ),
        ("", *LIMIT),
    ),
    "xlsx: dimension": (XLSX, dimension_lie, READ),
    "xlsx: corners": (XLSX, sheet(corners), ("clear stray cells",)),
    "xlsx: hidden corners": (XLSX, sheet(hidden_corners), ("", "memory", "malformed", "failed on it")),
    "xlsx: billion laughs": (
        XLSX,
        lambda o, _: packed(o["xlsx"], {"xl/worksheets/sheet1.xml": LAUGHS}),
        ("document type",),
    ),
    "xlsx: one string, many cells": (XLSX, shared_string, (*LIMIT, "failed on it")),
    "xlsx: many sheets": (XLSX, many_sheets, ("more than 500 sheets", *LIMIT)),
    "xlsx: string that is not there": (
        XLSX,
        sheet(lambda: "<row r='1'><c r='A1' t='s'><v>4294967295</v></c></row>"),
        ("", "malformed", "failed on it"),
    ),
    "pptx: relations elsewhere": (PPTX, relations, READ),
    "pptx: nested shapes": (PPTX, slide(nested_shapes), ("malformed",)),
    "pptx: wide table": (PPTX, slide(wide_table), ("", *LIMIT)),
    "pptx: slides again and again": (PPTX, slides_again_and_again, ("more than 2000 slides", *LIMIT)),
    "pptx: outside entity": (PPTX, xml_outside("ppt/slides/slide1.xml", "pptx"), ("document type",)),
    "epub: packed twice": (EPUB, book(lambda: gzip.compress(bytes(8 * MIB))), ("binary",)),
    "epub: outside entity": (EPUB, xml_outside("OEBPS/book.opf", "epub"), ("entities",)),
    "epub: quadratic": (EPUB, quadratic_package, ("entities", *TOO_LARGE)),
    "epub: spine again and again": (EPUB, spine_again_and_again, READ),
    "epub: closes itself": (EPUB, book(lambda: "<html><body>" + "<b/>" * 200_000 + "words"), ("", *LIMIT)),
    "epub: nested": (EPUB, book(lambda: "<html><body>" + "<div>" * 100_000), ("nested deeper",)),
    "pdf: flate": (PDF, text(flate_bomb), ("", "OCR", "damaged", *LIMIT)),
    "pdf: flate of flate": (PDF, text(flate_of_flate), ("", "OCR", "damaged", *LIMIT)),
    "pdf: page count": (
        PDF,
        text(lambda: pdf(page(b"BT /F 9 Tf (words) Tj ET"), pages=b"/Kids[3 0 R]/Count 2147483647")),
        ("", "pages", "OCR", "damaged", *LIMIT),
    ),
    "pdf: tree that holds itself": (
        PDF,
        text(lambda: pdf((), pages=b"/Kids[2 0 R 2 0 R]/Count 9")),
        ("", "OCR", "damaged", "pages", *LIMIT),
    ),
    "pdf: many pages": (PDF, text(many_pages), ("more than 5000 pages",)),
    "pdf: form that draws itself": (PDF, text(form_that_draws_itself), ("", "OCR", *LIMIT)),
    "pdf: forms that double": (PDF, text(forms_that_double), ("", "OCR", *LIMIT)),
    "pdf: object streams": (PDF, text(object_streams), ("", "OCR", "damaged", *LIMIT)),
    "pdf: cross references": (PDF, text(cross_references), ("", "OCR", "damaged", *LIMIT)),
    "pdf: image": (PDF, text(large_image), ("", *LIMIT)),
    "pdf: predictor": (PDF, text(predictor), ("", "OCR", "damaged", *LIMIT)),
    "pdf: font in itself": (PDF, text(type_3_fonts), ("", "OCR", "damaged", *LIMIT)),
    "pdf: endless page": (
        PDF,
        text(lambda: pdf(page(b"BT /F 9 Tf (words) Tj ET", box=b"-1e38 -1e38 1e38 1e38"))),
        ("", "OCR"),
    ),
    "pdf: nested arrays": (PDF, text(lambda: pdf((b"[" * 500_000,))), ("", "OCR", "damaged", "crashed", *LIMIT)),
    "pdf: actions": (PDF, pdf_outside, READ),
    "html: nested": (HTML, text(lambda: "<div>" * 500_000), ("nested deeper",)),
    "html: formatting": (HTML, text(lambda: "<a><b><i><font>" * 40_000 + "words"), ("", "nested", *LIMIT)),
    "html: attributes": (
        HTML,
        text(lambda: "<p " + " ".join(f"a{n}=1" for n in range(200_000)) + ">words"),
        ("", *LIMIT),
    ),
    "html: spans": (HTML, text(lambda: "<table><tr><td colspan=1000000000 rowspan=65534>a<td>b"), ("", *LIMIT)),
    "html: tables in tables": (HTML, text(lambda: "<table><tr><td>" * 1600 + "words"), ("", "nested", *LIMIT)),
    "html: lists in lists": (HTML, text(lambda: "<ul><li>x" * 2400), ("", *LIMIT)),
    "html: references": (HTML, text(lambda: "<p>" + "&amp;&#x202e;&NotEqualTilde;" * 200_000), ("", *LIMIT)),
    "html: addresses": (HTML, page_outside, READ),
    "md: quotations": (MD, text(lambda: ">" * 20_000 + "words"), ("", "no text", *LIMIT)),
    "md: lists": (MD, text(lambda: "\n".join("  " * n + "- x" for n in range(2000))), ("", *LIMIT)),
    "md: brackets": (MD, text(lambda: "[" * 40_000 + "a" + "](b)" * 40_000), ("", *LIMIT)),
    "md: emphasis": (MD, text(lambda: "*a **b _c __d " * 30_000), ("", *LIMIT)),
    "md: backticks": (MD, text(lambda: " ".join("`" * n for n in range(1, 1500))), ("", *LIMIT)),
    "md: definitions": (
        MD,
        text(lambda: "".join(f"[a{n}]: /b\n" for n in range(30_000)) + "[a1]" * 30_000),
        ("", *LIMIT),
    ),
    "md: wide table": (MD, text(lambda: "|a" * 20_000 + "|\n" + "|-" * 20_000 + "|\n" + "|b|\n" * 1000), ("", *LIMIT)),
    "md: laughs": (
        MD,
        text(lambda: "---\na: &a [x]\nb: &b [*a,*a]\nc: [*b,*b]\nd: " + "[" * 9999 + "\n---\nwords"),
        ("", *LIMIT),
    ),
    "md: addresses": (MD, markdown_outside, READ),
    "txt: one line": ("x.txt", text(lambda: b"word" * (4 * MIB)), ("", *LIMIT)),
    "txt: unseen": ("x.txt", text(lambda: "\u202e\u200b\u2066" * (MIB // 4)), ("no text",)),
    "txt: marks on one letter": ("x.txt", text(lambda: "a" + "\u0300\u0316" * 200_000), ("", *LIMIT)),
    "txt: wide characters": ("x.txt", text(lambda: b"\xff\xfe\0\0" + b"\0\xd8\0\0" * MIB), ("", "no text", *LIMIT)),
    "txt: tabs": ("x.txt", text(lambda: "x" + "\t" * (2 * MIB)), ("", *LIMIT)),
    "csv: columns": ("x.csv", text(lambda: b"a," * (6 * MIB)), ("", *LIMIT)),
    "csv: quotation": ("x.csv", text(lambda: b'"' + b"a\n" * MIB), ("not a well-formed table",)),
    "ipynb: nested": ("x.ipynb", text(lambda: b'{"cells":[{"cell_type":"code","x":' + b"[" * 500_000), ("format 4",)),
    "ipynb: cells": (
        "x.ipynb",
        text(lambda: '{"cells":[' + ",".join(['{"cell_type":"markdown","source":"x"}'] * 60_000) + "]}"),
        ("", *LIMIT),
    ),
}
