"""Every page in every language that shoppers are offered, whole; and which of them a shopper gets."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from gettext import c2py
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from django.conf import settings as project
from django.http import HttpResponse
from django.template.loader import render_to_string
from django.test import Client
from django.utils import timezone, translation
from django.utils.translation import to_locale

from checkout.merchants.models import Merchant
from checkout.orders import links
from checkout.orders.models import CaptureMode, Order, OrderStatus
from checkout.pages import cards, display
from checkout.pages.screens import Screen
from tests import factories
from tests.pages.shopper import BANK_CARD, HTMX, later, offer_code, press, screen_in, send, text_of, token_in, url_of
from tests.pages.test_saved_cards import keep
from tests.pages.test_screens import STATES, put

from providers.zenith import DESK  # isort: skip

ROOT = Path(__file__).resolve().parent.parent.parent
OFFERED = [tag for tag, _ in project.LANGUAGES]
TRANSLATED = [tag for tag in OFFERED if tag != "en"]
ERROR_PAGES = ("400.html", "403.html", "404.html", "500.html", "503.html")
PLACEHOLDER = re.compile(r"(%\(\w+\)[a-z]|\{\w+\})")

# ------------------------------------------------------------------------------------------------------ the catalogues


def test_every_text_is_translated_into_every_language_that_is_offered():
    checked = subprocess.run([sys.executable, "bin/messages", "--check"], cwd=ROOT, capture_output=True, text=True)

    assert (checked.returncode, checked.stderr) == (0, "")


@pytest.fixture
def copy(tmp_path) -> Path:
    """What `bin/messages` reads and writes, to be spoilt."""
    for folder in ("bin", "checkout", "locale", "templates"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def messages(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(folder / "bin/messages"), *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def change(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), encoding="utf-8")


GERMAN = "locale/de/LC_MESSAGES/django.po"
FAULTS = {
    "untranslated": (GERMAN, 'msgstr "Betrag"', 'msgstr ""', "de: not translated: Amount"),
    "a guess": (GERMAN, 'msgid "Amount"', '#, fuzzy\nmsgid "Amount"', "de: not translated: Amount"),
    "one form of several": (
        GERMAN,
        'msgstr[1] "Sie haben noch %(count)d Versuche."',
        'msgstr[1] ""',
        "de: not translated: You have",
    ),
    "placeholder": (GERMAN, "Mit %(name)s", "Mit %(nom)s", "de: placeholders differ: Pay with %(name)s"),
    "braces": (GERMAN, "Geben Sie die {length} Ziffern", "Geben Sie die Ziffern", "de: placeholders differ: Enter the"),
    "not compiled": (GERMAN, 'msgstr "Betrag"', 'msgstr "Summe"', "de: django.mo is out of date"),
    "a new text": (
        "templates/404.html",
        "We cannot find",
        "We can never find",
        "de: not translated: We can never find",
    ),
    "a new language": ("checkout/settings.py", '("en", "English")', '("en", "English"), ("tlh", "")', "tlh: offered"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_a_catalogue_is_named(copy, fault):
    file, old, new, told = FAULTS[fault]
    change(copy / file, old, new)

    checked = messages(copy, "--check")

    assert checked.returncode == 1
    assert told in checked.stderr


def test_a_run_keeps_translations_drops_what_is_gone_and_guesses_nothing(copy):
    change(copy / "templates/404.html", "{% translate", '{% translate "A new sentence" %}{% translate')
    change(copy / "templates/503.html", 'block title %}{% translate "We are back in a moment" %}', "block title %}")
    change(copy / "templates/503.html", '{% translate "We are back in a moment" as heading %}', "")
    before = read_po((copy / GERMAN).open("rb"), locale="de")

    messages(copy)

    after = read_po((copy / GERMAN).open("rb"), locale="de")
    assert after.get("Amount").string == before.get("Amount").string == "Betrag"
    assert after.get("A new sentence").string == ""
    assert before.get("We are back in a moment")
    assert after.get("We are back in a moment") is None
    assert not after.obsolete
    assert messages(copy).returncode == 1  # the new sentence stays a fault


@pytest.mark.parametrize("tag", TRANSLATED)
def test_a_number_gets_the_form_that_was_written_for_it(tag):
    """Django merges our catalogues with its own, which may number the forms of a plural in another order."""
    written = read_po((ROOT / f"locale/{to_locale(tag)}/LC_MESSAGES/django.po").open("rb"))
    form_of = c2py(written.plural_expr)
    forms = written.get("You have %(count)d try left.").string

    with translation.override(tag):
        for number in (*range(30), 100, 101, 102, 103, 111):
            shown = translation.ngettext("You have %(count)d try left.", "You have %(count)d tries left.", number)
            assert shown == forms[form_of(number)]


# ---------------------------------------------------------------------------------------------------------- the screens


def every_screen(client: Client, shops: tuple[Merchant, Merchant], language: str) -> Iterator[tuple[str, HttpResponse]]:
    """Each screen as a shopper meets it, with its name."""

    merchant, sends_codes = shops

    def order(shop: Merchant = merchant, **fields: Any) -> Order:
        return factories.an_order(shop, locale=language, **fields)

    items = [{"name": "Tasse", "quantity": 2, "unit_amount": 500}]
    fresh = order(items=items, customer={"reference": "ada"})
    yield "choice", client.get(url_of(fresh))
    yield "mistakes", press(client, fresh, number="4242", expiry="1", cvc="1", holder="")
    yield "brand", press(client, fresh, number="9000 0000 0000 0001", expiry="12/19", holder="4242424242424242")
    yield "stale", client.post(url_of(fresh), {"token": "x", "offer": "0:card"}, headers=HTMX)
    for status in STATES:
        one = order()
        payment = put(one, status)
        yield status, client.get(url_of(one))
        yield f"{status} on return", client.get(f"/return/{links.return_token(payment)}")
        if status == OrderStatus.PROCESSING:
            yield "long wait", client.get(f"{url_of(one)}?waited=90")
    late, held, gone = order(), order(), order()
    put(late, OrderStatus.PAID)
    Order.objects.filter(pk=late.pk).update(flags=["paid_late"])
    yield "late", client.get(url_of(late))
    put(held, OrderStatus.AUTHORISED)
    Order.objects.filter(pk=held.pk).update(capture_mode=CaptureMode.MANUAL)
    yield "held", client.get(url_of(held))
    Order.objects.filter(pk=gone.pk).update(status="expired", expires_at=timezone.now() - timedelta(days=40))
    yield "gone", client.get(url_of(gone))
    coded, scanned = order(sends_codes), order(sends_codes)
    ada = {"customer": {"reference": "ada"}}
    card = keep(client, order(sends_codes, **ada))
    known = order(sends_codes, **ada)
    yield "saved card", client.get(url_of(known))
    yield "remove card", client.get(f"{url_of(known)}/cards/{card.public_id}/remove")
    press(client, coded, "bankcard")
    yield "code", client.get(url_of(coded))
    yield "no code", send(client, coded, "code", code="x")
    send(client, coded, "code", code="000000")
    yield "wrong code", client.get(url_of(coded))
    yield "other ways", client.get(f"{url_of(coded)}?another")
    with later(90):
        yield "another code", client.get(url_of(coded))
    press(client, scanned, "wallet")
    yield "scan", client.get(url_of(scanned))
    with later(600):
        yield "scan is over", client.get(url_of(scanned))


def words_in(response: HttpResponse) -> str:
    """All that a page says or has read aloud: its text, what stands in attributes, and what its script may say."""
    page = re.sub(r"<(script|style|svg).*?</\1>", " ", response.content.decode(), flags=re.DOTALL)
    spoken = re.findall(r'(?:aria-label|alt|placeholder|data-busy-text|data-unreachable)="([^"]*)"', page)
    for found in re.findall(r'data-card="([^"]*)"', page):
        script = json.loads(unescape(found))
        spoken += [script["either"], *script["messages"].values(), *script["hints"].values()]
    said = f"{text_of(response)} {unescape(' '.join(spoken))}"
    return said.replace("{length}", "")  # the script's own


@pytest.fixture
def shops(merchant, account) -> Iterator[tuple[Merchant, Merchant]]:
    """One that takes cards, and one whose provider sends codes, shows QR codes and keeps cards."""
    DESK.reset()
    other = factories.a_merchant(name=merchant.name)
    factories.an_account(other, name="Zenith", provider="zenith", credentials={"key": "zen"})
    yield merchant, other
    DESK.reset()


def english_texts() -> list[str]:
    """The parts between the placeholders of all that there is to translate, where they are long enough to be known."""
    catalogue = read_po((ROOT / GERMAN).open("rb"), locale="de")
    ids = (message.id for message in catalogue if message.id)
    whole = (text for found in ids for text in (found if isinstance(found, tuple) else (found,)))
    parts = {part.strip(" .,:·?") for text in whole for part in PLACEHOLDER.split(text) if not PLACEHOLDER.match(part)}
    return [part for part in parts if " " in part and len(part) > 9]


@pytest.mark.parametrize("language", TRANSLATED)
def test_no_screen_says_anything_in_english(client, shops, language):
    english, seen = english_texts(), set()
    direction = "rtl" if language == "ar" else "ltr"

    for name, response in every_screen(client, shops, language):
        page, said = response.content.decode(), words_in(response)
        assert response.status_code in {200, 410, 422}, name
        seen.add(screen_in(response))
        assert name == "stale" or f'<html lang="{language}" dir="{direction}">' in page, name
        assert [text for text in english if text in said] == [], name

    assert seen == set(Screen)


NAMES = {
    "Fern",
    "Clay",
    "Two",
    "cups",
    "Tasse",
    "Zen",
    "Pay",
    "Acme",
    "Zenith",
    "Page",
    "Instant",
    "EUR",
    "order",
    "UTC",
}
"""What a page may say in Latin letters in any language: words of the order, names of ways to pay."""


def test_nothing_on_a_screen_goes_past_the_catalogue(client, shops, settings, tmp_path):
    """With a catalogue that turns every letter of ours into a dot, only the order's own words are left."""
    brands = {word for brand in cards.brands() for word in re.findall("[A-Za-z]{2,}", brand.label)}
    in_dots(tmp_path / "ja/LC_MESSAGES/django.mo")
    settings.LANGUAGES, settings.LOCALE_PATHS = [("en", "English"), ("ja", "日本語")], [tmp_path]

    for name, response in every_screen(client, shops, "ja"):
        said = re.sub(r"paydesk-\S+", "", words_in(response))
        assert set(re.findall("[A-Za-z]{2,}", said)) <= NAMES | brands, name


