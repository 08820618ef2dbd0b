"""What we send to Antom: our words in its own. What does not fit is left out, or refused before anything is sent."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from providers.antom import mapping
from providers.contract import (
    Address,
    Browser,
    Card,
    Customer,
    OperationRequest,
    PaymentRequest,
    Rejected,
    StoredCard,
    ThreeDSWish,
)
from providers.http import Body
from providers.money import Money

Fields = dict[str, Any]

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
UNWELCOME = re.compile(mapping.UNWELCOME)


def encode(fields: Mapping[str, Any]) -> Body:
    """The bytes to sign and send. Half a surrogate pair, which no encoding has, becomes a question mark."""
    return Body(json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode(errors="replace"))


def payment(request: PaymentRequest, settings: Mapping[str, str]) -> Fields:
    """``pay``: with a card or a saved one; with neither, Antom answers with a card page of its own."""
    method: Fields = {"paymentMethodType": "CARD"}
    if request.stored:
        method["paymentMethodId"] = request.stored.token
    metadata = _metadata(request)
    if metadata:
        method["paymentMethodMetaData"] = metadata
    return {**_purchase(request, settings), "env": _env(request), "paymentMethod": method}


def session(request: PaymentRequest, settings: Mapping[str, str]) -> Fields:
    """``createPaymentSession`` for the checkout page, which lives no longer than our order."""
    metadata = _wish(request)
    if request.store_card:
        metadata["tokenizeMode"] = mapping.ASK_FOR_CONSENT
    fields: Fields = {
        **_purchase(request, settings),
        "productScene": "CHECKOUT_PAYMENT",
        "env": _env(request),
        "locale": request.locale[:8],
    }
    if metadata:
        fields["availablePaymentMethod"] = {"paymentMethodMetaData": metadata}
    if request.expires_in < mapping.SESSION_SECONDS[1]:
        fields["paymentSessionExpiryTime"] = time_text(datetime.now(UTC) + timedelta(seconds=request.expires_in))
    return fields


def capture(request: OperationRequest) -> Fields:
    return {
        "captureRequestId": reference(request.reference),
        "paymentId": _payment_id(request),
        "captureAmount": amount(request.amount),
        "captureType": mapping.CAPTURE_TYPE,
    }


def refund(request: OperationRequest) -> Fields:
    fields = {
        "refundRequestId": reference(request.reference),
        "paymentId": _payment_id(request),
        "refundAmount": amount(request.amount),
        "refundReason": plain(request.reason)[: mapping.REASON_LENGTH].strip(),
        "refundNotifyUrl": request.webhook_url if len(request.webhook_url) <= mapping.REFUND_URL_LENGTH else "",
    }
    return _filled(fields)


def reference(text: str) -> str:
    """One of our references. Raises Rejected for one that cannot be theirs."""
    if not re.fullmatch(mapping.REQUEST_ID, text, re.ASCII):
        raise Rejected("the reference does not fit Antom's ids", code="reference")
    return text


def amount(money: Money) -> Fields:
    """An amount on the wire. Raises Rejected for one that Antom cannot take."""
    if money.currency not in mapping.CURRENCIES:
        raise Rejected("Antom does not take this currency", code="currency")
    value = str(money.minor)
    whole = money.currency not in mapping.WHOLE_HUNDREDS or money.minor % 100 == 0
    if not money.minor or not whole or len(value) > mapping.LONGEST_AMOUNT:
        raise Rejected("Antom does not take this amount", code="amount")
    return {"currency": money.currency, "value": value}


def plain(text: str) -> str:
    """One line without control characters and without the characters that card schemes cannot take."""
    return " ".join(UNWELCOME.sub(" ", CONTROL.sub(" ", text)).split())


def time_text(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


# -------------------------------------------------------------------------------------------------------- the purchase


def _purchase(request: PaymentRequest, settings: Mapping[str, str]) -> Fields:
    """What a payment and a session have in common. ``settings`` are the account's, by their names on the wire."""
    price = amount(request.amount)
    description = plain(request.description)[: mapping.DESCRIPTION_LENGTH].strip()
    order: Fields = {
        "referenceOrderId": reference(request.order_reference or request.reference),
        "orderDescription": description or request.reference,
        "orderAmount": price,
        "buyer": _buyer(request),
        **_goods(request),
        **_shipping(request),
    }
    for url in (request.return_url, request.webhook_url):
        if len(url) > mapping.URL_LENGTH:
            raise Rejected("a URL is too long for Antom", code="url")
    currency = settings.get("settlementCurrency")
    return {
        "productCode": "CASHIER_PAYMENT",
        "paymentRequestId": reference(request.reference),
        "paymentAmount": price,
        "order": order,
        "paymentFactor": {"isAuthorization": True, "captureMode": mapping.CAPTURE_MODES[request.capture]},
        **({"settlementStrategy": {"settlementCurrency": currency}} if currency else {}),
        "paymentRedirectUrl": request.return_url,
        "paymentNotifyUrl": request.webhook_url,
        **{name: settings[name] for name in ("merchantRegion", "merchantAccountId") if settings.get(name)},
    }


