"""The cards LianLian's simulator knows: issuers by BIN, and what test cards and test SMS codes do.

No official sandbox exists, so every trigger here is this simulator's own (*assumed*). Luhn's check digit is not
enforced: the published sample cards fail it.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from providers.simulation import TestCard

DEBIT, CREDIT = "2", "3"
# Issuer codes of LianLian's documentation. Its list of supported banks is a spreadsheet nobody outside has.
BANKS = {
    "01000000": "邮储银行",
    "01020000": "工商银行",
    "01030000": "农业银行",
    "01040000": "中国银行",
    "01050000": "建设银行",
    "03010000": "交通银行",
    "03020000": "中信银行",
    "03030000": "光大银行",
    "03040000": "华夏银行",
    "03050000": "民生银行",
    "03060000": "广发银行",
    "03070000": "平安银行",
    "03080000": "招商银行",
    "03090000": "兴业银行",
    "03100000": "浦发银行",
    "03170000": "渤海银行",
    "03200000": "东亚银行",
    "04012900": "上海银行",
    "04031000": "北京银行",
    "04083320": "宁波银行",
    "04243010": "南京银行",
    "65012900": "上海农商银行",
}
# A few well-known BINs of those banks; 622208 is from LianLian's samples, 625965 is assumed to be a credit card.
BINS = {
    "622202": ("01020000", DEBIT),
    "622208": ("01020000", DEBIT),
    "621226": ("01020000", DEBIT),
    "625965": ("01020000", CREDIT),
    "622848": ("01030000", DEBIT),
    "621661": ("01040000", DEBIT),
    "622700": ("01050000", DEBIT),
    "621700": ("01050000", DEBIT),
    "622260": ("03010000", DEBIT),
    "622690": ("03020000", DEBIT),
    "622660": ("03030000", DEBIT),
    "622630": ("03040000", DEBIT),
    "622622": ("03050000", DEBIT),
    "622568": ("03060000", DEBIT),
    "622155": ("03070000", CREDIT),
    "622588": ("03080000", DEBIT),
    "622575": ("03080000", CREDIT),
    "622908": ("03090000", DEBIT),
    "622521": ("03100000", DEBIT),
    "622188": ("01000000", DEBIT),
}
# What the last four digits do.
REFUSED_AT_APPLY = {"0012": "1100", "0013": "1108", "0014": "9704"}
DECLINED = {"0002": "6001", "0003": "1101", "0004": "1019", "0005": "9910", "0006": "9000", "0007": "9990"}
ANSWERS_8888 = "0021"
NO_SMS, NO_SMS_SLOW = "0031", "0032"
CAPTURE_FAILS_ONCE, CANCEL_FAILS_ONCE = "0041", "0042"

RIGHT_CODE = "123456"
RIGHT_BIND_CODES = frozenset({"123456", "666666"})
EXPIRED_CODE, TOO_OFTEN_CODE = "000001", "000002"


@dataclass(frozen=True)
class CodeRule:
    """What an SMS code makes of a payment: the answer's ``ret_code`` and what becomes of the order."""

    ret_code: str
    ends: str
    after_s: float = 0
    fault: str = ""


# Codes 000001 and 000002 (expired, too many) are refusals and stand apart.
CODES = {
    "000003": CodeRule("0000", "SUCCESS", after_s=5),
    "000004": CodeRule("0000", "FAILURE", after_s=5),
    "000005": CodeRule("1005", "FAILURE"),
    "000006": CodeRule("0000", "SUCCESS", fault="reset_after"),
    "000007": CodeRule("9999", "SUCCESS", after_s=5),
    "000008": CodeRule("9999", "FAILURE", after_s=5),
    "000009": CodeRule("0000", "SUCCESS", fault="broken_signature"),
}
#: For testers: code and what it does.
CODE_TABLE = (
    (RIGHT_CODE, "correct"),
    ("666666", "correct when a card is bound without paying"),
    (EXPIRED_CODE, "1901: the code has expired"),
    (TOO_OFTEN_CODE, "9702: wrong too often, the token is dead"),
    ("000003", "PROCESSING, paid and notified after 5 s"),
    ("000004", "PROCESSING, failed after 5 s without any notification"),
    ("000005", "1005: declined"),
    ("000006", "paid, but the connection breaks; notified after 10 s"),
    ("000007", "9999: system error, paid later"),
    ("000008", "9999: system error, failed later"),
    ("000009", "paid, but the answer's signature is broken"),
    ("anything else", "1900: wrong code"),
)