def in_dots(path: Path) -> None:
    dotted = Catalog(locale="ja")
    for message in read_po((ROOT / GERMAN).open("rb"), locale="de"):
        if message.id:
            text = message.id[1] if message.pluralizable else message.id
            parts = (part if PLACEHOLDER.match(part) else re.sub(r"\w", "・", part) for part in PLACEHOLDER.split(text))
            dots = "".join(parts)
            dotted.add(message.id, (dots,) if message.pluralizable else dots)
    path.parent.mkdir(parents=True)
    with path.open("wb") as file:
        write_mo(file, dotted)


@pytest.mark.parametrize("language", TRANSLATED)
def test_no_error_page_says_anything_in_english(language):
    english = english_texts()

    with translation.override(language):
        pages = [render_to_string(name, {"request_id": "abc"}) for name in ERROR_PAGES]

    for page in pages:
        assert f'lang="{language}"' in page
        assert [text for text in english if text in unescape(page)] == []


FIGURES = {
    "en": ("€1,234.50", "Mar 14, 2026, 9:30 AM CET"),
    "zh-hans": ("€1,234.50", "2026年3月14日 09:30 CET"),
    "de": ("1.234,50 €", "14.03.2026, 09:30 CET"),
    "fr": ("1 234,50 €", "14 mars 2026, 09:30 CET"),
    "es": ("1.234,50 €", "14 mar 2026, 9:30 CET"),
    "ja": ("€1,234.50", "2026/03/14 9:30 CET"),
    "ar": ("1,234.50 €", "14/03/2026، 9:30 ص CET"),
}


