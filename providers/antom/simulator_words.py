"""What Antom says about a payment: answers, inquiries, notifications and their signatures. It changes nothing."""

import json
from collections.abc import Mapping, Set
from functools import cached_property
from typing import TYPE_CHECKING, Any

from providers.antom import simulator_signing as signing
from providers.antom.simulator_cards import REFUSALS, Card
from providers.antom.simulator_checks import iso, result
from providers.simulation import Account, Message, Notice, Order, Refused

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

    from providers.antom.simulator import Simulator

#: ``paymentStatus``, and before it a checkout page on which nobody has paid yet: then there is no payment.
SESSION, OPEN, AUTHORISED, FAILED, CANCELLED = "SESSION", "PROCESSING", "SUCCESS", "FAIL", "CANCELLED"


class Words:
    def __init__(self, simulator: "Simulator") -> None:
        self._store = simulator.store
        self._clock = simulator.clock
        self._slug = simulator.slug
        self._key = signing.provider_key()

    @cached_property
    def _strange_key(self) -> "RSAPrivateKey":
        return signing.stranger_key()

    def account(self, order: Order) -> Account:
        found: Account | None = self._store.account(self._slug, order.account)
        if found is None:
            raise Refused("the account of this payment is gone")
        return found

    def number(self, infix: str) -> str:
        """A day, digits that tell what it is, and eleven that count up."""
        counted: int = self._store.rising("antom_number", 10_000_000_001)
        return f"{iso(self._clock.now())[:10].replace('-', '')}{infix}{counted:011d}"

    def money(self, order: Order, minor: int) -> dict[str, str]:
        return {"currency": order.currency, "value": str(minor)}

    def essentials(self, order: Order) -> dict[str, Any]:
        """Members that nearly every word about a payment has."""
        return {
            "paymentId": order.id,
            "paymentRequestId": order.reference,
            "paymentAmount": self.money(order, order.amount),
            "paymentCreateTime": iso(order.data["begun_at"]),
        }

    def pay_answer(self, order: Order) -> dict[str, Any]:
        """What ``pay`` says to an id it knows; the same again and again once the payment is final."""
        if order.status == CANCELLED:
            return {"result": result("ORDER_IS_CANCELED")}
        if order.data["closed"]:
            return {"result": result("ORDER_IS_CLOSED")}
        told = self.essentials(order)
        if order.status == OPEN:
            return told | self._hand_over(order) | {"result": result("PAYMENT_IN_PROCESS")}
        told["paymentResultInfo"] = self.verdicts(order)
        if order.status == FAILED:
            return told | {"result": result(order.data["decline"])}
        if order.data["metadata"]:
            told["metadata"] = order.data["metadata"]
        return told | {"result": result("SUCCESS")}

    def _hand_over(self, order: Order) -> dict[str, Any]:
        """Where the browser goes; nothing when there is no page for it."""
        form = self.form(order)
        if not form:
            return {}
        return {"redirectActionForm": form} | ({} if form["method"] == "POST" else {"normalUrl": form["redirectUrl"]})

    def form(self, order: Order) -> dict[str, str]:
        """``redirectActionForm``. A form that is posted leads to the same page through a landing."""
        page, settings = order.data["page"], self.account(order).settings
        if not page:
            return {}
        form = {"actionFormType": "RedirectActionForm", "method": settings["redirect_method"]}
        if form["method"] == "GET":
            return form | {"redirectUrl": self.page_url(order)}
        parameters = json.dumps({"page": page, "key": order.data["key"]}, separators=(",", ":"))
        return form | {"redirectUrl": f"{order.data['base']}/start", "parameters": parameters}

    def page_url(self, order: Order) -> str:
        return f"{order.data['base']}/{order.data['page']}/{order.data['key']}"

    def verdicts(self, order: Order) -> dict[str, Any]:
        """``paymentResultInfo`` as ``pay`` has it: what issuer and 3-D Secure said."""
        told: dict[str, Any] = {}
        if "card" in order.data:
            told |= {"avsResultRaw": order.data["avs"], "cvvResultRaw": Card.load(order.data["card"]).cvv}
        if order.status in {AUTHORISED, CANCELLED} and "paid_at" in order.data:
            told["networkTransactionId"] = order.data["network_id"]
        if order.data["decline"]:
            raw, reason = REFUSALS.get(order.data["decline"], ("05", "Do not honor"))
            told |= {"refusalCodeRaw": raw, "refusalReasonRaw": reason}
        if order.data["three_ds"]:
            told["threeDSResult"] = self._spelt(order, order.data["three_ds"])
        return told

    def _spelt(self, order: Order, found: Mapping[str, Any]) -> dict[str, Any]:
        spelling = self.account(order).settings["cavv_spelling"]
        names = ("cavv", "caav") if spelling == "both" else (spelling,)
        told = {name: value for name, value in found.items() if name != "cavv"}
        return told | (dict.fromkeys(names, found["cavv"]) if "cavv" in found else {})

    def result_info(self, order: Order) -> dict[str, Any]:
        """``paymentResultInfo`` as notifications and inquiries have it: with the card and its token."""
        if "card" not in order.data:
            return {}
        told = card_details(Card.load(order.data["card"])) | self.verdicts(order)
        return told | ({"cardToken": order.data["token"]} if order.data["token"] else {})

    def optional(self, order: Order) -> dict[str, Any]:
        """Members that notifications and inquiries have when there is something to say."""
        told: dict[str, Any] = {}
        if self.result_info(order) and order.status != OPEN:
            told["paymentResultInfo"] = self.result_info(order)
        if "paid_at" in order.data:
            told |= {
                "paymentTime": iso(order.data["paid_at"]), "authExpiryTime": iso(order.data["auth_expires_at"]),
            }  # fmt: skip
        if order.data["review"]:
            told |= {"authReviewStatus": order.data["review"], "authReviewSource": "ANTOM_SHIELD"}
        if order.data["metadata"]:
            told["metadata"] = order.data["metadata"]
        if order.data.get("session"):
            told["paymentMethodType"] = "CARD"
        return told | {"acquirerInfo": order.data["acquirer"]}

    def inquiry(self, order: Order) -> dict[str, Any]:
        """inquiryPayment: ``result`` is about the question, ``paymentResultCode`` about the payment."""
        told = self.essentials(order) | self.optional(order) | {"paymentStatus": order.status}
        code = "SUCCESS"
        if order.status == OPEN:
            code = "PAYMENT_IN_PROCESS"
            told |= {"redirectActionForm": self.form(order)} if self.form(order) else {}
        elif order.status == FAILED:
            code = "PROCESS_FAIL" if order.data["closed"] else order.data["decline"]
        told |= {"paymentResultCode": code, "paymentResultMessage": result(code)["resultMessage"]}
        if self.transactions(order):
            told["transactions"] = self.transactions(order)
        return told | {"result": result("SUCCESS")}

    def refund_inquiry(self, order: Order, refund: Mapping[str, Any]) -> dict[str, Any]:
        told = {
            "refundId": refund["id"], "refundRequestId": refund["request"], "refundStatus": refund["status"],
            "refundAmount": self.money(order, refund["amount"]), "acquirerInfo": order.data["acquirer"],
        }  # fmt: skip
        if refund["status"] == "SUCCESS":
            told["refundTime"] = iso(refund["at"])
        if refund["metadata"]:
            told["metadata"] = refund["metadata"]
        return told | {"result": result("SUCCESS")}

    def transactions(self, order: Order) -> list[dict[str, Any]]:
        told = []
        for kind, members in (("CAPTURE", order.data["captures"]), ("REFUND", order.data["refunds"])):
            for one in members:
                is_open = one["status"] == "PROCESSING"
                code = "PAYMENT_IN_PROCESS" if is_open else one["code"] or "SUCCESS"
                told.append(
                    {
                        "transactionType": kind, "transactionStatus": one["status"], "transactionId": one["id"],
                        "transactionRequestId": one["request"], "transactionAmount": self.money(order, one["amount"]),
                        "transactionResult": result(code), "transactionTime": iso(one["at"]),
                        "acquirerInfo": order.data["acquirer"],
                    }
                )  # fmt: skip
        return told

    def capture_answer(self, order: Order, capture: Mapping[str, Any]) -> dict[str, Any]:
        """On failure only ``result`` is promised."""
        if capture["status"] == "FAIL":
            return {"result": result(capture["code"])}
        told = {
            "captureRequestId": capture["request"], "captureId": capture["id"], "paymentId": order.id,
            "captureAmount": self.money(order, capture["amount"]), "acquirerInfo": order.data["acquirer"],
        }  # fmt: skip
        if capture["status"] == "PROCESSING":
            return told | {"result": result("CAPTURE_IN_PROCESS")}
        return told | {"captureTime": iso(capture["at"]), "result": result("SUCCESS")}

    def refund_answer(self, order: Order, refund: Mapping[str, Any]) -> dict[str, Any]:
        if refund["status"] == "FAIL":
            return {"result": result(refund["code"])}
        told = {
            "refundRequestId": refund["request"], "refundId": refund["id"], "paymentId": order.id,
            "refundAmount": self.money(order, refund["amount"]), "acquirerInfo": order.data["acquirer"],
        }  # fmt: skip
        if refund["status"] == "PROCESSING":
            return told | {"result": result("REFUND_IN_PROCESS")}
        return told | {"refundTime": iso(refund["at"]), "result": result("SUCCESS")}

    def payment_notice(self, order: Order) -> dict[str, Any]:
        """notifyPayment. While the payment is open it says ``PAYMENT_PENDING``."""
        code = order.data["decline"] or ("ORDER_IS_CLOSED" if order.data["closed"] else "SUCCESS")
        if order.status == CANCELLED:
            code = "ORDER_IS_CANCELED"
        kind = "PAYMENT_PENDING" if order.status in {OPEN, SESSION} else "PAYMENT_RESULT"
        told = {"notifyType": kind} | self.essentials(order) | self.optional(order)
        return told | {"result": result("SUCCESS" if kind == "PAYMENT_PENDING" else code)}

    def capture_notice(self, order: Order, capture: Mapping[str, Any]) -> dict[str, Any]:
        """notifyCapture: no ``paymentRequestId``."""
        return {
            "notifyType": "CAPTURE_RESULT", "captureRequestId": capture["request"], "captureId": capture["id"],
            "paymentId": order.id, "captureAmount": self.money(order, capture["amount"]),
            "captureTime": iso(capture["at"]), "acquirerInfo": order.data["acquirer"],
            "result": result(capture["code"] or "SUCCESS"),
        }  # fmt: skip

    def refund_notice(self, order: Order, refund: Mapping[str, Any]) -> dict[str, Any]:
        """notifyRefund: no ``paymentId``."""
        told = {
            "notifyType": "REFUND_RESULT", "refundStatus": refund["status"], "refundRequestId": refund["request"],
            "refundId": refund["id"], "refundAmount": self.money(order, refund["amount"]),
            "acquirerInfo": order.data["acquirer"], "result": result(refund["code"] or "SUCCESS"),
        }  # fmt: skip
        if refund["status"] == "SUCCESS":
            told["refundTime"] = iso(refund["at"])
        return told | ({"metadata": refund["metadata"]} if refund["metadata"] else {})

    def dispute_notice(self, order: Order, kind: str, dispute: Mapping[str, Any]) -> dict[str, Any]:
        """notifyDispute: neither ``notifyType`` nor ``result``."""
        told = {
            "disputeNotificationType": kind, "disputeId": dispute["id"], "paymentId": order.id,
            "paymentRequestId": order.reference, "disputeReasonCode": dispute["reason"],
            "disputeSource": dispute["scheme"], "disputeType": "CHARGEBACK", "acquirerInfo": order.data["acquirer"],
        }  # fmt: skip
        if kind == "DISPUTE_CREATED":
            return told | {
                "disputeTime": iso(dispute["at"]), "defenseDueTime": iso(dispute["due_at"]),
                "disputeAmount": self.money(order, dispute["amount"]),
            }  # fmt: skip
        if kind == "DISPUTE_JUDGED":
            return told | {
                "disputeJudgedTime": iso(dispute["judged_at"]),
                "disputeJudgedAmount": self.money(order, dispute["amount"]),
                "disputeJudgedResult": "ACCEPT_BY_CUSTOMER" if dispute["state"] == "won" else "ACCEPT_BY_MERCHANT",
            }
        if kind == "DISPUTE_ACCEPTED":
            return told | {
                "disputeAcceptTime": iso(dispute["judged_at"]), "disputeAcceptReason": "MERCHANT_ACCEPTED",
            }  # fmt: skip
        return told | {"defenseSuppliedTime": iso(self._clock.now())}

    # --- notifications ---------------------------------------------------------------------------------------------

    def address(self, order: Order, notice: Notice) -> str:
        """5.1: for payments and refunds the request's address wins, for captures and disputes the dashboard's."""
        dashboard = str(self.account(order).settings["notification_url"])
        own = str(order.data["notify_url"])
        if notice.kind == "status":
            return own or dashboard
        if notice.kind == "REFUND_RESULT":
            return str(_by_id(order.data["refunds"], notice)["url"]) or dashboard or own
        return dashboard or own

    def compose(self, order: Order, notice: Notice, twists: Set[str]) -> Message:
        if notice.kind == "status":
            body = self.payment_notice(order)
        elif notice.kind == "CAPTURE_RESULT":
            body = self.capture_notice(order, _by_id(order.data["captures"], notice))
        elif notice.kind == "REFUND_RESULT":
            body = self.refund_notice(order, _by_id(order.data["refunds"], notice))
        else:
            body = self.dispute_notice(order, notice.kind, _by_id(order.data["disputes"], notice))
        return self.message(order, self.address(order, notice), body, twists)

    def message(self, order: Order, address: str, body: dict[str, Any], twists: Set[str]) -> Message:
        """Sign a notification over exactly these bytes, falsified as ``twists`` say."""
        amounts = [name for name in body if name.endswith("Amount")]
        if "webhook_wrong_amount" in twists:
            body |= {name: {**body[name], "value": f"{body[name]['value']}0"} for name in amounts}
        if "webhook_wrong_currency" in twists:
            other = "USD" if order.currency != "USD" else "EUR"
            body |= {name: {**body[name], "currency": other} for name in amounts}
        if "webhook_wrong_reference" in twists:
            name = "paymentId" if "paymentId" in body else "refundId" if "refundId" in body else "vaultingRequestId"
            body[name] = self.number("1940108001001888")
        if "webhook_unknown_status" in twists:
            body |= {"result": {"resultCode": "SETTLING", "resultStatus": "P", "resultMessage": "settling"}}
            body |= {name: "SETTLING" for name in ("refundStatus", "disputeNotificationType") if name in body}
        raw = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
        time, path = iso(self._clock.now()), signing.webhook_path(address)
        key = self._strange_key if "webhook_forged" in twists else self._key
        headers = {
            "Content-Type": "application/json; charset=UTF-8",
            "client-id": order.account,
            "Request-Time": time,
            "Signature": signing.sign(key, path, order.account, time, raw),
        }
        if "webhook_tampered" in twists:
            body |= {name: {**body[name], "value": f"{body[name]['value']}0"} for name in amounts} | {"tampered": True}
            raw = json.dumps(body, separators=(",", ":")).encode()
        return Message(address, headers, raw)

    def signed_answer(self, path: str, client_id: str, raw: bytes, *, forged: bool = False) -> dict[str, str]:
        """The headers of a genuine answer, in lower case: the official SDK knows no other."""
        time = iso(self._clock.now())
        key = self._strange_key if forged else self._key
        return {
            "client-id": client_id,
            "response-time": time,
            "signature": signing.sign(key, path, client_id, time, raw),
        }


def _by_id(members: list[dict[str, Any]], notice: Notice) -> dict[str, Any]:
    return next(one for one in members if one["id"] == notice.extra["id"])


def card_details(card: Card) -> dict[str, Any]:
    """Display data of a card, as payments and vaultings show it."""
    return {
        "cardBrand": card.brand, "cardNo": card.masked, "cardBin": card.bin, "lastFour": card.last4,
        "expiryMonth": card.month, "expiryYear": card.year, "funding": "CREDIT", "cardCategory": "CONSUMER",
        "issuingCountry": card.country, "issuerName": "Example Bank", "fingerprint": card.fingerprint,
        "paymentMethodRegion": "GLOBAL" if card.country == "US" else card.country,
    }  # fmt: skip
