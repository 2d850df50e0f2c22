"""Files for trying uploads, made here."""

import io
import zipfile

import xlsxwriter

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c636060606000000005000146"
    "a0e2260000000049454e44ae426082"
)

WORD = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"


def docx(text: str = "The valve leaks.") -> bytes:
    paragraph = f"<w:p><w:r><w:t>{text}</w:t></w:r></w:p>"
    return archive(
        {
            "[Content_Types].xml": '<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/'
            'content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships'
            '+xml"/><Default Extension="xml" ContentType="application/xml"/><Override PartName="/word/document.xml" '
            'ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>',
            "_rels/.rels": '<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/'
            'relationships"><Relationship Id="r1" Type="http://schemas.openxmlformats.org/officeDocument/2006/'
            'relationships/officeDocument" Target="word/document.xml"/></Relationships>',
            "word/document.xml": '<?xml version="1.0"?><w:document xmlns:w="http://schemas.openxmlformats.org/'
            f'wordprocessingml/2006/main"><w:body>{paragraph}</w:body></w:document>',
        }
    )


def bomb() -> bytes:
    """Return a small Word file whose XML grows without end."""
    entities = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10 if n else "boom" * 10}">' for n in range(10))
    made = io.BytesIO(docx())
    parts = {}
    with zipfile.ZipFile(made) as old:
        parts = {name: old.read(name).decode() for name in old.namelist()}
    parts["word/document.xml"] = (
        f'<?xml version="1.0"?><!DOCTYPE d [{entities}]><w:document xmlns:w="http://schemas.openxmlformats.org/'
        'wordprocessingml/2006/main"><w:body><w:p><w:r><w:t>&e9;</w:t></w:r></w:p></w:body></w:document>'
    )
    return archive(parts)


DRAWING = "http://schemas.openxmlformats.org/drawingml/2006/main"


def pptx(*slides: str, notes: str = "", before: str = "") -> bytes:
    """Return a presentation: each slide is the XML of its text body, or plain words of one line."""
    members = {"[Content_Types].xml": "<Types/>", "ppt/presentation.xml": "<p/>"}
    for number, body in enumerate(slides, 1):
        lines = body if "<" in body else f"<a:p><a:r><a:t>{body}</a:t></a:r></a:p>"
        members[f"ppt/slides/slide{number}.xml"] = f'{before}<p:sld xmlns:p="p" xmlns:a="{DRAWING}">{lines}</p:sld>'
    if notes:
        members["ppt/notesSlides/notesSlide1.xml"] = (
            f'<p:notes xmlns:p="p" xmlns:a="{DRAWING}"><a:p><a:r><a:t>{notes}</a:t></a:r></a:p></p:notes>'
        )
    return archive(members)


def open_document(body: str, kind: str = "text", before: str = "") -> bytes:
    space = "urn:oasis:names:tc:opendocument:xmlns"
    content = (
        f'<?xml version="1.0"?>{before}<office:document-content xmlns:office="{space}:office:1.0" '
        f'xmlns:text="{space}:text:1.0"><office:meta>not shown</office:meta><office:body>{body}</office:body>'
        "</office:document-content>"
    )
    return archive({"mimetype": f"application/vnd.oasis.opendocument.{kind}", "content.xml": content})


GROWING = (
    "<!DOCTYPE d [" + "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10 if n else "boom" * 10}">' for n in range(10)) + "]>"
)


def xlsx() -> bytes:
    made = io.BytesIO()
    with xlsxwriter.Workbook(made, {"in_memory": True}) as book:
        sheet = book.add_worksheet("Parts")
        sheet.write_row(0, 0, ["Gasket", 12, "密封圈"])
    return made.getvalue()


def pdf(text: str = "Torque table") -> bytes:
    stream = f"BT /F1 24 Tf 72 720 Td ({text}) Tj ET".encode()
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        (
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R "
            b"/Resources << /Font << /F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >> >>"
        ),
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
    ]
    made = bytearray(b"%PDF-1.4\n")
    places = []
    for number, content in enumerate(objects, 1):
        places.append(len(made))
        made += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    start = len(made)
    made += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    made += b"".join(b"%010d 00000 n \n" % place for place in places)
    made += b"trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)
    return bytes(made)


def locked_pdf() -> bytes:
    """Return a PDF that opens only with a password, which nobody knows."""
    twice, owner, user = "<00112233445566778899aabbccddeeff>", "ab" * 32, "cd" * 32
    locked = f"/Encrypt << /Filter /Standard /V 1 /R 2 /P -4 /O <{owner}> /U <{user}> >> /ID [{twice} {twice}]"
    return pdf().replace(b"/Root 1 0 R", f"/Root 1 0 R {locked}".encode())


def locked_document(kind: str) -> bytes:
    """Return an OpenDocument file whose content is noise without its key."""
    space = "urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"
    return archive(
        {
            "mimetype": f"application/vnd.oasis.opendocument.{kind}",
            "META-INF/manifest.xml": f'<manifest:manifest xmlns:manifest="{space}">'
            '<manifest:file-entry manifest:full-path="content.xml"><manifest:encryption-data/></manifest:file-entry>'
            "</manifest:manifest>",
            "content.xml": "\x01\x02\x03",
        }
    )


def archive(members: dict[str, str]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name, content, compresslevel=1)
    return made.getvalue()
