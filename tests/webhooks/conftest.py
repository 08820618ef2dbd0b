from tests.orders.conftest import account, bank, clock, merchant

__all__ = ("account", "bank", "clock", "merchant")
