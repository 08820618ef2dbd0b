"""Translators between our words and each provider's: plain Python, no Django, no checkout."""
