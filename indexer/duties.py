"""What the worker does beside the index, again and again.  A feature adds its row; `run` commits what it does."""

from indexer.worker import Duty
from portal.accounts import housekeeping
from portal.attachments import attachments, extraction
from portal.mail import messages
from portal.search import log as search_log
from portal.search import popular, saved
from portal.service import presence
from portal.steering import work

DUTIES: tuple[Duty, ...] = (
    Duty("mail", 2.0, messages.deliver_due),
    Duty("texts of files", 2.0, extraction.extract_pending),
    Duty("previews and measurements", 0.5, work.go_on),
    Duty("left-over files", 3600.0, attachments.sweep),
    Duty("ended sessions", 3600.0, housekeeping.forget_old),
    Duty("who has records open", 3600.0, presence.forget_old),
    Duty("sent mails", 3600.0, messages.forget_old),
    Duty("saved searches", 60.0, saved.write_news),
    Duty("old searches", 3600.0, search_log.forget_old),
    Duty("popular searches", 3600.0, popular.refresh),
)
