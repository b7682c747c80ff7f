-- One row per customer.
select
    customer_id,
    registered_at

from {{ ref('stg_canonical__customers_judged') }}

where rejected_reason is null