TEXTS = {
    "0000": "交易成功",
    "8888": "短信已下发，需要再次验证",
    "1000": "支付授权令牌失效或错误",
    "1001": "商户请求签名错误",
    "1002": "第三方单号重复",
    "1004": "商户请求参数校验错误",
    "1005": "支付处理失败",
    "1008": "商户请求IP错误",
    "1012": "请求报文解析失败",
    "1019": "单笔金额超限",
    "1100": "无效卡号",
    "1101": "卡已挂失",
    "1102": "无此发卡行",
    "1103": "银行卡有效期或CVV2错误",
    "1108": "持卡人身份证、姓名或手机号不正确",
    "1900": "短信码校验错误",
    "1901": "短信码已失效",
    "1902": "交易金额超过免验证限额",
    "2003": "订单已创建",
    "2005": "原交易已在进行处理，请勿重复提交",
    "2006": "交易已过期",
    "2007": "交易已支付成功",
    "3001": "非法商户",
    "3003": "签约信息不存在",
    "3009": "银行卡已签约",
    "3010": "商户支付权限不足",
    "3011": "用户签约信息不存在",
    "5001": "卡bin校验失败",
    "5002": "原交易不存在",
    "5006": "商户余额不足",
    "5007": "累计退款金额大于原交易金额",
    "5008": "原交易未成功",
    "5601": "支付方式和卡类型不匹配",
    "6001": "卡余额不足",
    "7017": "金额不正确",
    "7018": "银行卡与用户实名信息不一致",
    "8901": "没有记录",
    "9000": "银行维护中，请稍后再试",
    "9092": "支付单号与商户订单号不匹配",
    "9702": "验证码错误次数超过最大次数,请重新获取进行验证",
    "9704": "短信发送异常,请稍后重试",
    "9907": "银行编码与卡不匹配",
    "9910": "风险等级过高",
    "9990": "银行返回错误",
    "9999": "系统错误",
    "PR07": "预授权成功",
    "PR08": "预授权待短信验证",
    "PR09": "预授权处理中",
    "PR10": "预授权失败",
    "PR11": "预授权完成成功",
    "PR12": "预授权完成处理中",
    "PR13": "预授权完成失败",
    "PR14": "预授权撤销成功",
    "PR15": "预授权撤销处理中",
    "PR16": "预授权撤销失败",
}


@dataclass(frozen=True)
class Card:
    """All that is left of a card and its holder once they were looked at. ``person`` and ``fingerprint`` are keyed."""

    bin: str
    last4: str
    length: int
    bank_code: str
    kind: str
    fingerprint: str
    person: str
    mobile: str

    @classmethod
    def load(cls, kept: Mapping[str, Any]) -> "Card":
        return cls(**kept)

    def dump(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def bank_name(self) -> str:
        return BANKS[self.bank_code]

    @property
    def masked(self) -> str:
        """As order queries show it: ``622208*********0000``."""
        return f"{self.bin}{'*' * (self.length - 10)}{self.last4}"


def masked_mobile(number: str) -> str:
    return f"{number[:3]}****{number[-4:]}" if len(number) == 11 else ""


def _debit(last4: str, outcome: str) -> TestCard:
    return TestCard(f"622208120200863{last4}", "unionpay debit", "-", outcome, "this simulator (assumed)")


def _credit(last4: str, outcome: str) -> TestCard:
    return TestCard(f"625965000000{last4}", "unionpay credit", "123", outcome, "this simulator (assumed)")


TEST_CARDS = (
    TestCard("6222081202008630000", "unionpay debit", "-", "paid with code 123456", "LianLian's BIN 622208"),
    _credit("0000", "paid with code 123456; needs expiry (YYMM) and CVV2; also for pre-authorisation"),
    *[_debit(last4, f"declined {code} when the code is verified") for last4, code in DECLINED.items()],
    *[_debit(last4, f"apply answers {code}") for last4, code in REFUSED_AT_APPLY.items()],
    _debit(ANSWERS_8888, "apply answers 8888 instead of 0000"),
    _debit(NO_SMS, "no SMS: paid by apply itself"),
    _debit(NO_SMS_SLOW, "no SMS: apply answers PROCESSING, paid after 5 s"),
    _credit(CAPTURE_FAILS_ONCE, "pre-authorisation: the first capture ends PR13, the next one works"),
    _credit(CANCEL_FAILS_ONCE, "pre-authorisation: the first cancel ends PR16, the next one works"),
)