def _buyer(request: PaymentRequest) -> Fields:
    who = request.customer
    buyer = {
        "referenceBuyerId": (request.payer or request.reference)[:64],
        "buyerName": _filled({"fullName": _cut(who.name, mapping.FULL_NAME_LENGTH)}),
        "buyerEmail": _email(who),
        "buyerPhoneNo": who.phone if len(who.phone) <= mapping.BUYER_PHONE_LENGTH else "",
        "buyerRegistrationTime": time_text(who.since) if who.since else "",
    }
    return _filled(buyer)


def _goods(request: PaymentRequest) -> Fields:
    currency = request.amount.currency
    goods = [
        _filled(
            {
                "referenceGoodsId": plain(item.sku)[: mapping.GOODS_ID_LENGTH] or str(number),
                "goodsName": plain(item.name)[: mapping.GOODS_NAME_LENGTH].strip() or str(number),
                # Free goods have no price that Antom could take, and a discount is none either.
                "goodsUnitAmount": {"currency": currency, "value": str(item.unit_amount)}
                if item.unit_amount > 0
                else None,
                "goodsQuantity": str(item.quantity),
            }
        )
        for number, item in enumerate(request.items[: mapping.GOODS_COUNT], start=1)
    ]
    return {"goods": goods} if goods else {}


def _shipping(request: PaymentRequest) -> Fields:
    address = _address(request.shipping)
    if not address:
        return {}
    who = request.customer
    shipping = {
        "shippingName": _filled({"fullName": _cut(who.name, mapping.FULL_NAME_LENGTH)}),
        "shippingAddress": address,
        "shippingPhoneNo": who.phone if len(who.phone) <= mapping.SHIPPING_PHONE_LENGTH else "",
        "shipToEmail": _email(who),
    }
    return {"shipping": _filled(shipping)}


def _address(address: Address | None) -> Fields:
    """Nothing without a country: an address without one refuses the whole payment."""
    if address is None or not re.fullmatch(r"[A-Z]{2}", address.country, re.ASCII):
        return {}
    state = address.region.strip().upper().removeprefix(f"{address.country}-")
    postcode = address.postcode.strip()
    fields = {
        "region": address.country,
        "state": state if re.fullmatch(mapping.STATE, state, re.ASCII) else "",
        "city": _cut(address.city, mapping.CITY_LENGTH),
        "address1": _cut(address.line1, mapping.STREET_LENGTH),
        "address2": _cut(address.line2, mapping.STREET_LENGTH),
        "zipCode": postcode if re.fullmatch(mapping.POSTCODE, postcode, re.ASCII) else "",
    }
    return _filled(fields)


# ------------------------------------------------------------------------------------------------------------ the card


def _metadata(request: PaymentRequest) -> Fields:
    """``paymentMethodMetaData``: the card, or what goes with a saved one, and what is wished for.

    A card goes nowhere but where our own form asked for it.
    """
    metadata = _wish(request)
    if request.stored:
        metadata |= {"isCardOnFile": True, **({"cvv": request.stored.cvc} if request.stored.cvc else {})}
        if request.shopper_is_away:
            metadata |= _merchant_initiated(request, request.stored)
    elif request.card and request.method == mapping.CARD_METHOD:
        metadata |= {**_card(request.card), "isCardOnFile": False, "tokenize": request.store_card}
        if request.external_three_ds:
            metadata |= _external(request)
    elif request.store_card:
        metadata["tokenize"] = True
    if "cardNo" in metadata or request.stored:
        email = _email(request.customer) if request.amount.currency in mapping.PAYER_EMAIL_CURRENCIES else ""
        metadata |= _filled({"billingAddress": _address(request.billing), "payerEmail": email})
    return metadata