@pytest.mark.parametrize("language", OFFERED)
def test_amounts_and_dates_are_written_as_the_language_writes_them(language):
    when = datetime(2026, 3, 14, 8, 30, tzinfo=UTC)

    with translation.override(language):
        shown = display.amount(123450, "EUR"), display.moment(when, "Europe/Berlin")

    assert tuple(plain(text) for text in shown) == FIGURES[language]


def plain(text: str) -> str:
    """With ordinary spaces, and without the marks that only steer the direction of writing."""
    return re.sub("[\u200e\u200f]", "", re.sub("[\u00a0\u202f]", " ", text))


def test_a_right_to_left_page_keeps_figures_of_cards_and_codes_from_left_to_right(client, merchant, account, settings):
    settings.LANGUAGES = [("en", "English"), ("ar", "العربية")]
    page = client.get(url_of(factories.an_order(merchant, locale="ar"))).content.decode()

    assert '<html lang="ar" dir="rtl">' in page
    assert re.search(r'id="card-number"[^>]*dir="ltr"', page)
    assert re.search(r'id="card-expiry"[^>]*dir="ltr"', page)


# ----------------------------------------------------------------------------------------------------------- the choice


@pytest.fixture
def six(settings) -> None:
    """A list of our own, whatever is offered."""
    settings.LANGUAGES = [(tag, tag) for tag in ("en", "zh-hans", "de", "fr", "es", "ja", "ar")]


