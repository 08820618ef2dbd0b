"""Indexes for the desk's box and lists: see checkout/desk/finding.py, whose questions are written to fit them.

They stand here and not in the core's models because only the desk asks so, and in SQL because two of them are made
over expressions that the two databases write differently.
"""

from django.db import migrations

COMMON = {
    "desk_order_newest": "orders_order (merchant_id, created_at DESC, id DESC)",
    "desk_order_status": "orders_order (status, created_at DESC, id DESC)",
    "desk_payment_last4": "orders_payment (merchant_id, card_last4, id)",
    "desk_capture_theirs": "orders_capture (merchant_id, provider_reference)",
    "desk_refund_theirs": "orders_refund (merchant_id, provider_reference)",
    "desk_cancellation_theirs": "orders_cancellation (merchant_id, provider_reference)",
    "desk_shipment_number": "orders_shipment (merchant_id, UPPER(number))",
}
# Beginnings: a locale's order of letters serves no pattern on PostgreSQL, so these compare character by character.
OWN = {
    "postgresql": {
        "desk_order_reference": "orders_order (merchant_id, reference text_pattern_ops)",
        "desk_payment_theirs": "orders_payment (merchant_id, provider_reference text_pattern_ops)",
        "desk_order_email": "orders_order (merchant_id, LOWER((customer ->> 'email')))",
    },
    "sqlite": {
        "desk_order_reference": "orders_order (merchant_id, reference)",
        "desk_payment_theirs": "orders_payment (merchant_id, provider_reference)",
        "desk_order_email": "orders_order (merchant_id, LOWER(JSON_EXTRACT(customer, '$.email')))",
    },
}


def _indexes(editor):
    return {**COMMON, **OWN[editor.connection.vendor]}


def create(apps, editor):
    for name, columns in _indexes(editor).items():
        editor.execute(f"CREATE INDEX {name} ON {columns}", params=None)


def drop(apps, editor):
    for name in _indexes(editor):
        editor.execute(f"DROP INDEX IF EXISTS {name}", params=None)


class Migration(migrations.Migration):
    dependencies = [
        ("desk", "0001_parcel_lists"),
        ("orders", "0003_saved_cards_and_parcels"),
    ]

    operations = [migrations.RunPython(create, drop)]
