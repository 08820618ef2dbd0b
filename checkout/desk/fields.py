"""Form fields that several screens of the desk need."""

from __future__ import annotations

import re
from typing import Any

from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from providers.money import MoneyError, exponent

_HOST = re.compile(r"(\*\.)?([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]*[a-z0-9])?", re.ASCII)


class LinesField(forms.CharField):
    """A list, one entry a line."""

    widget = forms.Textarea(attrs={"rows": 3, "spellcheck": "false"})

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list) else value

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        return [self.clean_entry(entry) for entry in dict.fromkeys(re.split(r"[\s,]+", text)) if entry]

    def clean_entry(self, entry: str) -> str:
        return entry

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool(super().has_changed(self.prepare_value(initial or []), (data or "").replace("\r\n", "\n").strip()))


class HostsField(LinesField):
    def __init__(self, *, wildcards: bool, **kwargs: Any) -> None:
        self.wildcards = wildcards
        super().__init__(required=False, **kwargs)

    def clean_entry(self, entry: str) -> str:
        host = entry.lower()
        if not _HOST.fullmatch(host) or (host.startswith("*.") and not self.wildcards) or host in {"*", "*."}:
            raise forms.ValidationError(
                gettext("%(entry)s is not a host name. Write only the host, like shop.example.com.") % {"entry": entry}
            )
        if host.startswith("*.") and host.count(".") < 2:
            raise forms.ValidationError(gettext("%(entry)s would cover far too much.") % {"entry": entry})
        return host


class CurrenciesField(LinesField):
    def __init__(self, **kwargs: Any) -> None:
        widget = forms.TextInput(attrs={"spellcheck": "false", "autocapitalize": "characters"})
        super().__init__(required=False, widget=widget, **kwargs)

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(value) if isinstance(value, list) else value

    def clean_entry(self, entry: str) -> str:
        currency = entry.upper()
        try:
            exponent(currency)
        except MoneyError:
            raise forms.ValidationError(
                gettext("%(entry)s is not a currency. Write ISO 4217 codes, like EUR, JPY.") % {"entry": entry}
            ) from None
        return currency


class SecretInput(forms.PasswordInput):
    """A secret on one line: typed, sent, never shown again."""

    def __init__(self) -> None:
        super().__init__(attrs={"autocomplete": "new-password", "spellcheck": "false"}, render_value=False)


class SecretArea(forms.Textarea):
    """A secret of several lines, such as a key file. Never shown again either."""

    def __init__(self) -> None:
        super().__init__(attrs={"rows": 4, "autocomplete": "off", "spellcheck": "false"})

    def format_value(self, value: Any) -> str | None:
        return None


KEEP = _("Set. Leave empty to keep it.")
MISSING = _("Not set.")
