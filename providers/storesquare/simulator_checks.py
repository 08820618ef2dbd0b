"""What StoreSquare demands of a request: fields, lengths, types, words. The first mistake ends the reading."""

import ipaddress
import re
from collections.abc import Collection, Sequence
from datetime import date
from typing import Any
from urllib.parse import urlsplit

from providers.simulation import amounts
from providers.simulation.webhooks import is_loopback
from providers.storesquare import simulator_cards as cards
from providers.storesquare.simulator_profile import Profile

HTTP = {
    **dict.fromkeys(("1001", "1002", "1003", "3004", "3007", "3008", "5003", "6001", "6002"), 400),
    **dict.fromkeys(("2001", "2002", "2003"), 401),
    **dict.fromkeys(("3002", "3009", "5002"), 404),
    **dict.fromkeys(("3001", "3003", "3005", "3006", "5001", "5004"), 409),
    **dict.fromkeys(cards.DECLINES, 200),
    "2004": 403,
    "9001": 429,
    "9999": 500,
}
MEANINGS = {
    "1001": "invalid value",
    "1002": "missing field",
    "1003": "malformed JSON",
    "2001": "wrong appId or secret",
    "2002": "token missing or invalid",
    "2003": "token expired",
    "2004": "not permitted for this merchant",
    "3001": "orderNo already used",
    "3002": "payment not found",
    "3003": "the payment's state does not allow it",
    "3004": "amount above what is available",
    "3005": "refundNumber reused with other data",
    "3006": "order expired",
    "3007": "currency not supported or not enabled",
    "3008": "method not supported or not enabled",
    "3009": "unknown transactionIdentifier",
    "5001": "tracking number already added",
    "5002": "tracking number not found",
    "5003": "op or path not supported",
    "5004": "status change not allowed",
    "6001": "bad subscribeUrl",
    "6002": "unknown apiVersion or signMethod",
    "9001": "too many requests",
    "9999": "system error",
} | cards.DECLINES

ORDER_NO = "[A-Za-z0-9_-]+"
REASONS = ("RECURRING", "INSTALLMENT", "UNSCHEDULED")
THREE_DS_MODES = ("no", "auto", "standard")
CAPTURE_METHODS = ("auto", "manual")
SHIPPING_STATUSES = ("SHIPPED", "CANCELLED", "DELIVERED")
# Of their own methods' objects; what each product type needs besides (assumed).
NEEDED = {
    "h5": (),
    "qr-code": (),
    "pay": ("authCode",),
    "in-app": ("subAppId",),
    "mini-program": ("subAppId", "openId"),
}


class Denied(Exception):
    """Answer with this error code; ``field`` names what is wrong, never its value."""

    def __init__(self, code: str, field: str = "", http: int = 0) -> None:
        super().__init__(f"{code} {MEANINGS[code]}{': ' * bool(field)}{field}")
        self.code, self.field, self.http = code, field, http or HTTP[code]


