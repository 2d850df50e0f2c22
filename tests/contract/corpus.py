"""A small shop's knowledge, written so that each thing an engine must do has a document to show it on."""

from datetime import UTC, datetime, timedelta

from portal.access import CUSTOMERS, PUBLIC, STAFF, Role, Viewer, customer_token, viewer_for
from portal.search.document import AttachedText, Document, Section

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
NOBODY = viewer_for(Role.ANONYMOUS)
ALICE = viewer_for(Role.CUSTOMER, user_id=11, customer_id=1)
BOB = viewer_for(Role.CUSTOMER, user_id=12, customer_id=2)
CARLA = viewer_for(Role.AGENT, user_id=13)
VIEWERS: dict[str, Viewer] = {
    "nobody": NOBODY,
    "alice": ALICE,
    "bob": BOB,
    "carla": CARLA,
    "dora": viewer_for(Role.EDITOR, user_id=14),
    "erin": viewer_for(Role.MANAGER, user_id=15),
}


def ago(**parts: float) -> datetime:
    """Return a moment before the corpus' present."""
    return NOW - timedelta(**parts)


def document(number: int, title: str, body: str = "", **more: object) -> Document:
    """Return an article that everybody may read, unless told otherwise."""
    values: dict[str, object] = {
        "id": f"article:{number}", "version": 1, "kind": "faq", "readers": frozenset({PUBLIC}), "language": "en",
        "status": "published", "updated_at": ago(days=number, hours=1), "url": f"/articles/{number}", "body": body,
    }  # fmt: skip
    return Document(title=title, **{**values, **more})  # type: ignore[arg-type]


def record(number: int, customer: int, title: str, body: str, internal: str = "", **more: object) -> Document:
    """Return a customer's service record."""
    values: dict[str, object] = {
        "id": f"record:{number}", "kind": "record", "readers": frozenset({STAFF, customer_token(customer)}),
        "status": "open", "internal": internal, "identifiers": (f"R-2026-{number:04}",), "url": f"/records/{number}",
    }  # fmt: skip
    return document(number, title, body, **{**values, **more})


CORPUS: list[Document] = [
    document(1, "The printer does not print", "Check the cable, then install the driver again. The printers of the "
             "LX series need firmware 2.1.", categories=("hardware", "printers"), products=("lx-200",),
             tags=("driver", "usb"), popularity=50.0),
    document(2, "Paper jam", "Open the lid of the printer and pull the sheet out slowly.",
             categories=("hardware", "printers"), products=("lx-200", "lx-300"), tags=("paper",), popularity=90.0),
    document(3, "Reset your password", "Choose Forgot password on the sign-in page. A link comes by mail.",
             categories=("accounts",), tags=("password",), popularity=70.0, updated_at=ago(hours=3)),
    document(4, "如何重置密码", "在登录页面点击忘记密码，系统会发送一封邮件。", language="zh", categories=("accounts",),
             tags=("password",), other_titles=("Reset your password",), updated_at=ago(days=5)),
    document(5, "打印机无法启动", "请检查电源线，然后重新安装驱动程序。", language="zh",
             categories=("hardware", "printers"), tags=("driver",)),
    document(6, "印表機驅動程式安裝說明", "先下載驅動程式，再重新開機。", language="zh",
             categories=("hardware", "printers"), tags=("driver",), updated_at=ago(days=500)),
    document(7, "Error ORA-00600 while a report runs", "The database writes ORA-00600 to its log. See KB3089230.",
             categories=("database",), kind="case_study", tags=("oracle",), updated_at=ago(days=40)),
    document(8, "A build with C++ fails", "The C++ compiler ends with error C2143 on .NET projects.",
             categories=("development",), kind="case_study", updated_at=ago(days=300)),
    document(9, "Prices for dealers", "Dealers get the printer LX-200 for less.", readers=frozenset({CUSTOMERS}),
             categories=("sales",), tags=("prices",)),
    document(10, "How we treat complaints", "Only for the desk: apologise, then offer a refund for the zanzibar case.",
             readers=frozenset({STAFF}), categories=("desk",), tags=("internal-only",)),
    document(11, "<script>alert(1)</script> in a title", "Type <b>bold</b> & \"quoted\" text into the scriptbox.",
             sections=(Section(anchor="why", heading="Why", text="Because markup is shown as text."),)),
    document(12, "Network", "", sections=(
        Section(anchor="wifi", heading="Wireless", text="The wireless network is called Office."),
        Section(anchor="vpn", heading="VPN", text="The tunnel needs a certificate from the desk.")),
        attachments=(AttachedText(name="manual.pdf", text="Hold the pairing button for ten seconds."),)),
    record(21, 1, "Printer smokes", "There is smoke above the LX-300 with the serial number SN-77-1234.",
           internal="The customer sounded furious; xylophone discount agreed.", products=("lx-300",),
           facets={"priority": ("high",), "assignee": ("carla",)}),
    record(22, 2, "Invoice is wrong", "The invoice of May shows twice the printer.", internal="Paid already.",
           facets={"priority": ("low",)}, status="closed"),
    document(31, "Alice and Company", "", id="customer:1", kind="customer", readers=frozenset({STAFF})),
]  # fmt: skip
