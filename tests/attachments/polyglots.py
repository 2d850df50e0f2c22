"""Files that are two things at once, made here: what a name says, and a page, a script or an archive as well.

Each tells `fire()` whether it is read as a page or as a script: by a request that a test listens for.
"""

from tests.attachments import samples

SCRIPT = "fetch('/fired')"
PAGE = f'<!DOCTYPE html><html><body onload="{SCRIPT}"><script>{SCRIPT}</script>'.encode()
GIF = (
    b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"
)
JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"
WEBP = b"RIFF\x1a\0\0\0WEBPVP8L\x0d\0\0\0/\0\0\0\x10\x07\x10\x11\x11\x88\x88\xfe\x07\0"
MP4 = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom"
SVG = f"<svg xmlns='http://www.w3.org/2000/svg' onload=\"{SCRIPT}\"><script>{SCRIPT}</script></svg>".encode()
ZIP = samples.archive({"page.html": PAGE.decode()})
PHP = b"<?php system($_GET['c']); ?>"


def with_script_action() -> bytes:
    """Return a PDF that runs a script when it is opened."""
    opening = f"/OpenAction << /S /JavaScript /JS (app.alert\\(1\\); {SCRIPT.replace('(', chr(92) + '(')}) >>".encode()
    return samples.pdf().replace(b"/Type /Catalog", b"/Type /Catalog " + opening)


def jpeg_with_comment(comment: bytes) -> bytes:
    """Return a picture that carries a comment."""
    return JPEG + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + b"\xff\xd9"


def nested_bomb() -> bytes:
    """Return an archive that holds the Word file which grows without end, inside another archive."""
    inner = samples.archive({"letter.docx": samples.bomb().decode("latin-1")})
    return samples.archive({"inner.zip": inner.decode("latin-1"), "page.html": PAGE.decode()})


TAKEN: dict[str, tuple[bytes, str]] = {
    "gif-page.gif": (GIF + PAGE, "image/gif"),
    "gif-script.gif": (b"GIF89a/*" + GIF[8:] + b"*/=1;" + SCRIPT.encode() + b"//", "image/gif"),
    "png-page.png": (samples.PNG + PAGE, "image/png"),
    "png-zip.png": (samples.PNG + ZIP, "image/png"),
    "png-php.png": (samples.PNG + PHP, "image/png"),
    "jpeg-php.jpg": (jpeg_with_comment(PHP + PAGE), "image/jpeg"),
    "jpeg-script.jpeg": (b"\xff\xd8\xff\xe0/*" + JPEG[6:] + b"*/" + SCRIPT.encode() + b"//", "image/jpeg"),
    "webp-page.webp": (WEBP + PAGE, "image/webp"),
    "pdf-page.pdf": (samples.pdf() + PAGE, "application/pdf"),
    "pdf-script.pdf": (with_script_action(), "application/pdf"),
    "zip-page.zip": (ZIP + PAGE, "application/zip"),
    "nested-bomb.zip": (nested_bomb(), "application/zip"),
    "docx-page.docx": (samples.docx() + PAGE, samples.WORD),
    "page.txt": (PAGE, "text/plain"),
    "page.csv": (PAGE, "text/csv"),
    "page.md": (PAGE, "text/markdown"),
    "page.log": (PAGE, "text/plain"),
    "page.json": (PAGE, "application/json"),
    "script.txt": (SCRIPT.encode(), "text/plain"),
    "script.csv": (SCRIPT.encode(), "text/csv"),
    "script.json": (SCRIPT.encode(), "application/json"),
    "svg.txt": (SVG, "text/plain"),
    "utf-7.txt": (PAGE.replace(b"<", b"+ADw-").replace(b">", b"+AD4-"), "text/plain"),
    "utf-16.txt": (PAGE.decode().encode("utf-16"), "text/plain"),
    "utf-16-be.txt": (b"\xfe\xff" + PAGE.decode().encode("utf-16-be"), "text/plain"),
    "utf-32.txt": (PAGE.decode().encode("utf-32"), "text/plain"),
    "utf-8-mark.txt": (b"\xef\xbb\xbf" + PAGE, "text/plain"),
    "multipart.txt": (
        b"MIME-Version: 1.0\nContent-Type: multipart/related; boundary=b\n\n--b\n\n" + PAGE,
        "text/plain",
    ),
}
"""What is taken, because it is what its name says, and as which type."""

REFUSED: dict[str, bytes] = {
    "svg.png": SVG,
    "svg.jpg": b"<?xml version='1.0'?>" + SVG,
    "svg.gif": b"\xef\xbb\xbf" + SVG,
    "svg.webp": SVG,
    "svg.pdf": SVG,
    "svg.svg": SVG,
    "page.png": PAGE,
    "page.jpg": b"\n\n  " + PAGE,
    "page.gif": b"\xef\xbb\xbf" + PAGE,
    "page.pdf": PAGE,
    "page-pdf.pdf": PAGE + samples.pdf(),
    "late.pdf": b" " * 9000 + samples.pdf(),
    "page-zip.zip": PAGE + ZIP,
    "program.zip": b"MZ" + bytes(200) + ZIP,
    "png-zip.zip": samples.PNG + ZIP,
    "gif-docx.docx": GIF + samples.docx(),
    "page-docx.docx": PAGE + samples.docx(),
    "page-odt.odt": PAGE + samples.open_document("<text:p>x</text:p>"),
    "mp4.png": MP4 + PAGE,
    "mp4.jpg": MP4 + PAGE,
    "mp4.txt": MP4 + PAGE,
    "film.webp": b"RIFF\x1a\0\0\0AVI LIST" + PAGE,
    "sound.webp": b"RIFF\x1a\0\0\0WAVEfmt " + PAGE,
    "gif.png": GIF,
    "png.jpg": samples.PNG,
    "page.html": PAGE,
    "page.htm": PAGE,
    "page.xhtml": PAGE,
    "page.txt.html": PAGE,
    "page.mhtml": PAGE,
    "page.js": SCRIPT.encode(),
    "page.swf": b"FWS" + PAGE,
    "page.php": PHP,
}
"""What is not what its name says, or is of a kind that carries scripts."""