class Fields:
    """One JSON object of a request. Every look at a member also checks it; null and empty text count as absent."""

    def __init__(self, members: dict[str, Any], name: str = "") -> None:
        self._members = members
        self._name = name

    def path(self, name: str) -> str:
        return f"{self._name}.{name}" if self._name else name

    def has(self, name: str) -> bool:
        return self._members.get(name) not in (None, "")

    def text(
        self,
        name: str,
        *,
        required: bool = False,
        length: Sequence[int] = (),
        pattern: str = "",
        choices: Collection[str] = (),
        code: str = "1001",
    ) -> str:
        if not self.has(name):
            self._miss(name, required)
            return ""
        value = self._members[name]
        if not isinstance(value, str):
            raise Denied(code, self.path(name))
        if length and not length[0] <= len(value) <= length[1]:
            raise Denied(code, self.path(name))
        if (pattern and not re.fullmatch(pattern, value)) or (choices and value not in choices):
            raise Denied(code, self.path(name))
        return value

    def boolean(self, name: str, *, required: bool = False) -> bool:
        if not self.has(name):
            self._miss(name, required)
            return False
        if not isinstance(self._members[name], bool):
            raise Denied("1001", self.path(name))
        return bool(self._members[name])

    def inner(self, name: str, *, required: bool = False) -> "Fields | None":
        if not self.has(name):
            self._miss(name, required)
            return None
        if not isinstance(self._members[name], dict):
            raise Denied("1001", self.path(name))
        return Fields(self._members[name], self.path(name))

    def rows(self, name: str, *, required: bool = False) -> "list[Fields]":
        if not self.has(name):
            self._miss(name, required)
            return []
        found = self._members[name]
        if not isinstance(found, list) or not all(isinstance(row, dict) for row in found) or (required and not found):
            raise Denied("1001", self.path(name))
        return [Fields(row, f"{self.path(name)}[{position}]") for position, row in enumerate(found)]

    def url(self, name: str, *, required: bool = False, length: Sequence[int] = (), code: str = "1001") -> str:
        """A web address that a browser may be sent to."""
        address = self.text(name, required=required, length=length, code=code)
        if address and not _is_url(address):
            raise Denied(code, self.path(name))
        return address

    def server_url(
        self, name: str, *, remote: bool, required: bool = False, length: Sequence[int] = (), code: str = "1001"
    ) -> str:
        """Where this simulator may send to: https, or http on this machine (anywhere when ``remote``)."""
        address = self.url(name, required=required, length=length, code=code)
        parts = urlsplit(address)
        if address and parts.scheme != "https" and not (remote or is_loopback(parts.hostname or "")):
            raise Denied(code, self.path(name))
        return address

    def texts(self) -> None:
        """Every member is a text."""
        for name in self._members:
            self.text(name)

    def ip(self, name: str, *, required: bool = False) -> str:
        address = self.text(name, required=required)
        try:
            ipaddress.ip_address(address or "127.0.0.1")
        except ValueError:
            raise Denied("1001", self.path(name)) from None
        return address

    def money(self, name: str, currency: str) -> int:
        """A required amount in minor units: at most two decimals, none where the currency has none."""
        minor = to_minor(self.text(name, required=True), currency)
        if not minor:
            raise Denied("1001", self.path(name))
        return minor

    def _miss(self, name: str, required: bool) -> None:
        if required:
            raise Denied("1002", self.path(name))


def decimals(currency: str) -> int:
    return min(amounts.exponent(currency) or 0, 2)


def to_minor(text: str, currency: str) -> int | None:
    """Minor units of ISO 4217, also where the wire carries fewer decimals than the currency has."""
    minor = amounts.to_minor(text, decimals(currency))
    return None if minor is None else minor * 10 ** ((amounts.exponent(currency) or 0) - decimals(currency))


