"""What a broker calls: load by id, call one function. The rows are the truth, so any task may be lost or doubled."""

from celery import shared_task

from checkout import work


@shared_task(name="paydesk.run_one")
def run_one(queue: str, pk: int, **_unknown: object) -> None:
    """Take one row's turn now. Unknown arguments of a newer version are ignored."""
    work.run_one(queue, pk)


@shared_task(name="paydesk.run_due")
def run_due(**_unknown: object) -> None:
    """Do everything that is due."""
    work.run_due()
