"""What every answer carries, whatever its status; and that it leads to no other place."""

import re
from http.cookies import SimpleCookie

from werkzeug.test import TestResponse

from portal.pages import HEADERS

FOR_ALL = re.compile(r"/attachments/\d+$|openapi")
"""Files, whose own tests say who may keep them, and what is nobody's own."""


def lacking(answer: TestResponse, *, is_private: bool) -> tuple[str, ...]:
    """Return what an answer lacks of what guards it; what was made for one person is kept by no cache."""
    policy = answer.headers.get("Content-Security-Policy", "")
    wrong = [name for name in HEADERS if name not in answer.headers]
    if not policy.startswith(("default-src 'self'", "default-src 'none'")) or "unsafe" in policy or "http" in policy:
        wrong.append(policy)
    if answer.headers.get("X-Content-Type-Options") != "nosniff":
        wrong.append("nosniff")
    if answer.mimetype == "text/html" and "frame-ancestors 'none'" not in policy:
        wrong.append("frames")
    if answer.location and not answer.location.startswith("/"):
        wrong.append(f"leads to {answer.location}")
    for cookie in answer.headers.getlist("Set-Cookie"):
        held = next(iter(SimpleCookie(cookie).values()))
        if held.key == "casebook" and not (held["httponly"] and held["samesite"] == "Lax"):
            wrong.append(cookie)
    if is_private and answer.status_code == 200 and not FOR_ALL.search(answer.request.path):
        wrong += [] if "no-store" in answer.headers["Cache-Control"] else ["kept by caches"]
    return tuple(wrong)