def to_text(minor: int, currency: str) -> str:
    digits = decimals(currency)
    return amounts.to_decimal(minor // 10 ** ((amounts.exponent(currency) or 0) - digits), digits)


def currency_of(fields: Fields) -> str:
    currency = fields.text("currency", required=True, pattern="[A-Z]{3}")
    if amounts.exponent(currency) is None:
        raise Denied("3007", "currency")
    return currency


def check_session(fields: Fields, profile: Profile, *, remote: bool) -> None:
    limits = profile["validation"]
    fields.money("amount", currency_of(fields))
    _check_order_no(fields, profile)
    fields.text("captureMethod", choices=CAPTURE_METHODS)
    fields.text("description", length=limits["sessionDescription"])
    fields.text("linkMode", choices=limits["linkModes"])
    variant = profile["variants"][profile["variant"]]
    if "paymentMethodType" in variant["sessionExtraRequired"]:
        fields.text("paymentMethodType", required=True, length=limits["paymentMethodType"])
    extra = fields.inner("metadata") if "metadata" in variant["sessionExtraOptional"] else None
    if extra is not None:
        extra.texts()
    _check_common(fields, profile, remote=remote)


def check_payment(fields: Fields, profile: Profile, *, remote: bool) -> None:
    """Everything but what the method named in ``paymentMethodType`` needs: see ``check_method``."""
    limits = profile["validation"]
    fields.money("amount", currency_of(fields))
    _check_order_no(fields, profile)
    fields.text("paymentMethodType", required=True, length=limits["paymentMethodType"])
    fields.text("description", length=limits["paymentDescription"])
    _check_device(fields, profile, required=True)
    _check_common(fields, profile, remote=remote)
    billing = fields.inner("billing")
    if billing is not None:
        _check_person(billing)
        billing.text("birthday", pattern="[0-9]{4}-[0-9]{2}-[0-9]{2}")
        stored = billing.text("storedcredentials", choices=("none", "store"))
        billing.text("customerInitiatedReason", choices=REASONS)
        if billing.has("customerInitiatedReason") and stored != "store":
            raise Denied("1001", "billing.customerInitiatedReason")
    three_ds = fields.inner("threeDsData")
    if three_ds is not None:
        needed = limits["nestedRequired"]["threeDsData"]
        three_ds.text("authenticationResultCode", required="authenticationResultCode" in needed, pattern="[YANUCR]")
        three_ds.text("eci", required="eci" in needed, pattern="[0-9]{2}")
        for name in ("cavv", "dsTransId", "dsVersion", "xid"):
            three_ds.text(name, required=name in needed)


def check_method(fields: Fields, profile: Profile) -> None:
    """The object of the chosen method, and what a redirect needs. The method is known to be enabled."""
    name = fields.text("paymentMethodType")
    method = profile["methods"][name]
    inner = fields.inner(method["object"], required=True) if method["object"] else None
    if name == "card" and inner is not None:
        fields.inner("billing", required=True)
        _check_card(inner, profile)
        mode = fields.text("threeDsMode") or profile["defaults.threeDsMode"]
        if mode != "no" and not fields.has("threeDsData"):
            fields.text("frontUrl", required=True)
        return
    kind = ""
    if inner is not None:
        kind = inner.text("productType", choices=profile["productTypes"]) or method.get("productType", "")
        for needed in NEEDED.get(kind, ()):
            inner.text(needed, required=True)
        inner.text("limitPayMethod", choices=("no_credit",))
        for optional in ("attach", "authCode", "openId", "storeId", "subAppId"):
            inner.text(optional)
        inner.inner("metadata")
    if action_of(profile, name, kind) == "redirect":
        fields.text("frontUrl", required=True)


def action_of(profile: Profile, method: str, product_type: str) -> str:
    """What paying by a method brings: ``qrCode``, ``redirect``, ``sdk`` or ``sync`` (decided at once)."""
    listed = profile["methods"][method]
    if listed["action"] == "redirect" or not product_type:
        return str(listed["action"])
    return str(profile["productTypes"][product_type])


def check_token_payment(fields: Fields, profile: Profile) -> None:
    limits = profile["validation"]
    fields.text("amount", required=True)
    _check_order_no(fields, profile)
    fields.text("expiryMonth", required=True, pattern="0[1-9]|1[0-2]")
    fields.text("expiryYear", required=True, pattern="[0-9]{4}")
    fields.text("cardNo", required=bool(profile["tokenPayment.cardNoRequired"]), length=limits["cardNo"])
    if fields.has("cardNo") and not cards.is_card_number(fields.text("cardNo")):
        raise Denied("1001", "cardNo")
    fields.text("transactionIdentifier", length=limits["transactionIdentifier"])
    if not fields.has("cardNo"):
        fields.text("transactionIdentifier", required=True)
    fields.text("customerInitiatedReason", choices=REASONS)
    fields.text("description", length=limits["paymentDescription"])
    fields.text("threeDsMode", choices=THREE_DS_MODES)
    _check_device(fields, profile, required=False)


def check_refund(fields: Fields, profile: Profile, *, remote: bool) -> None:
    limits = profile["validation"]
    fields.text("amount", required=True)
    fields.ip("clientIp", required=True)
    fields.text("reason", required=True, length=limits["refundReason"])
    fields.text("refundNumber", required=True, length=limits["refundNumber"])
    fields.server_url("notificationUrl", remote=remote)


def check_tracking(fields: Fields, profile: Profile) -> None:
    rules = profile["tracking"]
    fields.text("carrier", required=True)
    _check_order_no(fields, profile)
    try:
        date.fromisoformat(fields.text("shipmentDate", required=True, pattern="[0-9]{4}-[0-9]{2}-[0-9]{2}"))
    except ValueError:
        raise Denied("1001", fields.path("shipmentDate")) from None
    fields.text("shipmentDirection", required=True, choices=rules["directions"])
    fields.text("shippingStatus", required=True, choices=SHIPPING_STATUSES)
    fields.text("trackingNo", required=True, length=rules["trackingNo"])
    fields.text("trackingNumberType", required=True, choices=rules["numberTypes"])
    fields.url("trackingUrl")


def _check_order_no(fields: Fields, profile: Profile) -> None:
    fields.text("orderNo", required=True, length=profile["validation.orderNo"], pattern=ORDER_NO)


def _check_common(fields: Fields, profile: Profile, *, remote: bool) -> None:
    """What a session and a direct payment share."""
    limits = profile["validation"]
    low, high = limits["expiryMinutes"]
    if fields.has("expiryTime") and not low <= int(fields.text("expiryTime", pattern="[0-9]{1,4}")) <= high:
        raise Denied("1001", "expiryTime")
    fields.text("fraudMode", choices=("N", "Y"))
    fields.url("frontUrl", length=limits["frontUrl"])
    fields.server_url("notificationUrl", remote=remote)
    fields.text("threeDsMode", choices=THREE_DS_MODES)
    for product in fields.rows("productInfo"):
        for name in ("productName", "sku", "price", "quantity"):
            product.text(name, required=name in limits["nestedRequired"]["productInfo"])
    shipping = fields.inner("shipping")
    if shipping is not None:
        _check_person(shipping)
        for name in ("carrier", "firstName", "lastName", "trackingNo"):
            shipping.text(name)


def _check_person(fields: Fields) -> None:
    fields.text("email", pattern=r"[^@\s]+@[^@\s]+")
    address = fields.inner("address")
    if address is not None:
        for name in ("line1", "line2", "line3", "city", "state", "postcode"):
            address.text(name)
        address.text("country", pattern="[A-Z]{2}")
    phone = fields.inner("phone")
    if phone is not None:
        phone.text("countryCode", pattern="[0-9]{1,4}")
        phone.text("number")


def _check_device(fields: Fields, profile: Profile, *, required: bool) -> None:
    needed = profile["validation.nestedRequired"]
    device = fields.inner("deviceInfo", required=required)
    if device is None:
        return
    device.ip("clientIp", required="clientIp" in needed["deviceInfo"])
    for name in ("deviceId", "language"):
        device.text(name)
    mobile = device.inner("mobile")
    if mobile is not None:
        for name in ("deviceModel", "osType", "osVersion"):
            mobile.text(name)
    location = device.inner("location")
    if location is not None:
        for name in ("lat", "lon"):
            location.text(name)
    browser = device.inner("browser", required=mobile is None)
    if browser is None:
        return
    for name in ("acceptHeader", "colorDepth", "screenHeight", "screenWidth", "sessionId", "timeZone", "userAgent"):
        browser.text(name, required=name in needed["deviceInfo.browser"])
    for name in ("javaEnable", "javascriptEnable"):
        browser.boolean(name, required=name in needed["deviceInfo.browser"])


def _check_card(card: Fields, profile: Profile) -> None:
    needed = profile["validation.nestedRequired.card"]
    number = card.text("cardNo", required="cardNo" in needed, length=profile["validation.cardNo"])
    if not cards.is_card_number(number):
        raise Denied("1001", card.path("cardNo"))
    card.text("cvc", required="cvc" in needed, pattern=f"[0-9]{{{cards.cvc_length(number)}}}")
    card.text("expiryMonth", required="expiryMonth" in needed, pattern="0[1-9]|1[0-2]")
    card.text("expiryYear", required="expiryYear" in needed, pattern="[0-9]{4}")
    for name in ("firstName", "lastName"):
        card.text(name, required=name in needed)
    card.text("captureMethod", choices=CAPTURE_METHODS)


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and not re.search(r"\s", text)
    except ValueError:
        return False