def language_of(response: HttpResponse) -> str:
    return re.search(r'<html lang="([^"]*)"', response.content.decode())[1]


@pytest.mark.usefixtures("six", "account")
@pytest.mark.parametrize(
    ("order", "link", "browser", "shop", "language"),
    [
        ("de", "fr", "es", "ja", "de"),
        ("", "fr", "es", "ja", "fr"),
        ("", "", "es", "ja", "es"),
        ("", "", "", "ja", "ja"),
        ("tlh", "fr", "es", "ja", "fr"),
        ("", "tlh", "es", "ja", "es"),
        ("", "", "tlh, es;q=0.5", "ja", "es"),
        ("", "", "en;q=0.4, de;q=0.8", "ja", "de"),
        ("", "", "tlh", "tlh", "en"),
        ("", "<script>", "*", "", "en"),
    ],
)
def test_the_order_chooses_then_the_link_the_browser_and_the_merchant(
    client, merchant, order, link, browser, shop, language
):
    type(merchant).objects.filter(pk=merchant.pk).update(locale=shop)
    one = factories.an_order(merchant, locale=order)

    shown = client.get(url_of(one), {"lang": link} if link else {}, headers={"Accept-Language": browser})

    assert language_of(shown) == language


@pytest.mark.usefixtures("six")
@pytest.mark.parametrize(
    ("wish", "language"),
    [
        ("zh", "zh-hans"),
        ("zh-CN", "zh-hans"),
        ("zh_Hans_SG", "zh-hans"),
        ("zh-cmn-Hans-CN", "zh-hans"),
        ("zh-TW", "en"),
        ("zh-Hant-HK", "en"),
        ("DE-at", "de-at"),
        ("de-CH-1996", "de-ch"),
        ("de-DE-u-co-phonebk", "de"),
        ("es-419", "es-419"),
        ("fr-JP", "fr"),
        ("ar-EG", "ar-eg"),
        ("tlh", "en"),
        ("*", "en"),
        ("", "en"),
    ],
)
def test_a_wish_is_met_by_a_language_of_ours_and_its_region_kept_where_it_has_formats(wish, language):
    assert display.choose_language([wish]) == language


def test_a_language_without_a_complete_catalogue_is_not_chosen(settings):
    settings.LANGUAGES = [("en", "English")]

    assert display.choose_language(["de", "fr"]) == "en"


@pytest.mark.usefixtures("six", "zenith")
def test_a_link_keeps_its_language_on_all_our_pages(client, merchant):
    order = factories.an_order(merchant)
    address = f"{url_of(order)}?lang=de"
    page = client.get(address)
    data = {"token": token_in(page), "offer": offer_code(order, "bankcard")}

    assert f'action="{address}"' in page.content.decode()
    refused = client.post(address, data, headers=HTMX)
    assert "Prüfen Sie Ihre Kartendaten" in refused.content.decode()
    sent = client.post(address, data | BANK_CARD)
    assert sent["Location"] == address
    code = client.get(address).content.decode()
    assert f'href="{url_of(order)}?another&amp;lang=de"' in code


@pytest.mark.usefixtures("six", "zenith")
def test_a_page_that_polls_asks_in_the_language_of_its_link(client, merchant):
    order = factories.an_order(merchant)
    press(client, order, "wallet")

    page = client.get(f"{url_of(order)}?lang=de").content.decode()
    poll = unescape(re.search(r'hx-get="([^"]+)"', page)[1])

    assert "lang=de" in poll
    assert re.search(r'<a href="\?waited=\d+&amp;lang=de">', page)
    assert "lang=de" in client.get(poll, headers=HTMX).content.decode()


@pytest.mark.usefixtures("six", "account")
def test_what_a_link_says_beside_a_language_is_not_handed_on(client, merchant):
    order = factories.an_order(merchant)

    page = client.get(url_of(order), {"lang": 'de"><script>'}).content.decode()

    assert f'action="{url_of(order)}"' in page
    assert "<script>" not in page
