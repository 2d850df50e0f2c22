"""E-mail addresses and phone numbers: understood, made equal where they are equal, sealed, and found again.

Numbers are understood by the customer's region.  The blind index of a phone covers its national digits alone, so that
a caller's number is found with and without country code.
"""

import re
import uuid
from collections.abc import Iterable
from functools import cache

import phonenumbers
from babel import Locale
from email_validator import EmailNotValidError, validate_email
from flask_babel import gettext as _

from portal.customers.models import ContactPoint
from portal.declared import text
from portal.encryption import blind_indexes, seal, unseal
from portal.errors import Invalid

LONGEST_EMAIL = 254
LONGEST_PHONE = 60
FEWEST_DIGITS = 5
MOST_DIGITS = 15
_EXTENSION = re.compile(r"(?i)(?:ext\.?|x|#|分機|分机|轉|转)\s*\d{1,6}\s*$")


def email(value: object) -> str:
    """Return an e-mail address in its one normal form, or raise `Invalid`.  No name server is asked."""
    typed = text(value, most=LONGEST_EMAIL, is_line=True)
    try:
        return validate_email(typed, check_deliverability=False).normalized.casefold()
    except EmailNotValidError:
        raise Invalid(
            {"": _("%(typed)s is not an e-mail address; write it as name@company.com.", typed=repr(typed))}
        ) from None


def phone(value: object, *, region: str = "") -> str:
    """Return a phone number as `+886223456789`, or its digits alone where neither it nor the region names a country."""
    typed = text(value, most=LONGEST_PHONE, is_line=True)
    country = country_of(region)
    number = _parse(typed, country)
    if number is not None:
        written = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
        return f"{written};ext={number.extension}" if number.extension else written
    digits = _digits(_EXTENSION.sub("", typed))
    if (
        country
        or typed.startswith("+")
        or re.search(r"[^\W\d_]", typed)
        or not FEWEST_DIGITS <= len(digits) <= MOST_DIGITS
    ):
        raise Invalid({"": _("%(typed)s is not a phone number; begin with + and the country code.", typed=repr(typed))})
    return digits


def _digits(typed: str) -> str:
    """Return the digits of every script as ASCII."""
    return "".join(str(int(digit)) for digit in re.findall(r"\d", typed))


def _parse(typed: str, country: str | None) -> phonenumbers.PhoneNumber | None:
    try:
        number = phonenumbers.parse(typed, country)
    except phonenumbers.NumberParseException:
        return None
    return number if phonenumbers.is_possible_number(number) else None


@cache
def country_of(region: str) -> str | None:
    """Return the ISO code of a region: a code, a country's name in English or Chinese, or a place with one in it.

    `Bristol, UK` and `Europe / United Kingdom / Bristol` are both Great Britain.
    """
    for part in reversed(re.split(r"[,，、/;；|›>]", region)):
        named = part.strip()
        if named.upper() in phonenumbers.SUPPORTED_REGIONS:
            return named.upper()
        if found := _countries().get(named.casefold()):
            return found
    return None


@cache
def _countries() -> dict[str, str]:
    names: dict[str, str] = {"uk": "GB", "usa": "US", "臺灣": "TW", "中国大陆": "CN", "中國": "CN", "香港": "HK"}
    for tag in ("zh_Hant", "zh", "en"):
        for code, name in Locale.parse(tag).territories.items():
            if code in phonenumbers.SUPPORTED_REGIONS:
                names[name.casefold()] = code
    return names


def shown(kind: str, plain: str) -> str:
    """Return how people read it: numbers grouped as in their country."""
    if kind != "phone" or not plain.startswith("+"):
        return plain
    number = _parse(plain, None)
    if number is None:
        return plain
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.INTERNATIONAL)


def digest(kind: str, plain: str) -> str:
    """Return the blind index of a normal form."""
    return digests(kind, plain)[0]


def digests(kind: str, plain: str) -> list[str]:
    """Return the blind indexes of a normal form: today's, then those of the old secret keys."""
    if kind == "email":
        return blind_indexes(plain, "customer e-mail")
    return blind_indexes(_national(plain), "customer phone")


def _national(plain: str) -> str:
    """Return the digits that stay the same with and without country code and trunk zero."""
    number = _parse(plain, None) if plain.startswith("+") else None
    digits = str(number.national_number) if number is not None else _digits(plain)
    return digits.lstrip("0") or "0"


def candidates(words: str) -> list[str]:
    """Return every blind index under which the words of a caller look-up may be kept."""
    typed = words.strip()
    if "@" in typed:
        try:
            return digests("email", email(typed))
        except Invalid:
            return []
    digits = _digits(typed)
    if len(digits) < FEWEST_DIGITS or re.search(r"[^\W\d_]", _EXTENSION.sub("", typed)):
        return []
    ways = {digits.lstrip("0") or "0"}
    number = _parse("+" + digits.removeprefix("00"), None)
    if number is not None:
        ways.add(str(number.national_number))
    return [found for way in sorted(ways) for found in blind_indexes(way, "customer phone")]


def make(kind: str, plain: str) -> ContactPoint:
    """Return a new sealed point for a normal form."""
    key = str(uuid.uuid4())
    return ContactPoint(
        key=key,
        kind=kind,
        sealed=seal(plain, table="contact_point", column="sealed", row=key),
        blind_index=digest(kind, plain),
    )


def opened(point: ContactPoint) -> str:
    """Return the normal form of a stored point."""
    return unseal(point.sealed, table="contact_point", column="sealed", row=point.key)


def reseal(point: ContactPoint) -> None:
    """Seal a point with the secret key of today."""
    plain = opened(point)
    point.sealed = seal(plain, table="contact_point", column="sealed", row=point.key)
    point.blind_index = digest(point.kind, plain)


def replace(held: list[ContactPoint], kind: str, plains: Iterable[str]) -> bool:
    """Make the points of one kind equal to the given normal forms; say whether anything changed."""
    wanted = dict.fromkeys(plains)
    changed = False
    for point in [point for point in held if point.kind == kind]:
        if opened(point) in wanted:
            del wanted[opened(point)]
        else:
            held.remove(point)
            changed = True
    for plain in wanted:
        held.append(make(kind, plain))
        changed = True
    return changed