def _wish(request: PaymentRequest) -> Fields:
    """Without a wish, the acquirer decides; and it may ask for 3DS whatever we say."""
    return {
        ThreeDSWish.DEFAULT: {},
        ThreeDSWish.FORCE: {"is3DSAuthentication": True},
        ThreeDSWish.SKIP: {"is3DSAuthentication": False},
    }[request.three_ds].copy()


def _card(card: Card) -> Fields:
    first, last = _names(card.holder)
    fields = {
        "cardNo": card.number,
        "expiryMonth": f"{card.expiry_month:02d}" if card.expiry_month else "",
        "expiryYear": f"{card.expiry_year % 100:02d}" if card.expiry_year else "",
        "cvv": card.cvc,
        "cardholderName": {"firstName": first, "lastName": last} if last else None,
    }
    return _filled(fields)


def _names(holder: str) -> tuple[str, str]:
    """First and last name, both of which Antom insists on: whoever has one name has it twice."""
    first, _, last = " ".join(CONTROL.sub(" ", holder).split()).rpartition(" ")
    return _cut(first or last, mapping.NAME_LENGTH), _cut(last, mapping.NAME_LENGTH)


def _merchant_initiated(request: PaymentRequest, stored: StoredCard) -> Fields:
    """A charge while the shopper is away refers to the payment that was agreed to; without it, it is refused."""
    if not stored.network_transaction_id:
        raise Rejected("the first payment has no network transaction id", code="network_transaction_id")
    return {
        "recurringType": mapping.RECURRING_TYPES[request.purpose],
        "networkTransactionId": stored.network_transaction_id,
        "is3DSAuthentication": False,
    }


def _external(request: PaymentRequest) -> Fields:
    done = request.external_three_ds
    if done is None:
        return {}
    data = {
        "threeDSVersion": done.version,
        "eci": done.eci,
        "cavv": done.cavv,
        "dsTransactionId": done.ds_transaction_id or done.xid,
    }
    return {"mpiData": _filled(data), "is3DSAuthentication": False, "enableAuthenticationUpgrade": False}


# ----------------------------------------------------------------------------------------------------- the environment


def _env(request: PaymentRequest) -> Fields:
    system = _system(request.browser) if request.browser.is_mobile else ""
    fields = {
        "terminalType": "WAP" if system else "WEB",
        "osType": system,
        "clientIp": request.customer.ip[:64],
        "browserInfo": {} if request.shopper_is_away else _browser(request),
        **_screen(request.browser),
    }
    return _filled(fields)


def _system(browser: Browser) -> str:
    return next((name for mark, name in mapping.OPERATING_SYSTEMS.items() if mark in browser.user_agent), "")


def _browser(request: PaymentRequest) -> Fields:
    browser = request.browser
    if not browser.user_agent:
        return {}
    language = browser.accept_language.partition(",")[0].partition(";")[0].strip() or request.locale
    return {
        "acceptHeader": browser.accept[: mapping.HEADER_LENGTH] or "*/*",
        "javaEnabled": browser.java,
        "javaScriptEnabled": browser.javascript,
        "language": language[: mapping.LANGUAGE_LENGTH],
        "userAgent": browser.user_agent[: mapping.HEADER_LENGTH],
    }


def _screen(browser: Browser) -> Fields:
    offset = browser.time_zone_offset
    fields = {
        "colorDepth": browser.color_depth if browser.color_depth in mapping.COLOR_DEPTHS else None,
        "screenHeight": browser.screen_height,
        "screenWidth": browser.screen_width,
        "timeZoneOffset": offset if offset in mapping.TIME_ZONE_OFFSETS else None,
    }
    return {name: value for name, value in fields.items() if value is not None}


# ----------------------------------------------------------------------------------------------------------- the small


def _payment_id(request: OperationRequest) -> str:
    """Captures and refunds know a payment by Antom's own id only."""
    if not request.payment.provider_reference:
        raise Rejected("Antom's id of the payment is not known", code="no_payment_id")
    return request.payment.provider_reference


def _email(who: Customer) -> str:
    return who.email if len(who.email) <= mapping.EMAIL_LENGTH else ""


def _cut(text: str, length: int) -> str:
    return CONTROL.sub(" ", text)[:length].strip()


def _filled(fields: Mapping[str, Any]) -> Fields:
    """The members that say something. Zero and False do."""
    return {name: value for name, value in fields.items() if value is not None and value != "" and value != {}}
