-- One row per sale or refund; a refund has a day of its own.
select
    order_id,
    customer_id,
    refunded_order_id,
    file_id,
    order_type,
    country,
    ordered_at

from {{ ref('stg_canonical__orders_judged') }}

where rejected_reason is null
