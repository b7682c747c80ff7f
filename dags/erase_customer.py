"""Erase a customer on request: from raw, the vault, features and every score ever published.

The first task counts what would go and shows it; a person approves or not; no answer within five
days changes nothing. Orders stay as a guest's, so that revenue and demand add up as before. The
proof is in `ops.erasures`, without personal data; docs/privacy.md lists what is not covered.

**Impact** tier 2: scores of everybody else stay as they are, and readers notice nothing.

**If a task fails** clear it. `erase` repeats each step; it fails, and names the places, if the
customer is still anywhere.

**By hand** `customer_id`: the key as the shop writes it; deleted from the run's parameters once it
is erased. `reason`: kept as proof, so it must not name the customer. `dry_run`: count, show, and
stop. Or `make erase CUSTOMER= WHY=`.

**Owner** data-platform
"""

from airflow.sdk import Param, chain, dag, task

from dags.shared.approval import RESPONSE_TIMEOUT, approval
from dags.shared.defaults import dag_defaults
from dags.shared.pools import HEAVY_SLOTS, hard
from dags.shared.run import Run


@dag(
    schedule=None,
    params={
        "customer_id": Param(
            "",
            type="string",
            maxLength=500,
            title="Customer",
            description_md="The shop's key of the customer.",
        ),
        "reason": Param(
            "",
            type="string",
            maxLength=500,
            title="Reason",
            description_md="Stays in the proof; it must not name the customer.",
        ),
        "dry_run": Param(
            False,
            type="boolean",
            title="Dry run",
            description_md="Only count and show what would go.",
        ),
    },
    doc_md=__doc__,
    **dag_defaults("impact:tier-2", "step:erase", waits=RESPONSE_TIMEOUT),
)
def erase_customer():
    @task
    def preview_erasure() -> dict:
        from privacy.erasure import preview

        run = Run()
        given = run.params
        return preview(run.settings, given["customer_id"], given["reason"], given["dry_run"])

    # all slots: no build, training or scoring beside it
    @task(**hard("erase"), pool_slots=HEAVY_SLOTS)
    def erase(outcome: dict, answer: dict) -> dict:
        from privacy.erasure import erase_if_approved

        run = Run()
        return erase_if_approved(run.settings, run.params, outcome, answer)

    outcome = preview_erasure()
    approve = approval("preview_erasure")
    chain(outcome, approve, erase(outcome, approve.output))


erase_customer()
