"""Users and what proves who they are.  Secrets are kept as hashes, or encrypted where they must be read again."""

import uuid
from datetime import datetime

from sqlalchemy import ColumnElement, ForeignKey, Index, LargeBinary, String, Text, true
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal.access import Role, Viewer, viewer_for
from portal.encryption import blind_index, blind_indexes, seal, unseal
from portal.extensions import Base, now

EMAIL_PURPOSE = "account e-mail"


class User(Base):
    """Somebody who signs in."""

    __tablename__ = "user"

    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(String(36), unique=True)
    """A random name made before the row is stored: what the address's encryption is bound to."""
    email_sealed: Mapped[bytes] = mapped_column(LargeBinary)
    email_index: Mapped[str] = mapped_column(String(64), unique=True)
    name: Mapped[str] = mapped_column(String(120))
    role: Mapped[str] = mapped_column(String(20))
    customer_id: Mapped[int | None] = mapped_column(ForeignKey("customer.id", ondelete="SET NULL"), index=True)
    password_hash: Mapped[str | None] = mapped_column(String(255))
    is_active: Mapped[bool] = mapped_column(default=True)
    epoch: Mapped[int] = mapped_column(default=0)
    """Sessions and API tokens of an older epoch are void: raising it signs the user out everywhere."""
    totp_secret: Mapped[bytes | None] = mapped_column(LargeBinary)
    totp_pending: Mapped[bytes | None] = mapped_column(LargeBinary)
    """A new secret that was shown and waits for its first code."""
    totp_last_step: Mapped[int | None]
    """The time step of the last accepted code: it and older ones are refused, unless it lies ahead of the present."""
    locale: Mapped[str | None] = mapped_column(String(10))
    keeps_searches: Mapped[bool] = mapped_column(default=True, server_default=true())
    """Lets what they search be noted; nothing of it is when they do not."""
    created_at: Mapped[datetime] = mapped_column(default=now)
    last_seen_at: Mapped[datetime | None]

    sessions: Mapped[list["UserSession"]] = relationship(back_populates="user", cascade="all, delete-orphan")

    @property
    def email(self) -> str:
        """The address, normalised: stripped and in lower case.  It is sealed at rest and found by `with_email`."""
        return unseal(self.email_sealed, table="user", column="email_sealed", row=self.key)

    @email.setter
    def email(self, plain: str) -> None:
        self.key = self.key or str(uuid.uuid4())
        self.email_sealed = seal(plain, table="user", column="email_sealed", row=self.key)
        self.email_index = blind_index(plain, EMAIL_PURPOSE)

    @classmethod
    def with_email(cls, *normal: str) -> ColumnElement[bool]:
        """Return the condition that an account has one of these addresses, given in their normal form."""
        return cls.email_index.in_([found for plain in normal for found in blind_indexes(plain, EMAIL_PURPOSE)])

    @property
    def is_authenticated(self) -> bool:
        """Flask-Login asks this: whoever was found by a session is."""
        return True

    @property
    def viewer(self) -> Viewer:
        """Return what this user is to `access`."""
        return viewer_for(Role(self.role), user_id=self.id, customer_id=self.customer_id)


class UserSession(Base):
    """A sign-in on one device.  The cookie holds a random token; here stands its hash."""

    __tablename__ = "user_session"
    __table_args__ = (Index("ix_user_session_expires_at", "expires_at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"), index=True)
    epoch: Mapped[int]
    is_remembered: Mapped[bool] = mapped_column(default=False)
    agent: Mapped[str] = mapped_column(String(200), default="")
    created_at: Mapped[datetime] = mapped_column(default=now)
    last_seen_at: Mapped[datetime] = mapped_column(default=now)
    expires_at: Mapped[datetime]

    user: Mapped[User] = relationship(back_populates="sessions")


class APIToken(Base):
    """Lets a program act as its owner.  Shown once; here stands its hash."""

    __tablename__ = "api_token"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(String(120))
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    epoch: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(default=now)
    last_used_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]

    user: Mapped[User] = relationship()


class RecoveryCode(Base):
    """Stands in once for a code of the second factor.  Random enough for a plain hash."""

    __tablename__ = "recovery_code"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"), index=True)
    code_hash: Mapped[str] = mapped_column(String(64))
    used_at: Mapped[datetime | None]


class UsedCode(Base):
    """A time step whose code of the second factor was used."""

    __tablename__ = "used_code"

    user_id: Mapped[int] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"), primary_key=True)
    step: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)


class OneTimeToken(Base):
    """An invitation, a password reset or a sign-in that waits for its code: hashed, used once, short-lived."""

    __tablename__ = "one_time_token"

    id: Mapped[int] = mapped_column(primary_key=True)
    purpose: Mapped[str] = mapped_column(String(20))
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"), index=True)
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[datetime] = mapped_column(default=now)
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class SignInAttempt(Base):
    """One guess, counted per account, per address and in total; kept in SQL so that limits hold without the queue."""

    __tablename__ = "sign_in_attempt"
    __table_args__ = (Index("ix_sign_in_attempt_bucket", "bucket", "at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    bucket: Mapped[str] = mapped_column(String(80))
    at: Mapped[datetime] = mapped_column(default=now)
    reason: Mapped[str] = mapped_column(Text, default="")
